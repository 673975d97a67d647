"""Reading one task as it stands."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from rota.wire.keys import QueueKeys
from rota.wire.script import Call, load


class Seen(NamedTuple):
    """The fields of a task's hash, and what the sets say of it. Times are Unix seconds by the server's clock."""

    fields: Mapping[bytes, bytes]
    due: float | None
    leased_until: float | None
    now: float


def look(keys: QueueKeys, task_id: str) -> Call[Seen | None]:
    """Read a task; None if it is gone."""
    return Call(load("look"), (keys.task(task_id),), (keys.base, task_id), _seen)


def _seen(raw: Any) -> Seen | None:
    if not raw:
        return None
    row, due, lease, now = raw
    fields = dict(zip(row[::2], row[1::2], strict=True))
    return Seen(fields, float(due) if due else None, float(lease) if lease else None, float(now))
