"""Reconcile: compare all places where a task can be, and repair what cannot be right.

Each of the looks reads only. A repair names what was seen and happens only if the same is still so.
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
    """Something that may be wrong with a task. `place` is where its ID was found, empty where its hash was."""

    id: bytes
    place: str
    trouble: str
    mark: bytes


class ScanPage(NamedTuple):
    """A page of each place of a queue: where to go on (`""`: at the end), and what may be wrong."""

    cursors: tuple[str, ...]
    findings: list[Discrepancy]


class StrayLock(NamedTuple):
    """A uniqueness lock and the ID of the task that holds it no more."""

    key: str
    id: bytes = b""


def places(queues: Mapping[QueueKeys, Sequence[str]], page: int = MAX_TASKS) -> Call[list[ScanPage]]:
    """Compare a page of each place with the tasks, from the given cursors on; at most 8 queues, in a Cluster one."""
    keys: list[str] = []
    args: list[Argument] = [page]
    for queue, cursors in queues.items():
        keys += _places(queue)
        args += (queue.base, queue.task_prefix, *cursors)
    return Call(load("sweep_places"), keys, args, _pages)


def tasks(queues: Mapping[QueueKeys, Sequence[bytes]]) -> Call[list[tuple[QueueKeys, Discrepancy]]]:
    """Compare tasks with the places: at most 500 of 32 queues, in a Cluster of one."""
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
    """Repair what is still as it was found. Answers what was done to each: a word of the counters, "", or LATER.

    A task without a lease gets one so long; a completed task that was nowhere is `kept` so long.
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
    """Look which of at most 500 locks nobody holds any more; one given with an ID is deleted if it is still that."""
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
