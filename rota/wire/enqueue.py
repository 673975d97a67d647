"""Adding tasks: Asynq's `rdb.Enqueue`, `Schedule`, `AddToGroup` and their unique forms, as batches for one queue."""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from rota.wire.keys import QueueKeys
from rota.wire.script import Argument, Call, load


class Item(NamedTuple):
    """One task for `enqueue`, in the order of the script's arguments."""

    id: str
    message: bytes
    when: str = ""
    """`""` now, `"1700000000.5"` at that time, `"+2.5"` so many seconds from now by the server's clock."""
    group: str = ""
    lock: str = ""
    lock_ms: int | str = ""
    """How long the lock lives once the task is due; `""` without end."""
    scope: str = "ttl"
    on_conflict: str = "return"
    mark: str = ""
    """Tells the tasks that this request wrote from others when it is sent again. An ID that was made for the request
    marks itself; with a chosen ID give a random text; `""` for a request that is sent once.
    """


class Reply(NamedTuple):
    """What became of one item.

    `reason` is `created` (also by an earlier sending of this request), `duplicate`, `replaced`, `busy`, `conflict` or
    `error`; the other two tell of the task that is there now (for `error`: the server's text and nothing).
    """

    reason: str
    id: str
    state: str


def enqueue_plain(keys: QueueKeys, pairs: Sequence[str | bytes]) -> Call[int]:
    """Add tasks that want nothing but to run: `pairs` alternates ID (made by `new_task_id`) and message.

    Returns how many are new. A task whose ID exists was added by an earlier sending of this call, and stays as it is.
    """
    return Call(load("enqueue_plain"), (keys.pending,), (keys.task_prefix, *pairs), int)


def enqueue(keys: QueueKeys, items: Sequence[Item]) -> Call[list[Reply]]:
    """Add tasks of any kind, each for itself. May be sent again if every item has a mark."""
    args: list[Argument] = [keys.base, keys.task_prefix]
    for item in items:
        args += item
    ids = [item.id for item in items]
    return Call(load("enqueue"), (keys.pending, keys.scheduled), args, lambda raw: list(map(_reply, ids, raw)))


def debounce(
    keys: QueueKeys, task_id: str, message: bytes, *, lock: str, wait_seconds: float, max_wait_seconds: float | None
) -> Call[Reply]:
    """Move the waiting task of this lock to `wait_seconds` from now and give it this message, or make it.

    May be sent again: the ID, which must have been made for this call, marks what an earlier sending wrote.
    """
    longest = "" if max_wait_seconds is None else max_wait_seconds
    args = (keys.task_prefix, task_id, message, lock, wait_seconds, longest)
    return Call(load("debounce"), (keys.pending, keys.scheduled), args, lambda raw: _reply(task_id, raw))


def _reply(task_id: str, raw: Any) -> Reply:
    if isinstance(raw, bytes):
        return Reply("created", task_id, raw.decode())
    reason, other, state = cast(list[bytes], raw)
    return Reply(reason.decode(), other.decode(errors="replace"), state.decode(errors="replace"))
