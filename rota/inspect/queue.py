"""Snapshots of a queue, of its daily counters and of its groups.

They are frozen and do not change with the queue: ask the `Inspector` again for new numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from rota.wire.look_queue import QueueLook
from rota.wire.times import from_unix


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSnapshot:
    """The numbers of one queue. `processed`, `failed` and `crashed` count today (UTC), the totals count all time.

    `crashed` counts attempts whose worker died. A crash does not count as a failure and uses no retry.

    `aggregating` counts the tasks that wait in groups, as Asynq does; tasks that an aggregator has taken from a group
    are in `in_aggregation`. `latency` is how long the next task has been waiting; it is None if the task does not
    contain the time. `memory_bytes` is an estimate, and None if the user lacks permission for `MEMORY`. `repaired`
    counts the repairs of sweeps by kind, of all time; docs/internals.md describes the kinds.
    """

    queue: str
    pending: int
    active: int
    scheduled: int
    retry: int
    archived: int
    completed: int
    aggregating: int
    in_aggregation: int
    orphaned: int
    groups: int
    processed: int
    failed: int
    processed_total: int
    failed_total: int
    crashed: int = 0
    crashed_total: int = 0
    paused_at: datetime | None
    is_paused: bool
    latency: timedelta | None
    memory_bytes: int | None
    taken_at: datetime | None
    repaired: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def size(self) -> int:
        """Number of all tasks, including completed ones, as Asynq counts them."""
        waiting = self.pending + self.scheduled + self.retry + self.aggregating
        return waiting + self.active + self.archived + self.completed


@dataclass(frozen=True, slots=True)
class DaySnapshot:
    """The counters of a queue for one day (UTC)."""

    day: date
    processed: int
    failed: int
    crashed: int = 0


@dataclass(frozen=True, slots=True)
class AggregationSnapshot:
    """Tasks that an aggregator has taken from a group to join into one task, until `deadline` at the latest."""

    id: str
    size: int
    deadline: datetime | None


@dataclass(frozen=True, slots=True)
class GroupSnapshot:
    """A group: the number of tasks that wait in it, and its aggregations that are running."""

    name: str
    size: int
    aggregations: tuple[AggregationSnapshot, ...] = ()


def read_queue(
    name: str, look: QueueLook, aggregating: int, in_aggregation: int, memory_bytes: int | None
) -> QueueSnapshot:
    """Build the snapshot from the replies of the scripts."""
    return QueueSnapshot(
        queue=name,
        **look.counts,
        aggregating=aggregating,
        in_aggregation=in_aggregation,
        orphaned=look.orphaned,
        groups=look.groups,
        processed=look.processed,
        failed=look.failed,
        processed_total=look.processed_total,
        failed_total=look.failed_total,
        crashed=look.crashed,
        crashed_total=look.crashed_total,
        paused_at=from_unix(look.paused_at),
        is_paused=look.is_paused,
        latency=_latency(look),
        memory_bytes=memory_bytes,
        taken_at=from_unix(look.now),
        repaired=look.repaired,
    )


def _latency(look: QueueLook) -> timedelta | None:
    if not look.counts["pending"]:
        return timedelta(0)
    if look.pending_since_ns is None:
        return None
    # A Go client writes the time of its own clock, which may be ahead of Redis' clock.
    return timedelta(seconds=max(0.0, look.now - look.pending_since_ns / 1e9))
