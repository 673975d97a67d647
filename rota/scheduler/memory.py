"""The memory of a leader about one schedule, and the text in which it is stored in Redis.

`ScheduleState` is the part that decides planned times. Beside it stand the runs that are not over as far as known, the
planned times that wait for them, and the pause of a schedule that has no row in a store.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from rota import events
from rota.schedule.due import ScheduleState
from rota.schedule.run import Cause, SkipReason
from rota.scheduler.run_batch import unix_ms
from rota.wire.look_task import TaskEnd
from rota.wire.scheduler_steps import StateChange, StoredState
from rota.wire.times import EPOCH

_WORST: Sequence[TaskEnd] = ("open", "waiting", "lost", "failed", "cancelled", "succeeded")
MOST_ORDER_IDS = 20
"""The IDs of orders that are remembered of one schedule. The leader reads as many orders at once, at most."""


class OpenRun(NamedTuple):
    """A run that was enqueued, and whose end is not known yet. `begun`: whether a worker is known to have begun it."""

    id: str
    queue: str
    task_ids: tuple[str, ...]
    planned_at: datetime
    begun: bool = False


class EndedRun(NamedTuple):
    """A run that is over, with the worst end of its tasks."""

    run: OpenRun
    end: TaskEnd


class WaitingRun(NamedTuple):
    """A planned time that waits until the runs before it are over."""

    planned_at: datetime
    cause: Cause


@dataclass(frozen=True, slots=True)
class OrderedPause:
    """A pause of a schedule that was ordered at run time. `until` None means until it is resumed."""

    until: datetime | None = None
    note: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class SkipRow:
    """Planned times in a row that were skipped for one reason. `written` is the last one when a record was written."""

    first: datetime
    last: datetime
    count: int
    reason: SkipReason
    note: str
    written: datetime | None


@dataclass(slots=True)
class ScheduleMemory:
    """All of it. `stored` is the text that is in Redis."""

    state: ScheduleState
    open: list[OpenRun] = field(default_factory=list[OpenRun])
    waiting: list[WaitingRun] = field(default_factory=list[WaitingRun])
    pause: OrderedPause | None = None
    failures: int = 0
    """The failures in a row, for `auto_pause`."""
    orders: tuple[str, ...] = ()
    """The IDs of the last orders that were carried out, because an order may be read twice."""
    stored: str = ""
    skip_row: SkipRow | None = None
    ends: list[EndedRun] = field(default_factory=list[EndedRun])
    """Runs whose end was seen and is not dealt with yet."""

    @property
    def begun(self) -> frozenset[str]:
        """The IDs of the open runs that a worker is known to have begun."""
        return frozenset(run.id for run in self.open if run.begun)

    def copy(self) -> "ScheduleMemory":
        """Return a copy that can be changed."""
        return replace(self, open=list(self.open), waiting=list(self.waiting), ends=list(self.ends))

    def change(self, schedule_id: str, *, moved: bool = False) -> StateChange:
        """Return what to write to Redis. `moved` says that the last planned time is later than the one there."""
        last = self.state.last
        written = moved or not self.stored  # without a text there is no time in Redis either
        return StateChange(schedule_id, unix_ms(last) if written and last is not None else None, self.text())

    def moved_to(self, run_id: str, queue: str) -> None:
        """Note that an open run goes to another queue than was planned."""
        self.open = [run._replace(queue=queue) if run.id == run_id else run for run in self.open]

    def ended(self, ends: list[EndedRun], now: datetime) -> None:
        """Note that open runs are over."""
        over = {ended.run.id for ended in ends}
        left = [run for run in self.open if run.id not in over]
        self.ends += ends
        self.open = left
        self.state = replace(self.state, is_open=bool(left), ended_at=self.state.ended_at if left else now)

    def text(self) -> str:
        """Return the text for Redis. The last planned time stands before it, where the scripts can read it."""
        state = self.state
        words: dict[str, Any] = {"since": unix_ms(state.since), "timing": state.timing}
        if state.runs:
            words["runs"] = state.runs
        if state.ended_at is not None:
            words["ended"] = unix_ms(state.ended_at)
        if state.skips:
            words["skips"] = sorted(map(unix_ms, state.skips))
        if self.open:
            words["open"] = [[run.id, run.queue, list(run.task_ids), unix_ms(run.planned_at)] for run in self.open]
        if self.waiting:
            words["waiting"] = [[unix_ms(run.planned_at), run.cause] for run in self.waiting]
        if self.pause is not None:
            until = None if self.pause.until is None else unix_ms(self.pause.until)
            words["pause"] = [until, self.pause.note, self.pause.by]
        if (row := self.skip_row) is not None:
            written = None if row.written is None else unix_ms(row.written)
            words["skipped"] = [unix_ms(row.first), unix_ms(row.last), row.count, row.reason, row.note, written]
        if self.failures:
            words["failures"] = self.failures
        if self.orders:
            words["orders"] = self.orders[-MOST_ORDER_IDS:]
        return json.dumps(words, separators=(",", ":"))


def read_memory(stored: StoredState) -> ScheduleMemory:
    """Read what `ScheduleMemory.text` wrote. Raises ValueError if it is something else."""
    try:
        words: Any = json.loads(stored.state)
        state = ScheduleState(
            since=from_ms(words["since"]),
            timing=words["timing"],
            last=from_ms(stored.planned_ms) if stored.planned_ms else None,
            runs=words.get("runs", 0),
            ended_at=from_ms(words["ended"]) if "ended" in words else None,
            skips=frozenset(map(from_ms, words.get("skips", ()))),
        )
        until, *about = words.get("pause", (None,))
        return ScheduleMemory(
            replace(state, is_open=bool(words.get("open"))),
            [OpenRun(id, queue, tuple(ids), from_ms(at)) for id, queue, ids, at in words.get("open", ())],
            [WaitingRun(from_ms(at), cause) for at, cause in words.get("waiting", ())],
            OrderedPause(None if until is None else from_ms(until), *about) if "pause" in words else None,
            words.get("failures", 0),
            tuple(words.get("orders", ())),
            stored.state,
            _skip_row(*words["skipped"]) if "skipped" in words else None,
        )
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"not the state of a schedule: {error!r}") from error


def from_ms(milliseconds: int) -> datetime:
    """Return the moment of a Unix time in milliseconds."""
    return EPOCH + timedelta(milliseconds=milliseconds)


def later(stored: ScheduleMemory, known: ScheduleMemory) -> ScheduleMemory:
    """Return the memory that is further. Redis may have lost its last writes, or all of them."""
    first = datetime.min.replace(tzinfo=UTC)
    return known if (known.state.last or first) > (stored.state.last or first) else stored


def worst(ends: Iterable[TaskEnd]) -> TaskEnd:
    """Return the end of a run by the ends of its tasks.

    It is open while one of them is, or while some have ended and others wait for a worker. Else it is the worst.
    """
    found = set(ends)
    if "waiting" in found and len(found) > 1:
        return "open"
    return min(found, key=_WORST.index)


def recalled(schedule_id: str, known: ScheduleMemory | None, stored: StoredState | None) -> ScheduleMemory | None:
    """Return the memory of a schedule: what this process knows, or what is in Redis if that is further."""
    if stored is None:
        return known
    try:
        found = read_memory(stored)
    except ValueError as error:
        events.emit(events.ScheduleStateUnreadable(schedule=schedule_id, error=error))
        return None
    return found if known is None else later(found, known)


def _skip_row(first: int, last: int, count: int, reason: SkipReason, note: str, written: int | None) -> SkipRow:
    return SkipRow(from_ms(first), from_ms(last), count, reason, note, None if written is None else from_ms(written))
