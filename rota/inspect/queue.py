"""Snapshots of a queue, of its daily counters and of its groups, and the calls that read them.

Snapshots are frozen and do not change with the queue: ask the `Inspector` again for new numbers. No script here writes,
so a read-only user can run them. Each call does a limited amount of work: long lists are read in pages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar, NamedTuple

from rota.wire.keys import QueueKeys
from rota.wire.look_task import MAX_PAGE, text
from rota.wire.pause import Stop
from rota.wire.pause import read as read_pause
from rota.wire.script import Call, load
from rota.wire.times import from_unix

MAX_DAYS = 90

_MEMORY_TASKS = 20
_MEMORY_GROUPS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSnapshot:
    """The numbers of one queue. `processed`, `failed` and `crashed` count today (UTC), the totals count all time.

    `crashed` counts attempts whose worker died. A crash does not count as a failure and uses no retry.

    `aggregating` counts the tasks that wait in groups, as Asynq does; tasks that an aggregator has taken from a group
    are in `in_aggregation`. `latency` is how long the next task has been waiting; it is None if the task does not
    contain the time. `memory_bytes` is an estimate, and None if the user lacks permission for `MEMORY`. `repaired`
    counts the repairs of sweeps by kind, of all time; docs/internals.md describes the kinds. `workers` and `producers`
    say who stopped them, why and since when; None for those who are not stopped.
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
    workers: Stop | None = None
    producers: Stop | None = None
    latency: timedelta | None
    memory_bytes: int | None
    taken_at: datetime | None
    json_properties: ClassVar[tuple[str, ...]] = ("size", "error_rate")
    repaired: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def size(self) -> int:
        """Number of all tasks, including completed ones, as Asynq counts them."""
        waiting = self.pending + self.scheduled + self.retry + self.aggregating
        return waiting + self.active + self.archived + self.completed

    @property
    def error_rate(self) -> float | None:
        """The share of today's runs that failed; None if nothing ran today."""
        return self.failed / self.processed if self.processed else None


@dataclass(frozen=True, slots=True)
class DaySnapshot:
    """The counters of a queue for one day (UTC)."""

    day: date
    processed: int
    failed: int
    crashed: int = 0
    json_properties: ClassVar[tuple[str, ...]] = ("error_rate",)

    @property
    def error_rate(self) -> float | None:
        """The share of runs that failed; None if nothing ran."""
        return self.failed / self.processed if self.processed else None


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


class SizePage(NamedTuple):
    """Sizes of groups by name, and the cursor of the next page: 0 after the last page."""

    cursor: int
    sizes: Mapping[str, int]


class MemoryEstimate(NamedTuple):
    """Bytes of the lists, sets and tasks of a queue, estimated from samples, and the average of a grouped task."""

    bytes: float
    per_grouped_task: float


def queue(keys: QueueKeys, today: date, groups: int = MAX_PAGE) -> Call[tuple[QueueSnapshot, SizePage]]:
    """Read one queue and the first page of its groups. `today` may be a day off, because Redis' clock decides.

    The snapshot lacks what other calls read: its grouped tasks and its memory.
    """
    days = _around(today)
    script_keys = (
        keys.pending,
        keys.active,
        keys.scheduled,
        keys.retry,
        keys.archived,
        keys.completed,
        keys.lease,
        keys.paused,
        keys.groups,
        keys.processed,
        keys.failed,
        keys.crashed,
        *_counters(keys, days),
        keys.repaired,
        keys.pause,
    )
    return Call(
        load("look_queue"),
        script_keys,
        (keys.task_prefix, keys.group(""), groups),
        lambda reply: _queue(reply, keys.queue, days),
    )


def groups(keys: QueueKeys, cursor: int, count: int = MAX_PAGE) -> Call[SizePage]:
    """Read about `count` groups. A name may come again on a later page, with a newer size."""
    return Call(load("look_groups"), (keys.groups,), (keys.group(""), cursor, count), lambda reply: _group_page(*reply))


def aggregation_sets(keys: QueueKeys, start: int, count: int = MAX_PAGE) -> Call[list[tuple[str, AggregationSnapshot]]]:
    """Read the sets under aggregation with the names of their groups, in the order of their deadlines."""
    prefix = keys.group("")
    return Call(
        load("look_sets"),
        (keys.aggregation_sets,),
        (start, count),
        lambda reply: [_set(prefix, *row) for row in _rows(reply, 3)],
    )


