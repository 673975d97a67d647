"""Enqueueing: Asynq's `rdb.Enqueue`, `Schedule`, `AddToGroup` and their unique forms, as batches for one queue.

`enqueue_plain` is the fast path for tasks without options, `enqueue` takes every option, and `debounce` joins calls.
Each can be sent again after a lost reply (see `Item.mark`).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from rota.wire.keys import QueueKeys
from rota.wire.script import Argument, Call, load


class Item(NamedTuple):
    """One task for `enqueue`, in the order of the script's arguments."""

    id: str
    message: bytes
    when: str = ""
    """`""` for now, `"1700000000.5"` for a Unix time, `"+2.5"` for seconds from now by the server's clock."""
    group: str = ""
    lock: str = ""
    lock_ms: int | str = ""
    """Milliseconds until the lock expires, counted from when the task is due; `""` for a lock that does not expire."""
    scope: str = "ttl"
    on_conflict: str = "return"
    mark: str = ""
    """Identifies the tasks that this request wrote if it is sent again. Give the ID itself if it was made for this
    request, a random text if the caller chose the ID, or `""` for a request that is sent only once.
    """
    explicit: str = ""
    """`timeout`, `max_retry` or both, if they were given for this call although their values are Asynq's defaults."""


class Reply(NamedTuple):
    """The outcome of one item.

    `reason` is `created` (perhaps by an earlier sending of this request), `duplicate`, `replaced`, `busy`, `conflict`
    or `error`. `id` and `state` are those of the task that is there now; for `error`, the server's text and `""`.
    """

    reason: str
    id: str
    state: str


def enqueue_plain(keys: QueueKeys, pairs: Sequence[str | bytes]) -> Call[int]:
    """Add tasks without options, to run as soon as possible: `pairs` alternates ID (of `new_task_id`) and message.

    Returns how many are new. A task whose ID exists was added by an earlier sending of this call, and is not changed.
    """
    return Call(load("enqueue_plain"), (keys.pending,), (keys.task_prefix, *pairs), int)


def enqueue(keys: QueueKeys, items: Sequence[Item]) -> Call[list[Reply]]:
    """Add tasks with any options, independently of each other. Can be sent again if every item has a mark."""
    args: list[Argument] = [keys.base, keys.task_prefix]
    for item in items:
        args += item
    ids = [item.id for item in items]
    return Call(load("enqueue"), (keys.pending, keys.scheduled), args, lambda raw: list(map(_reply, ids, raw)))


def debounce(
    keys: QueueKeys,
    task_id: str,
    message: bytes,
    *,
    lock: str,
    wait_seconds: float,
    max_wait_seconds: float | None,
    explicit: str = "",
) -> Call[Reply]:
    """Reschedule the waiting task that holds this lock to `wait_seconds` from now with this message, or add it.

    Can be sent again: the ID must have been made for this call, and marks what an earlier sending wrote.
    """
    longest = "" if max_wait_seconds is None else max_wait_seconds
    args = (keys.task_prefix, task_id, message, lock, wait_seconds, longest, explicit)
    return Call(load("debounce"), (keys.pending, keys.scheduled), args, lambda raw: _reply(task_id, raw))


def _reply(task_id: str, raw: Any) -> Reply:
    if isinstance(raw, bytes):
        return Reply("created", task_id, raw.decode())
    reason, other, state = cast(list[bytes], raw)
    return Reply(reason.decode(), other.decode(errors="replace"), state.decode(errors="replace"))
