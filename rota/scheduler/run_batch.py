"""Batches of runs: how orders are cut, and how a claim is written so that any leader can finish it.

A claim holds the messages of the tasks as they will be enqueued, and not the definition that they were made of. So a
leader that finishes the claim of another one enqueues the same tasks, whatever was edited in between.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, NamedTuple

from rota.schedule.run import ScheduleRun
from rota.tasks.job import Plan
from rota.wire.enqueue import Item
from rota.wire.scheduler_steps import BatchNumber, StateChange
from rota.wire.script import MOST_ENQUEUED
from rota.wire.times import EPOCH

MOST_RUNS = 250
"""Runs in one batch, at most: the server does nothing else while it claims them."""
MOST_BATCH_BYTES = 2 * 1024 * 1024


class QueuedItem(NamedTuple):
    """One task of a run, and the queue to which it goes."""

    queue: str
    item: Item


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run with the tasks that carry it out. `record` is how the run stands in the history once it is enqueued."""

    record: ScheduleRun
    tasks: tuple[QueuedItem, ...]
    plans: tuple[Plan[Any], ...] = ()
    """The plans of the tasks, for the enqueue middleware of an app."""
    after: tuple[ScheduleRun, ...] = ()
    """The records of skips between this run and the next one. They follow it into the history, because a row of skips
    that stood before it there would be joined to the row before the run."""

    @property
    def records(self) -> list[ScheduleRun]:
        """All records, in their order."""
        return [self.record, *self.after]

    @property
    def size(self) -> int:
        """The bytes of all messages."""
        return sum(len(task.item.message) for task in self.tasks)


@dataclass(frozen=True, slots=True)
class FireOrder:
    """The order for one schedule: its new state, the runs to enqueue, and the records of skipped ones."""

    change: StateChange
    runs: tuple[PlannedRun, ...] = ()
    skipped: tuple[ScheduleRun, ...] = ()


class ClaimedRun(NamedTuple):
    """A run that was claimed, with the number of its batch."""

    number: BatchNumber
    run: PlannedRun


@dataclass(slots=True)
class RunBatch:
    """Some orders of one shard that are claimed by one call."""

    orders: list[FireOrder] = field(default_factory=list[FireOrder])

    @property
    def runs(self) -> list[PlannedRun]:
        """The runs of all orders."""
        return [run for order in self.orders for run in order.runs]


def cut(orders: Iterable[FireOrder]) -> Iterator[RunBatch]:
    """Cut the orders of one shard into batches. An order that is too large alone is split."""
    batch, runs, tasks, size = RunBatch(), 0, 0, 0
    for order in chain.from_iterable(map(_parts, orders)):
        more_tasks, more_size = sum(len(run.tasks) for run in order.runs), sum(run.size for run in order.runs)
        full = (
            runs + len(order.runs) > MOST_RUNS
            or tasks + more_tasks > MOST_ENQUEUED
            or size + more_size > MOST_BATCH_BYTES
            or len(batch.orders) >= MOST_RUNS
        )
        if full and batch.orders:
            yield batch
            batch, runs, tasks, size = RunBatch(), 0, 0, 0
        batch.orders.append(order)
        runs, tasks, size = runs + len(order.runs), tasks + more_tasks, size + more_size
    if batch.orders:
        yield batch


def _parts(order: FireOrder) -> list[FireOrder]:
    """Split an order that is too large for one call. Each part moves the last planned time to that of its last run."""
    runs = order.runs
    if len(runs) <= 1 or (len(runs) <= MOST_RUNS and sum(len(run.tasks) for run in runs) <= MOST_ENQUEUED):
        return [order]
    half = len(runs) // 2
    change = order.change
    if change.planned_ms is not None:
        change = change._replace(planned_ms=min(change.planned_ms, unix_ms(runs[half - 1].record.planned_at)))
    first, second = FireOrder(change, runs[:half], order.skipped), FireOrder(order.change, runs[half:])
    return [*_parts(first), *_parts(second)]


def unix_ms(moment: datetime) -> int:
    """Return the Unix time of a moment in milliseconds, rounded down."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def write_claim(number: BatchNumber, run: PlannedRun) -> bytes:
    """Write a claim as JSON."""
    # The bytes of messages are written as characters, because most of them are ASCII.
    tasks = [[queue, item.id, item.message.decode("latin-1"), *item[2:]] for queue, item in run.tasks]
    claim: dict[str, Any] = {"number": number, "run": run.record.to_json().decode(), "tasks": tasks}
    if run.after:
        claim["after"] = [record.to_json().decode() for record in run.after]
    return json.dumps(claim).encode()


def read_claim(data: bytes) -> ClaimedRun:
    """Read what `write_claim` wrote. Raises ValueError if it is something else."""
    try:
        claim: Any = json.loads(data)
        tasks = tuple(QueuedItem(queue, _item(*words)) for queue, *words in claim["tasks"])
        after = tuple(ScheduleRun.from_json(record.encode()) for record in claim.get("after", ()))
        run = PlannedRun(ScheduleRun.from_json(claim["run"].encode()), tasks, after=after)
        return ClaimedRun(BatchNumber(*claim["number"]), run)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a claim: {error!r}") from error


def _item(task_id: str, message: str, *rest: Any) -> Item:
    return Item(task_id, message.encode("latin-1"), *rest)


def by_queue(runs: Sequence[PlannedRun]) -> dict[str, list[tuple[PlannedRun, Item]]]:
    """Group the tasks of a batch by queue, in order."""
    found: dict[str, list[tuple[PlannedRun, Item]]] = {}
    for run in runs:
        for queue, item in run.tasks:
            found.setdefault(queue, []).append((run, item))
    return found
