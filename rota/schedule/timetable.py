"""The planned times of one schedule: its triggers, moved by its calendar, and delayed by its jitter.

A planned time names a run, so it does not depend on the time of the question. The same definition gives the same
planned times in every process and after every restart:

- Intervals count from `since`, the moment from which the present times of the schedule hold, or from `starts_at`.
- With a calendar, a time on a day off moves to the same time of a working day, if `on_day_off` says so. Times that
  meet are one planned time.
- Jitter delays the fire and not the planned time. It is a hash of the schedule and the planned time. An edit of the
  times ends the wait: the planned times before it are decided at once.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from hashlib import blake2b
from typing import Protocol, cast
from zoneinfo import ZoneInfo

from rota.schedule.definition import ScheduleDefinition
from rota.schedule.run import SkipReason, run_id
from rota.schedule.search import local_instant
from rota.schedule.trigger import OnceTrigger, Trigger, union

LONGEST_HOLIDAY = 366
"""Days. A calendar without a working day for longer than this has none."""
LATEST_MOMENT = timedelta(days=1)
"""A moment this long before the schedule was saved counts as missed. An older one never fires, because it may have been
done long ago by a server whose data is lost."""

_DAY = timedelta(days=1)
_MILLISECOND = timedelta(milliseconds=1)
_SMALLEST = timedelta(microseconds=1)


class DaysOff(Protocol):
    """The part of a `Calendar` that planned times need."""

    def is_off(self, day: date, /) -> bool:
        """Whether a schedule does not fire on this day."""
        ...


@dataclass(frozen=True)
class Timetable:
    """The planned times of a schedule that is not fixed to the end of its last run. All instants are in UTC."""

    schedule_id: str
    definition: ScheduleDefinition
    since: datetime
    calendar: DaysOff | None = None
    anchor: datetime | None = None
    """The moment from which intervals count, if it is not `since`."""
    until: datetime | None = None
    """No planned time lies after this instant, because another version of the schedule holds from then on."""
    skipped_as: SkipReason | None = None
    """Why no planned time fires any more: the schedule was stopped or deleted since."""

    @cached_property
    def trigger(self) -> Trigger | None:
        """The union of the specs, counted from `since`. None for a schedule that runs only on demand."""
        definition = self.definition
        if definition.kind == "wait":
            return None
        if definition.kind == "once":
            moment = definition.process_at or self.since + (definition.process_in or timedelta(0))
            return OnceTrigger(f"at {moment.isoformat()}", moment)
        found = union([definition.read_spec(spec, seed=self.schedule_id) for spec in definition.specs])
        return found.anchored(definition.starts_at or self.anchor or self.since)

    @property
    def first(self) -> datetime:
        """Planned times lie after this instant."""
        if self.definition.kind == "once":
            return self.since - LATEST_MOMENT
        starts_at = self.definition.starts_at
        return self.since if starts_at is None else max(self.since, starts_at - _SMALLEST)

    def next(self, after: datetime) -> datetime | None:
        """Return the first planned time after an instant; None if there is none, also because of an end."""
        start = max(after, self.first)
        if self.trigger is not None and self.trigger.after_end:  # the delay counts from a moment in whole milliseconds
            start = _floored(max(after, self.since, self.definition.starts_at or self.since))
        found, end = self._later(start), self._end
        return None if found is None or (end is not None and found > end) else found

    def previous(self, before: datetime) -> datetime | None:
        """Return the last planned time before an instant; None if there is none."""
        end = self._end
        found = self._earlier(before if end is None else min(before, end + _SMALLEST))
        return None if found is None or found <= self.first else found

    def fires_at(self, planned: datetime) -> datetime:
        """Return when the run of a planned time starts: the planned time and its jitter, which `until` cuts short."""
        jitter = self.definition.jitter
        if jitter is None:
            return planned
        digest = blake2b(run_id(self.schedule_id, planned).encode(), digest_size=8).digest()
        found = planned + timedelta(milliseconds=int.from_bytes(digest) * (jitter // _MILLISECOND + 1) >> 64)
        # The next version would not know a time that is still waiting for its jitter, and cannot wait for it.
        return found if self.until is None else min(found, self.until)

    def is_off(self, planned: datetime) -> bool:
        """Whether a planned time is skipped, because it lies on a day off."""
        return self.calendar is not None and not self.moves and self.calendar.is_off(self.day(planned))

    def days_off_start(self, planned: datetime) -> datetime:
        """Return the start of the days off, without a working day between, that a planned time lies in."""
        first = self._spread(self.day(planned), -1)
        return self._midnight(first)

    def days_off_end(self, planned: datetime) -> datetime:
        """Return the end of the days off, without a working day between, that a planned time lies in."""
        return self._midnight(self._spread(self.day(planned), 1) + _DAY)

    def day_end(self, instant: datetime) -> datetime:
        """Return the end of the day of an instant in the time zone of the schedule."""
        return self._midnight(self.day(instant) + _DAY)

    def day(self, instant: datetime) -> date:
        """Return the day of an instant in the time zone of the schedule."""
        return instant.astimezone(self._zone).date()

    @cached_property
    def _end(self) -> datetime | None:
        return min((end for end in (self.definition.ends_at, self.until) if end is not None), default=None)

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.definition.timezone)

    @property
    def moves(self) -> bool:
        """Whether planned times on days off move to working days."""
        return self.calendar is not None and self.definition.on_day_off != "skip"

    @property
    def _forwards(self) -> bool:
        return self.definition.on_day_off == "next_working_day"

    def _later(self, after: datetime) -> datetime | None:
        trigger = self.trigger
        if trigger is None:
            return None
        if not self.moves:
            return trigger.next(after)
        working = self._working(self.day(after))
        while working is not None:
            first, last = self._joined(working)
            same_day = self.day(after) == working
            found = [
                moved
                for day in _days(first, last)
                if (moved := self._first_moved(trigger, day, working, after, same_day)) is not None
            ]
            if found:
                return min(found)
            following = trigger.next(max(after, self._midnight(last + _DAY) - _SMALLEST))
            working = following and self._working(self.day(following))
        return None

    def _earlier(self, before: datetime) -> datetime | None:
        trigger = self.trigger
        if trigger is None:
            return None
        if not self.moves:
            return trigger.previous(before)
        latest = before - _SMALLEST
        working = self._working(self.day(latest))
        while working is not None:
            first, last = self._joined(working)
            same_day = self.day(latest) == working
            found = [
                moved
                for day in _days(first, last)
                if (moved := self._last_moved(trigger, day, working, before, same_day)) is not None
            ]
            if found:
                return max(found)
            preceding = trigger.previous(min(before, self._midnight(first)))
            working = preceding and self._working(self.day(preceding))
        return None

    def _first_moved(
        self, trigger: Trigger, day: date, working: date, after: datetime, same_day: bool
    ) -> datetime | None:
        """Return the first time of a day, moved to its working day, that is after an instant."""
        start = self._on(day, after) if same_day else self._midnight(day)
        found = trigger.next(start - _SMALLEST)
        while found is not None and self.day(found) == day:
            if (moved := self._on(working, found)) > after:
                return moved
            found = trigger.next(found)
        return None

    def _last_moved(
        self, trigger: Trigger, day: date, working: date, before: datetime, same_day: bool
    ) -> datetime | None:
        """Return the last time of a day, moved to its working day, that is before an instant."""
        end = self._on(day, before - _SMALLEST) + _SMALLEST if same_day else self._midnight(day + _DAY)
        found = trigger.previous(end)
        while found is not None and self.day(found) == day:
            if (moved := self._on(working, found)) < before:
                return moved
            found = trigger.previous(found)
        return None

    def _working(self, day: date) -> date | None:
        """Return the working day to which the times of a day move; None if there is none near."""
        step = _DAY if self._forwards else -_DAY
        for _ in range(LONGEST_HOLIDAY):
            if self.calendar is None or not self.calendar.is_off(day):
                return day
            day += step
        return None

    def _joined(self, working: date) -> tuple[date, date]:
        """Return the first and the last day whose times move to a working day, or stay there."""
        if self._forwards:
            return self._spread(working, -1), working
        return working, self._spread(working, 1)

    def _spread(self, day: date, step: int) -> date:
        """Return the last of the days off that follow a day without a gap, in one direction."""
        for _ in range(LONGEST_HOLIDAY):
            beside = day + step * _DAY
            if self.calendar is None or not self.calendar.is_off(beside):
                break
            day = beside
        return day

    def _midnight(self, day: date) -> datetime:
        return self._instant(day, time())

    def _on(self, day: date, instant: datetime) -> datetime:
        """Return the instant at which the clock shows, on another day, the time that it shows at an instant."""
        if self.day(instant) == day:
            return instant
        return self._instant(day, instant.astimezone(self._zone).time())

    def _instant(self, day: date, at: time) -> datetime:
        wall = datetime.combine(day, at.replace(fold=0, tzinfo=None))
        # Never None, because a time in a gap is the instant after the gap.
        return cast("datetime", local_instant(wall, self._zone, through_gap=True))


def never_fires(definition: ScheduleDefinition, now: datetime) -> str | None:
    """Return a sentence if a schedule that is saved now has no planned time left; None otherwise."""
    if definition.kind == "wait" or not definition.enabled:
        return None
    if Timetable("", definition, now).next(now) is not None:
        return None
    moment = definition.process_at
    if moment is not None:
        late = moment < now - LATEST_MOMENT
        return f"process_at is {moment.isoformat()}, more than a day ago, so it would never fire." if late else None
    if definition.ends_at is not None and definition.ends_at < now:
        return f"ends_at is {definition.ends_at.isoformat()}, which is in the past, so it would never fire."
    return f"its times ({'; '.join(definition.specs)}) are all in the past, so it would never fire."


def _floored(instant: datetime) -> datetime:
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def _days(first: date, last: date) -> list[date]:
    return [first + index * _DAY for index in range((last - first).days + 1)]
