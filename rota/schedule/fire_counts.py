"""How many times a schedule fires in each minute, without a list of its fires.

Three kinds of times are not searched one by one:

1. The times of an interval shorter than a minute are as far apart as the interval, so a minute is one division.
2. The times of a cron expression in an hour without a clock change are its minutes and seconds, so an hour is one
   search, also with seconds.
3. The times of several specs together are those of each, counted once in each minute.

All other times are found one by one, and forgotten once they are counted.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import TypeAlias

from rota.schedule.cron import CronExpression
from rota.schedule.definition import StoredSchedule
from rota.schedule.simulation import begun, simulate, too_many_fires
from rota.schedule.timetable import DaysOff, Timetable
from rota.schedule.trigger import DelayTrigger, IntervalTrigger, Trigger, UnionTrigger, WallTrigger

MOST_FOUND = 200_000
"""Times that are found one by one. More of them take a minute."""

_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)
_SMALLEST = timedelta(microseconds=1)
_SECOND = 1_000_000
"""Microseconds."""

Minute: TypeAlias = tuple[datetime, Iterable[int]]
"""A minute, and some of the times in it, in microseconds after its start."""


class FireCounter:
    """Counts the fires of schedules from `start` up to `until`, minute by minute."""

    def __init__(self, start: datetime, until: datetime, calendars: Mapping[str, DaysOff] | None = None) -> None:
        self._start = start
        self._until = until
        self._calendars = calendars
        self._found = 0

    def by_minute(self, schedule: StoredSchedule) -> Iterator[tuple[datetime, int]]:
        """Yield each minute in which a schedule fires, and how often, the earliest first.

        Raises OptionError if more than `MOST_FOUND` times had to be found one by one.
        """
        found = begun(schedule, self._start, self._calendars)
        if found is None:
            return
        timetable, first = found
        if (step := _step(timetable)) is not None:
            for at, number in _series(timetable, first, self._until, step):
                yield from _minutes(at, number, step)
        elif timetable.moves or timetable.trigger is None:
            for minute, fires in groupby(self._times(schedule), key=_floored):
                yield minute, sum(1 for _ in fires)
        elif first is not None:
            yield from _limited(timetable, self._union(schedule, timetable.trigger, first), self._until)

    def _times(self, schedule: StoredSchedule) -> Iterator[datetime]:
        for each in simulate(schedule, self._start, self._until, calendars=self._calendars):
            self._count(schedule)
            yield each.at

    def _union(
        self, schedule: StoredSchedule, trigger: Trigger, first: datetime
    ) -> Iterator[tuple[datetime, set[int]]]:
        """Yield the minutes of a trigger, or of the parts of a union, each minute once."""
        parts = trigger.triggers if isinstance(trigger, UnionTrigger) else (trigger,)
        minutes = merge(*(self._of_part(schedule, part, first) for part in parts), key=itemgetter(0))
        for minute, found in groupby(minutes, key=itemgetter(0)):
            yield minute, set[int]().union(*(times for _, times in found))

    def _of_part(self, schedule: StoredSchedule, trigger: Trigger, first: datetime) -> Iterator[Minute]:
        """Yield the minutes of a trigger that is not a union. A minute may come several times."""
        match trigger:
            case IntervalTrigger():
                yield from _minutes_of_interval(trigger, first, self._until)
            case WallTrigger(rule=CronExpression() as rule):
                yield from _minutes_of_cron(trigger, rule, first, self._until)
            case _:
                at = trigger.next(first - _SMALLEST)
                while at is not None and at < self._until:
                    self._count(schedule)
                    yield _floored(at), (_offset(at),)
                    at = trigger.next(at)

    def _count(self, schedule: StoredSchedule) -> None:
        self._found += 1
        if self._found > MOST_FOUND:
            raise too_many_fires(MOST_FOUND, schedule, self._start, self._until)


def _limited(
    timetable: Timetable, minutes: Iterable[tuple[datetime, set[int]]], until: datetime
) -> Iterator[tuple[datetime, int]]:
    """Yield how many times of each minute fire: on working days, up to the ends of the schedule and the interval."""
    definition, left = timetable.definition, timetable.definition.max_runs
    last = until - _SMALLEST if definition.ends_at is None else min(until - _SMALLEST, definition.ends_at)
    for minute, times in minutes:
        if timetable.is_off(minute):
            continue
        number = len(times)
        if last < minute + _MINUTE:
            most = (last - minute) // _SMALLEST
            number = sum(time <= most for time in times)
        if left is not None:
            number = min(number, left)
            left -= number
        if not number:
            return
        yield minute, number


def _minutes_of_interval(trigger: IntervalTrigger, first: datetime, until: datetime) -> Iterator[Minute]:
    at, step = trigger.next(first - _SMALLEST), trigger.every
    while at is not None and at < until:
        minute = _floored(at)
        number = (minute + _MINUTE - _SMALLEST - at) // step + 1
        yield minute, (_offset(at + n * step) for n in range(number))
        at += number * step


def _minutes_of_cron(trigger: WallTrigger, rule: CronExpression, first: datetime, until: datetime) -> Iterator[Minute]:
    """Yield the minutes of a cron expression, with one search for each hour of the wall clock."""
    seconds = [second * _SECOND for second in range(60) if rule.seconds >> second & 1]
    after = first - _SMALLEST
    while (found := trigger.occurrence(after)) is not None and found.at < until:
        after, minute = found.at, _floored(found.at)
        local = found.at.astimezone(trigger.zone)
        end = minute - timedelta(minutes=local.minute) + _HOUR
        if found.note in ("shifted", "merged") or end.astimezone(trigger.zone).utcoffset() != local.utcoffset():
            yield minute, (_offset(found.at),)  # around a clock change, the times are found one by one
            continue
        yield minute, [second for second in seconds if second >= _offset(found.at)]
        for later in range(local.minute + 1, 60):
            if rule.minutes >> later & 1:
                yield minute + (later - local.minute) * _MINUTE, seconds
        after = end - _SMALLEST


def _offset(at: datetime) -> int:
    return at.second * _SECOND + at.microsecond


def _step(timetable: Timetable) -> timedelta | None:
    """Return how far apart the times are, if that is always the same and less than a minute; None otherwise."""
    if timetable.moves:
        return None
    match timetable.trigger:
        case IntervalTrigger(every=step) | DelayTrigger(delay=step):
            return step if step < _MINUTE else None
        case _:
            return None


def _series(
    timetable: Timetable, at: datetime | None, until: datetime, step: timedelta
) -> Iterator[tuple[datetime, int]]:
    """Yield the times as series: the first time and how many there are, `step` apart. With a calendar, day by day."""
    definition = timetable.definition
    left = definition.max_runs
    while at is not None and at < until and left != 0:
        if timetable.is_off(at):
            at = timetable.next(timetable.days_off_end(at) - _SMALLEST)
            continue
        end = until if timetable.calendar is None else min(until, timetable.day_end(at))
        number = (end - _SMALLEST - at) // step + 1
        if definition.ends_at is not None:
            number = min(number, (definition.ends_at - at) // step + 1)
        if left is not None:
            number = min(number, left)
            left -= number
        yield at, number
        at = timetable.next(at + (number - 1) * step)


def _minutes(at: datetime, number: int, step: timedelta) -> Iterator[tuple[datetime, int]]:
    """Yield the minutes of a series, and how many of its times are in each."""
    while number > 0:
        minute = _floored(at)
        fires = min(number, (minute + _MINUTE - _SMALLEST - at) // step + 1)
        yield minute, fires
        number -= fires
        at += fires * step


def _floored(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)
