"""Reads queues, their groups and their daily counters. No script here writes, so a read-only user can run them.

Each call does a limited amount of work: long lists are read in pages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from rota.wire.keys import QueueKeys
from rota.wire.script import Call, load

MAX_PAGE = 500
MAX_DAYS = 90

_MEMORY_TASKS = 20
_MEMORY_GROUPS = 5


@dataclass(frozen=True, slots=True)
class QueueLook:
    """A queue as the script read it. `counts` is keyed by Asynq's names of the states."""

    now: float
    counts: Mapping[str, int]
    orphaned: int
    is_paused: bool
    paused_at: int | None
    pending_since_ns: int | None
    processed: int
    failed: int
    crashed: int
    processed_total: int
    failed_total: int
    crashed_total: int
    groups: int
    cursor: int
    sizes: Mapping[str, int]
    repaired: Mapping[str, int]


class GroupPage(NamedTuple):
    """Sizes of groups by name, and the cursor of the next page: 0 after the last page."""

    cursor: int
    sizes: Mapping[str, int]


class SetLook(NamedTuple):
    """One set of tasks under aggregation, until `deadline` (Unix seconds)."""

    group: str
    id: str
    deadline: float
    size: int


class DayLook(NamedTuple):
    """The counters of one day (UTC)."""

    day: date
    processed: int
    failed: int
    crashed: int = 0


class MemoryLook(NamedTuple):
    """Bytes of the lists, sets and tasks of a queue, estimated from samples, and the average of a grouped task."""

    bytes: float
    per_grouped_task: float


def queue(keys: QueueKeys, today: date, groups: int = MAX_PAGE) -> Call[QueueLook]:
    """Read one queue and the first page of its groups. `today` may be a day off, because Redis' clock decides."""
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
    )
    return Call(
        load("look_queue"), script_keys, (keys.task_prefix, keys.group(""), groups), lambda reply: _queue(reply, days)
    )


def groups(keys: QueueKeys, cursor: int, count: int = MAX_PAGE) -> Call[GroupPage]:
    """Read about `count` groups. A name may come again on a later page, with a newer size."""
    return Call(load("look_groups"), (keys.groups,), (keys.group(""), cursor, count), lambda reply: _group_page(*reply))


def aggregation_sets(keys: QueueKeys, start: int, count: int = MAX_PAGE) -> Call[list[SetLook]]:
    """Read the sets under aggregation, in the order of their deadlines."""
    prefix = keys.group("")
    return Call(
        load("look_sets"),
        (keys.aggregation_sets,),
        (start, count),
        lambda reply: [_set(prefix, *row) for row in _rows(reply, 3)],
    )


def days(keys: QueueKeys, today: date, count: int) -> Call[list[DayLook]]:
    """Read the counters of the last days, newest first. `today` may be a day off, because Redis' clock decides."""
    first = today + timedelta(days=1)
    asked = [first - timedelta(days=back) for back in range(count + 2)]
    return Call(load("look_days"), _counters(keys, asked), (), lambda reply: _days(reply, asked, count))


def memory(keys: QueueKeys) -> Call[MemoryLook | None]:
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


def _queue(reply: Any, days: Sequence[date]) -> QueueLook:
    now, lengths, orphaned, paused, since, counters, groups, cursor, sizes, repaired = reply
    states = ("pending", "active", "scheduled", "retry", "archived", "completed")
    counted = {day.day: day for day in _day_looks(counters[3:], days)}
    today = counted.get(_day(now), DayLook(date.min, 0, 0))
    return QueueLook(
        now=float(now),
        counts=dict(zip(states, lengths, strict=True)),
        orphaned=orphaned,
        is_paused=paused is not None,
        paused_at=_whole(paused),
        pending_since_ns=_whole(since),
        processed=today.processed,
        failed=today.failed,
        crashed=today.crashed,
        processed_total=int(counters[0] or 0),
        failed_total=int(counters[1] or 0),
        crashed_total=int(counters[2] or 0),
        groups=groups,
        cursor=int(cursor),
        sizes=_sizes(sizes),
        repaired={text(kind): int(number) for kind, number in _rows(repaired, 2)},
    )


def _group_page(cursor: bytes, sizes: Any) -> GroupPage:
    return GroupPage(int(cursor), _sizes(sizes))


def _sizes(reply: Any) -> dict[str, int]:
    return {text(name): size for name, size in _rows(reply, 2)}


def _set(prefix: str, key: bytes, deadline: bytes, size: int) -> SetLook:
    # The name of a group may contain colons, but the ID of a set does not.
    group, _, set_id = text(key).removeprefix(prefix).rpartition(":")
    return SetLook(group, set_id, float(deadline), size)


def _days(reply: Any, asked: Sequence[date], count: int) -> list[DayLook]:
    today = _day(reply[0])
    return [look for look in _day_looks(reply[1], asked) if look.day <= today][:count]


def _day_looks(values: Any, days: Sequence[date]) -> list[DayLook]:
    return [
        DayLook(day, *(int(count or 0) for count in counts)) for day, counts in zip(days, _rows(values, 3), strict=True)
    ]


class WorkLeft(NamedTuple):
    """Tasks that can run now or are running (`now`), and tasks that are scheduled or in a paused queue (`later`).

    `now` is 0 only if there are none; due tasks of one set count as one.
    """

    now: int
    later: int


def work_left(keys: QueueKeys) -> Call[WorkLeft]:
    """Count the tasks that can still run in a queue, for a worker that stops when no tasks are left."""
    places = (keys.pending, keys.active, keys.paused, keys.scheduled, keys.retry)
    return Call(load("work_left"), places, (), lambda reply: WorkLeft(*reply))


def _memory(reply: Any) -> MemoryLook | None:
    if reply is None:
        return None
    *containers, (grouped, grouped_bytes) = reply
    total = sum(own + (taken / measured * length if measured else 0) for length, measured, taken, own in containers)
    return MemoryLook(total, grouped_bytes / grouped if grouped else 0)


def _whole(raw: bytes | None) -> int | None:
    # A queue can be paused by hand, with any value.
    return int(raw) if raw is not None and raw.isdigit() else None


def _rows(flat: Any, width: int) -> list[Any]:
    return [flat[i : i + width] for i in range(0, len(flat), width)]


def _day(seconds: bytes) -> date:
    return datetime.fromtimestamp(float(seconds), UTC).date()


def text(raw: bytes) -> str:
    """Decode a name or an ID."""
    # A name that is not UTF-8 cannot be in a message, but another program can add it to a set.
    return raw.decode("utf-8", "replace")
