"""Reconcile: compares the tasks with the lists and sets of their queue, and repairs contradictions.

1. `places` walks through the lists and sets, and `tasks` through the hashes. Both only read, and return what may be
   wrong, each with a mark: a digest of what was seen.
2. `repair` looks at each task again, and repairs it only if the trouble and the mark are still the same.
3. `locks` does the same for uniqueness locks, in two calls.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from rota.core.text import counted
from rota.wire.group import spent_key
from rota.wire.keys import QueueKeys
from rota.wire.script import Argument, Call, load

MAX_TASKS = 500
MAX_QUEUES = 8
MAX_QUEUES_OF_TASKS = 32
PLACES = ("active", "lease", "pending", "scheduled", "retry", "archived", "completed")
BEGIN = ("0",) * len(PLACES)

LATER = "later"
CRASHED = "quarantined: {crashes} lost while running this task, and it was in no list of its queue"
HOMELESS = "quarantined: the task was in no list of its queue, and its state does not tell in which it belongs"


class Discrepancy(NamedTuple):
    """Something that may be wrong with a task. `place` is where its ID was found, empty if its hash was found."""

    id: bytes
    place: str
    trouble: str
    mark: bytes


class ScanPage(NamedTuple):
    """The result for a page of each place of a queue: the next cursors (`""` at the end), and what may be wrong."""

    cursors: tuple[str, ...]
    findings: list[Discrepancy]


class StrayLock(NamedTuple):
    """A uniqueness lock, and the ID stored in it, of a task that does not hold the lock any more."""

    key: str
    id: bytes = b""


def places(queues: Mapping[QueueKeys, Sequence[str]], page: int = MAX_TASKS) -> Call[list[ScanPage]]:
    """Compare a page of each place with the tasks, from these cursors on. At most 8 queues; in a Cluster, one."""
    keys: list[str] = []
    args: list[Argument] = [page]
    for queue, cursors in queues.items():
        keys += _places(queue)
        args += (queue.base, queue.task_prefix, *cursors)
    return Call(load("sweep_places"), keys, args, _pages)


def tasks(queues: Mapping[QueueKeys, Sequence[bytes]]) -> Call[list[tuple[QueueKeys, Discrepancy]]]:
    """Compare tasks with the places: at most 500 tasks of at most 32 queues; in a Cluster, of one queue."""
    keys: list[str] = []
    args: list[Argument] = []
    for queue, ids in queues.items():
        keys += _places(queue)
        args += (queue.base, queue.task_prefix, len(ids), *ids)
    order = list(queues)
    return Call(load("sweep_tasks"), keys, args, lambda reply: _findings(reply, order))


def repair(
    keys: QueueKeys, findings: Iterable[Discrepancy], *, max_crashes: int, lease: timedelta, kept: timedelta
) -> Call[list[str]]:
    """Repair each finding that is unchanged since it was found.

    Returns for each finding the name of the counter of its repair, `""` if nothing was wrong any more, or LATER if the
    call had done enough. A task without a lease gets one for `lease`; a completed task that was in no set is kept for
    `kept`.
    """
    args: list[Argument] = [keys.base, keys.task_prefix, keys.ended(""), max_crashes]
    args += (
        CRASHED.format(crashes=_workers_were(max_crashes)),
        HOMELESS,
        int(lease.total_seconds()),
        int(kept.total_seconds()),
    )
    for finding in findings:
        args += finding
    return Call(load("sweep_repair"), (*_places(keys), keys.repaired, keys.crashed), args, _words)


def locks(keys: QueueKeys, found: Sequence[StrayLock]) -> Call[list[StrayLock]]:
    """Return which of at most 500 locks are left behind. A lock given with an ID is deleted if it still has that ID."""
    return Call(
        load("sweep_locks"),
        (keys.repaired, *(lock.key for lock in found)),
        (keys.task_prefix, *(lock.id for lock in found)),
        lambda reply: [StrayLock(found[i].key, holder) for i, holder in _pairs(reply)],
    )


def _places(keys: QueueKeys) -> tuple[str, ...]:
    return (
        keys.pending,
        keys.active,
        keys.lease,
        keys.scheduled,
        keys.retry,
        keys.archived,
        keys.completed,
        keys.groups,
        keys.aggregation_sets,
        spent_key(keys),
    )


def _pages(reply: Any) -> list[ScanPage]:
    return [
        ScanPage(
            tuple(cursor.decode() for cursor in cursors),
            [
                Discrepancy(words[i + 1], words[i].decode(), words[i + 2].decode(), words[i + 3])
                for i in range(0, len(words), 4)
            ],
        )
        for cursors, words in reply
    ]


def _findings(reply: Any, order: Sequence[QueueKeys]) -> list[tuple[QueueKeys, Discrepancy]]:
    rows = zip(*[iter(reply)] * 4, strict=True)
    return [(order[queue], Discrepancy(task_id, "", trouble.decode(), mark)) for queue, task_id, trouble, mark in rows]


def _words(reply: Any) -> list[str]:
    return [word.decode() for word in reply]


def _pairs(reply: Any) -> list[tuple[int, bytes]]:
    return list(zip(reply[::2], reply[1::2], strict=True))


def _workers_were(number: int) -> str:
    return f"{counted(number, 'worker')} {'was' if number == 1 else 'were'}"
