"""A queue, its days and its groups at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from rota.wire.look_queue import QueueLook
from rota.wire.times import from_unix


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSnapshot:
    """The numbers of one queue. `processed`, `failed` and `crashed` count today (UTC), the totals all time.

    A run that took its worker down has crashed; that is no failure and costs no retry.

    `aggregating` counts the tasks that wait in groups, as Asynq does; those whose group is being aggregated right now
    are in `in_aggregation`. `latency` is how long the next task has been waiting, None where the task does not say.
    `memory_bytes` is an estimate, None where the server does not permit to ask. `repaired` counts what sweeps found
    out of place and put right, by kind, all time; docs/internals.md says what the kinds are.
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
        """All tasks, completed ones included, as Asynq counts them."""
        waiting = self.pending + self.scheduled + self.retry + self.aggregating
        return waiting + self.active + self.archived + self.completed


@dataclass(frozen=True, slots=True)
class DaySnapshot:
    """What a queue counted on one day (UTC)."""

    day: date
    processed: int
    failed: int
    crashed: int = 0


@dataclass(frozen=True, slots=True)
class AggregationSnapshot:
    """Tasks that were taken out of a group and are being made into one, by somebody who has until `deadline`."""

    id: str
    size: int
    deadline: datetime | None


@dataclass(frozen=True, slots=True)
class GroupSnapshot:
    """A group: the tasks that wait in it, and those under aggregation."""

    name: str
    size: int
    aggregations: tuple[AggregationSnapshot, ...] = ()


def read_queue(
    name: str, look: QueueLook, aggregating: int, in_aggregation: int, memory_bytes: int | None
) -> QueueSnapshot:
    """Build the snapshot from what the scripts saw."""
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
    # A Go client writes its own clock, which may be ahead of Redis'.
    return timedelta(seconds=max(0.0, look.now - look.pending_since_ns / 1e9))
