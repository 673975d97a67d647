"""Reconcile: compares the tasks with the lists and sets of their queue, and repairs contradictions.

1. `places` pages through the lists and sets, and `tasks` looks at hashes. Both only read, and return what may be wrong,
   each with a mark: a digest of what was seen.
2. `repair` looks at each task again, and repairs it only if the trouble and the mark are still the same.
3. `locks` and `delete_locks` do the same for uniqueness locks.

The sweep calls `places` for the active tasks and the leases of a queue whose numbers differ. The doctor calls all.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from rota.core.text import counted
from rota.wire.attempts import LIMIT_BYTES, members
from rota.wire.group import spent_key
from rota.wire.keys import QueueKeys
from rota.wire.script import Argument, Call, load

MAX_TASKS = 500
PLACES = ("active", "lease", "pending", "scheduled", "retry", "archived", "completed")
BEGIN = ("0",) * len(PLACES)
ACTIVE_AND_LEASES = ("0", "0", *[""] * (len(PLACES) - 2))
"""Cursors that begin with the active tasks and the leases, and skip the other places."""

LEASE = timedelta(seconds=15)
"""The lease that an active task without one gets. If a worker or Go server does run the task, it extends the lease
within this time."""
KEPT = timedelta(hours=1)
"""How long a completed task that was in no set is kept."""

MEANING = {
    "unleased": "an active task without a lease: given one, which expires unless a worker runs the task",
    "stray_lease": "a lease of a task that does not run: deleted",
    "stub": "a hash without a message: deleted",
    "ghost": "an ID without a task: removed from its list or set",
    "unlisted": "a task in no list or set: restored",
    "quarantined": "a task in no list or set that cannot be restored, or was lost too often: archived",
    "misplaced": "an ID in a second list or set: removed from it",
    "relabelled": "a task whose state does not match its list or set: corrected",
    "ungrouped": "a group that is not in the set of groups: added",
    "lock": "a uniqueness lock that no task holds: deleted",
}
"""The repair that each counter counts."""

LATER = "later"
LONG = "long"
MOST_SEARCHED = 100_000
"""The longest list of pending tasks that `repair` searches, so that no call takes longer than some milliseconds."""
CRASHED = "quarantined: {crashes} lost while running this task, and it was in no list of its queue"
LOST = members(error="lost: the task was in no list of its queue")
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
    id: bytes


def places(queue: QueueKeys, cursors: Sequence[str] = BEGIN, page: int = MAX_TASKS) -> Call[ScanPage]:
    """Compare a page of each place with the tasks, from these cursors on."""
    return Call(load("compare_places"), _places(queue), (page, queue.base, queue.task_prefix, *cursors), _page)


def tasks(queue: QueueKeys, ids: Sequence[bytes]) -> Call[list[Discrepancy]]:
    """Compare at most 500 tasks with the places."""
    return Call(load("compare_tasks"), _places(queue), (queue.base, queue.task_prefix, *ids), _findings)


def repair(
    keys: QueueKeys, findings: Iterable[Discrepancy], *, max_crashes: int, attempts_limit: int = LIMIT_BYTES
) -> Call[list[str]]:
    """Repair each finding that is unchanged since it was found.

    Returns for each finding the name of the counter of its repair, `""` if nothing was wrong any more, LATER if the
    call had done enough, or LONG if it would have to search a list of more than `MOST_SEARCHED` pending tasks.
    """
    args: list[Argument] = [keys.base, keys.task_prefix, keys.ended_prefix, max_crashes]
    args += (
        CRASHED.format(crashes=_workers_were(max_crashes)),
        HOMELESS,
        int(LEASE.total_seconds()),
        int(KEPT.total_seconds()),
        MOST_SEARCHED,
        LOST,
        attempts_limit,
    )
    for finding in findings:
        args += finding
    return Call(load("repair"), (*_places(keys), keys.repaired, keys.crashed), args, _words)


def locks(keys: QueueKeys, names: Sequence[str]) -> Call[list[StrayLock]]:
    """Return which of at most 500 locks are left behind."""
    return Call(
        load("compare_locks"),
        names,
        (keys.task_prefix,),
        lambda reply: [StrayLock(names[i], holder) for i, holder in _pairs(reply)],
    )


def delete_locks(keys: QueueKeys, found: Sequence[StrayLock]) -> Call[int]:
    """Delete the locks that are still left behind with the same ID. Returns their number."""
    names, holders = [lock.key for lock in found], [lock.id for lock in found]
    return Call(load("delete_locks"), (keys.repaired, *names), (keys.task_prefix, *holders), int)


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


def _page(reply: Any) -> ScanPage:
    cursors, words = reply
    rows = zip(*[iter(words)] * 4, strict=True)
    findings = [Discrepancy(task_id, place.decode(), trouble.decode(), mark) for place, task_id, trouble, mark in rows]
    return ScanPage(tuple(cursor.decode() for cursor in cursors), findings)


def _findings(reply: Any) -> list[Discrepancy]:
    rows = zip(*[iter(reply)] * 3, strict=True)
    return [Discrepancy(task_id, "", trouble.decode(), mark) for task_id, trouble, mark in rows]


def _pairs(reply: Any) -> list[tuple[int, bytes]]:
    return list(zip(reply[::2], reply[1::2], strict=True))


def _words(reply: Any) -> list[str]:
    return [word.decode() for word in reply]


def _workers_were(number: int) -> str:
    return f"{counted(number, 'worker')} {'was' if number == 1 else 'were'}"
