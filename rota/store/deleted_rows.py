"""One deleted task as a row of the store: what is searched has columns, and `data` is everything that it consisted of.

`data` is JSON, with the bytes of the task in base64.
"""

import hashlib
import json
import re
from binascii import a2b_base64, b2a_base64
from datetime import datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import Final

from rota.inspect.trash import TrashedTask
from rota.store.database import Record
from rota.store.store_values import text_for_database
from rota.store.tables import NAME, trash

_TOKEN: Final = re.compile("[0-9a-f]{32}:")
KEPT: Final = (trash.c.data, trash.c.deletion, trash.c.type, trash.c.state, trash.c.deleted_at, trash.c.deleted_by)
"""The columns of which `task_of` makes a task."""


def key_of(mark: str) -> str:
    """Return the key of a row: a mark may be longer than a column.

    The marks of a batch begin with one token, and so do their keys. They are neighbours in the index then, so that a
    batch changes few of its pages.
    """
    digest = hashlib.sha256(mark.encode("utf-8", "surrogateescape")).hexdigest()
    return mark[:32] + digest[:32] if _TOKEN.match(mark) else digest


def short(text: str) -> str:
    """Cut a name so that it fits into its column."""
    return text_for_database(text[:NAME])[:NAME]


_short_again = lru_cache(maxsize=64)(short)  # the tasks of a deletion have few queues and types


def row_of(task: TrashedTask) -> Record:
    """Return the row of a task."""
    data = _data_of(task)
    return {
        "id": key_of(task.id),
        "deletion": task.deletion,
        "queue": _short_again(task.queue),
        "task_id": short(task.task_id),
        "type": _short_again(task.type),
        "state": task.state,
        "size": len(data),
        "deleted_at": task.deleted_at,
        "deleted_by": _short_again(task.deleted_by),
        "data": data,
    }


def _data_of(task: TrashedTask) -> bytes:
    # Put together here, because `json.dumps` takes three times as long for a dictionary of this size. As ASCII, so that
    # a name of any bytes can be kept.
    quoted = encode_basestring_ascii
    fields = ",".join(
        [f'{quoted(name)}:"{b2a_base64(value, newline=False).decode()}"' for name, value in task.fields.items()]
    )
    words = f'"score":{quoted(task.score)},"lock_ms":{quoted(task.lock_ms)},"fields":{{{fields}}}'
    return f'{{"id":{quoted(task.id)},"queue":{quoted(task.queue)},"task_id":{quoted(task.task_id)},{words}}}'.encode()


def task_of(
    data: bytes, deletion: str, type_name: str, state: str, deleted_at: datetime, deleted_by: str
) -> TrashedTask:
    """Return the task of a row, from its columns `KEPT`."""
    whole = json.loads(data)
    return TrashedTask(
        id=whole["id"],
        deletion=deletion,
        queue=whole["queue"],
        task_id=whole["task_id"],
        type=type_name,
        state=state,
        score=whole["score"],
        lock_ms=whole["lock_ms"],
        deleted_at=deleted_at,
        deleted_by=deleted_by,
        fields={name: a2b_base64(value) for name, value in whole["fields"].items()},
    )