def days(keys: QueueKeys, today: date, count: int) -> Call[list[DaySnapshot]]:
    """Read the counters of the last days, newest first. `today` may be a day off, because Redis' clock decides."""
    first = today + timedelta(days=1)
    asked = [first - timedelta(days=back) for back in range(count + 2)]
    return Call(load("look_days"), _counters(keys, asked), (), lambda reply: _days(reply, asked, count))


def memory(keys: QueueKeys) -> Call[MemoryEstimate | None]:
    """Estimate the memory of a queue; None if the user lacks permission for `MEMORY`."""
    script_keys = (
        keys.pending,
        keys.active,
        keys.scheduled,
        keys.retry,
        keys.archived,
        keys.completed,
        keys.groups,
    )
    args = (keys.task_prefix, keys.group(""), _MEMORY_TASKS, _MEMORY_GROUPS)
    return Call(load("look_memory"), script_keys, args, _memory)


def _around(today: date) -> list[date]:
    return [today + timedelta(days=offset) for offset in (-1, 0, 1)]


def _counters(keys: QueueKeys, days: Sequence[date]) -> tuple[str, ...]:
    return tuple(f"{counter}:{day}" for day in days for counter in (keys.processed, keys.failed, keys.crashed))


def _queue(reply: Any, name: str, days: Sequence[date]) -> tuple[QueueSnapshot, SizePage]:
    now, lengths, orphaned, paused, since, counters, groups, cursor, sizes, repaired, pause = reply
    states = ("pending", "active", "scheduled", "retry", "archived", "completed")
    counts = dict(zip(states, lengths, strict=True))
    counted = {day.day: day for day in _day_counters(counters[3:], days)}
    today = counted.get(_day(now), DaySnapshot(date.min, 0, 0))
    pauses = read_pause(pause)
    snapshot = QueueSnapshot(
        queue=name,
        **counts,
        aggregating=0,
        in_aggregation=0,
        orphaned=orphaned,
        groups=groups,
        processed=today.processed,
        failed=today.failed,
        crashed=today.crashed,
        processed_total=int(counters[0] or 0),
        failed_total=int(counters[1] or 0),
        crashed_total=int(counters[2] or 0),
        paused_at=from_unix(_whole(paused)),
        is_paused=paused is not None,
        workers=pauses.workers,
        producers=pauses.producers,
        latency=_latency(counts["pending"], _whole(since), float(now)),
        memory_bytes=None,
        taken_at=from_unix(float(now)),
        repaired={text(kind): int(number) for kind, number in _rows(repaired, 2)},
    )
    return snapshot, SizePage(int(cursor), _sizes(sizes))


def _latency(pending: int, since_ns: int | None, now: float) -> timedelta | None:
    if not pending:
        return timedelta(0)
    if since_ns is None:
        return None
    # A Go client writes the time of its own clock, which may be ahead of Redis' clock.
    return timedelta(seconds=max(0.0, now - since_ns / 1e9))


def _group_page(cursor: bytes, sizes: Any) -> SizePage:
    return SizePage(int(cursor), _sizes(sizes))


def _sizes(reply: Any) -> dict[str, int]:
    return {text(name): size for name, size in _rows(reply, 2)}


def _set(prefix: str, key: bytes, deadline: bytes, size: int) -> tuple[str, AggregationSnapshot]:
    # The name of a group may contain colons, but the ID of a set does not.
    group, _, set_id = text(key).removeprefix(prefix).rpartition(":")
    return group, AggregationSnapshot(set_id, size, from_unix(float(deadline)))


def _days(reply: Any, asked: Sequence[date], count: int) -> list[DaySnapshot]:
    today = _day(reply[0])
    return [counters for counters in _day_counters(reply[1], asked) if counters.day <= today][:count]


def _day_counters(values: Any, days: Sequence[date]) -> list[DaySnapshot]:
    return [
        DaySnapshot(day, *(int(count or 0) for count in counts))
        for day, counts in zip(days, _rows(values, 3), strict=True)
    ]


def _memory(reply: Any) -> MemoryEstimate | None:
    if reply is None:
        return None
    *containers, (grouped, grouped_bytes) = reply
    total = sum(own + (taken / measured * length if measured else 0) for length, measured, taken, own in containers)
    return MemoryEstimate(total, grouped_bytes / grouped if grouped else 0)


def _whole(raw: bytes | None) -> int | None:
    # A queue can be paused by hand, with any value.
    return int(raw) if raw is not None and raw.isdigit() else None


def _rows(flat: Any, width: int) -> list[Any]:
    return [flat[i : i + width] for i in range(0, len(flat), width)]


def _day(seconds: bytes) -> date:
    return datetime.fromtimestamp(float(seconds), UTC).date()
