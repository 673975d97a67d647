"""Taking tasks: one call for many tasks of many queues."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from rota.wire.keys import QueueKeys
from rota.wire.limits import MOST_FETCHED
from rota.wire.names import text
from rota.wire.script import Argument, Call, load

MAX_QUEUES = 64
MAX_BYTES = 4 * 1024 * 1024
"""Of messages in one reply. A server closes connections whose replies outgrow `client-output-buffer-limit`."""


class Notes(NamedTuple):
    """What else is known of a fetched task: a request to cancel it, and how often it took its worker down."""

    cancel: str
    crashes: int


class QueueBatch(NamedTuple):
    """What one queue gave: `tasks` alternates id and message bytes, in the order in which they were taken.

    `broken` names the key that is of another type, if the state is `BROKEN`.
    """

    state: int
    next_due: float | None
    tasks: list[bytes]
    notes: dict[int, Notes]
    dangling: list[bytes]
    broken: str = ""


class Fetched(NamedTuple):
    """The reply to a fetch: the server's clock in seconds, and one batch for each queue asked."""

    now: float
    batches: list[QueueBatch]


EMPTY, MORE, PAUSED, BROKEN, STAYING = 0, 1, 2, 3, 4
"""`STAYING`: tasks wait, and all that can be seen of them are spared."""


class LastChance(NamedTuple):
    """What is taken of tasks that one more crash puts into quarantine: those that crashed `crashes` times.

    A process may hold one of them, so none where it has one already (`taken`). 0 crashes: they are taken like any.
    """

    crashes: int = 0
    taken: bool = False


class Spared(NamedTuple):
    """Types of tasks that are left where they are, for others, until they have waited for so long."""

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
    """Take up to `wanted` tasks (at most 500): from each queue its share first, then what others left unused.

    It takes fewer where their messages have more than `most_bytes` together, but always one.

    The taken tasks are `active`, leased for `lease_seconds` by the server's clock, and carry `token`.
    Tasks that are due are promoted on the way, at most 100 for each set. A task with its last chance that may not be
    taken is scheduled for some seconds later. A queue of which a key is of another type gives nothing, and stops none.
    Behind tasks that are `spared` the script looks a little further, for others.
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
    """Tasks of a fetch whose reply was lost, as in a `QueueBatch`, and whether more of them are left to find."""

    tasks: list[bytes]
    notes: dict[int, Notes]
    more: bool = False


def reclaim(
    queue: QueueKeys, token: str, *, new_token: str, lease_seconds: int, most_bytes: int = MAX_BYTES
) -> Call[Reclaimed]:
    """Find tasks of a fetch whose reply was lost; they get `new_token` and a new lease.

    It finds fewer where their messages have more than `most_bytes` together, but always one.
    """
    args: list[Argument] = [token, queue.task_prefix, lease_seconds, new_token, most_bytes]
    return Call(load("reclaim"), [queue.active, queue.lease], args, _reclaimed)


def set_aside(queue: QueueKeys, token: str, *, least_bytes: int, alone: bool, error: str) -> Call[dict[str, int]]:
    """Archive tasks of a lost fetch with messages of `least_bytes` or more, in quarantine; return their sizes by ID.

    With `alone` nothing is archived if the fetch took other tasks as well. `{size}` in `error` stands for the size.
    """
    args: list[Argument] = [queue.base, queue.task_prefix, queue.ended(""), token, least_bytes, int(alone), error]
    return Call(load("set_aside"), [queue.active, queue.lease, queue.archived], args, _sizes)


def _sizes(reply: Any) -> dict[str, int]:
    return {text(task_id): size for task_id, size in zip(reply[::2], reply[1::2], strict=True)}


def _reclaimed(reply: Any) -> Reclaimed:
    tasks, notes, more = reply
    return Reclaimed(tasks, _notes(notes), bool(more))


def _fetched(reply: Any) -> Fetched:
    return Fetched(float(reply[0]), [_batch(*row) for row in reply[1:]])


def _batch(
    state: int, next_due: bytes, tasks: list[bytes], notes: list[Any], dangling: list[bytes], broken: bytes = b""
) -> QueueBatch:
    due = float(next_due) if next_due else None
    return QueueBatch(state, due, tasks, _notes(notes) if notes else {}, dangling, text(broken))


def _notes(words: Iterable[Any]) -> dict[int, Notes]:
    triples = zip(*[iter(words)] * 3, strict=True)
    return {
        int(index): Notes(text(cancel), int(crashes) if crashes.isdigit() else 0) for index, cancel, crashes in triples
    }
