"""How many times a schedule fires in each minute, without a list of its fires.

The times of an interval shorter than a minute are as far apart as the interval, so a minute is one division, and a
schedule that fires each second costs as much as one that fires each minute. All other times are found one by one, and
forgotten once they are counted.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import groupby

from rota.schedule.definition import StoredSchedule
from rota.schedule.simulation import begun, simulate, too_many_fires
from rota.schedule.timetable import DaysOff, Timetable
from rota.schedule.trigger import DelayTrigger, IntervalTrigger

MOST_FOUND = 500_000
"""Times that are found one by one. More of them take minutes."""

_MINUTE = timedelta(minutes=1)
_SMALLEST = timedelta(microseconds=1)


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
        step = _step(timetable)
        if step is None:
            for minute, fires in groupby(self._times(schedule), key=_floored):
                yield minute, sum(1 for _ in fires)
            return
        for at, number in _series(timetable, first, self._until, step):
            yield from _minutes(at, number, step)

    def _times(self, schedule: StoredSchedule) -> Iterator[datetime]:
        for each in simulate(schedule, self._start, self._until, calendars=self._calendars):
            self._found += 1
            if self._found > MOST_FOUND:
                raise too_many_fires(MOST_FOUND, schedule, self._start, self._until)
            yield each.at


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
