"""Fetching tasks: one call takes many tasks from many queues.

If the reply to a fetch is lost, its tasks are active and carry its token. `reclaim` finds them by that token, and
returns them again. If their messages are too large for any reply, `set_aside` archives them.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from rota.wire.keys import QueueKeys
from rota.wire.names import text
from rota.wire.script import MOST_FETCHED, Argument, Call, load

MAX_QUEUES = 64
MAX_BYTES = 4 * 1024 * 1024
"""Most bytes of messages in one reply: servers close a connection whose replies exceed `client-output-buffer-limit`."""


class Notes(NamedTuple):
    """Additional facts about a fetched task: the reason of a request to cancel it, its crashes, and `Item.explicit`."""

    cancel: str
    crashes: int
    explicit: str = ""


class QueueBatch(NamedTuple):
    """The tasks of one queue: `tasks` alternates ID and message bytes, in the order in which they were taken.

    `notes` is keyed by the index of the task. `waits` has the microseconds that each task was pending; a
    negative number is not known. If the state is `BROKEN`, `broken` names the key of the wrong Redis type.
    """

    state: int
    next_due: float | None
    tasks: list[bytes]
    notes: dict[int, Notes]
    dangling: list[bytes]
    waits: Sequence[int] = ()
    broken: str = ""


class Fetched(NamedTuple):
    """The reply to a fetch: the server's clock in seconds, and one batch for each requested queue."""

    now: float
    batches: list[QueueBatch]


EMPTY, MORE, PAUSED, BROKEN, STAYING = 0, 1, 2, 3, 4
"""`STAYING`: tasks are waiting, but all that the script has looked at are `Spared`."""


class LastChance(NamedTuple):
    """How to fetch tasks that one more crash puts into quarantine, which are those with at least `crashes` crashes.

    A process may hold only one such task, because a crash would put all of them into quarantine. `taken` says that it
    holds one already. With 0 `crashes` these tasks are fetched like all others.
    """

    crashes: int = 0
    taken: bool = False


class Spared(NamedTuple):
    """Types that this worker cannot run: their tasks are left to other workers until they have waited `seconds`."""

    types: Sequence[str] = ()
    seconds: float = 0.0


def fetch(
    shares: Sequence[tuple[QueueKeys, int]],
    *,
    token: str,
    wanted: int,
    lease_seconds: int,
    last_chance: LastChance = LastChance(),  # noqa: B008 - a value
    spared: Spared = Spared(),  # noqa: B008 - a value
    most_bytes: int = MAX_BYTES,
) -> Call[Fetched]:
    """Take up to `wanted` tasks (at most 500): from each queue its share first, then shares that others did not use.

    Fewer tasks are taken if their messages exceed `most_bytes` together, but always at least one.

    The taken tasks become `active`, are leased for `lease_seconds` by the server's clock, and carry `token`.
    Due tasks are promoted first, at most 100 of each set. A task that `last_chance` does not permit to take is
    rescheduled for a few seconds later. From a queue with a key of the wrong Redis type nothing is taken, and the other
    queues are not affected. The script looks past `spared` tasks for other tasks, up to a limit.
    """
    keys: list[str] = []
    args: list[Argument] = [
        token,
        lease_seconds,
        min(wanted, MOST_FETCHED),
        last_chance.crashes,
        int(not last_chance.taken),
        spared.seconds,
        most_bytes,
    ]
    for queue, share in shares:
        keys += (queue.pending, queue.active, queue.lease, queue.paused, queue.scheduled, queue.retry)
        args += (queue.base, queue.task_prefix, share)
    args += spared.types
    return Call(load("fetch"), keys, args, _fetched)


class Reclaimed(NamedTuple):
    """Tasks of a fetch whose reply was lost, as in a `QueueBatch`, and whether there are more of them."""

    tasks: list[bytes]
    notes: dict[int, Notes]
    more: bool = False


def reclaim(
    queue: QueueKeys, token: str, *, new_token: str, lease_seconds: int, most_bytes: int = MAX_BYTES
) -> Call[Reclaimed]:
    """Find tasks of a fetch whose reply was lost, and give them `new_token` and a new lease.

    Fewer tasks are returned if their messages exceed `most_bytes` together, but always at least one.
    """
    args: list[Argument] = [token, queue.task_prefix, lease_seconds, new_token, most_bytes]
    return Call(load("reclaim"), [queue.active, queue.lease], args, _reclaimed)


def lost_sizes(queue: QueueKeys, token: str) -> Call[dict[str, int]]:
    """Return the sizes in bytes of the messages that a lost fetch took, by task ID."""
    return set_aside(queue, token, least_bytes=0, error="")


def set_aside(queue: QueueKeys, token: str, *, least_bytes: int, error: str) -> Call[dict[str, int]]:
    """Quarantine tasks of a lost fetch whose messages have `least_bytes` or more; return their sizes by ID.

    `{size}` in `error` stands for the size.
    """
    args: list[Argument] = [queue.base, queue.task_prefix, queue.ended_prefix, token, least_bytes, error]
    return Call(load("set_aside"), [queue.active, queue.lease, queue.archived], args, _sizes)


def reply_of_size(queue: QueueKeys, size: int) -> Call[int]:
    """Ask the server of a queue for a reply of this many bytes; return how many arrived."""
    return Call(load("reply_of_size"), [queue.pending], [size], len)


def _sizes(reply: Any) -> dict[str, int]:
    return {text(task_id): size for task_id, size in zip(reply[::2], reply[1::2], strict=True)}


def _reclaimed(reply: Any) -> Reclaimed:
    tasks, notes, more = reply
    return Reclaimed(tasks, _notes(notes), bool(more))


def _fetched(reply: Any) -> Fetched:
    return Fetched(float(reply[0]), [_batch(*row) for row in reply[1:]])


def _batch(
    state: int,
    next_due: bytes,
    tasks: list[bytes],
    notes: list[Any],
    dangling: list[bytes],
    waits: list[int],
    broken: bytes = b"",
) -> QueueBatch:
    due = float(next_due) if next_due else None
    return QueueBatch(state, due, tasks, _notes(notes) if notes else {}, dangling, waits, text(broken))


def _notes(words: Iterable[Any]) -> dict[int, Notes]:
    rows = zip(*[iter(words)] * 4, strict=True)
    return {
        int(index): Notes(text(cancel), int(crashes) if crashes.isdigit() else 0, text(explicit))
        for index, cancel, crashes, explicit in rows
    }
