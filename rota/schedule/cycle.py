"""Rules in words: every n days, weeks or months at some times, and every few minutes within a window of each day."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Literal, TypeAlias

from rota.schedule.cron import CronExpression, month_length

CycleUnit: TypeAlias = Literal["day", "week", "month"]

_ALL_MONTHS = 0b1_1111_1111_1110
_FIRST_MONDAY = date(1970, 1, 5)
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Cycle:
    """Every `count` days, weeks or months, on `on` (days of these weeks or months), at `times` (seconds of the day).

    The count starts at the day, week or month of `anchor`. Weeks start on Monday.
    """

    unit: CycleUnit
    count: int
    on: CronExpression
    """The days in question. Its times and months do not count."""
    times: tuple[int, ...]
    anchor: date = _FIRST_MONDAY
    months: int = field(default=_ALL_MONTHS, init=False)

    def anchored(self, day: date) -> "Cycle":
        """Return this rule counted from another day."""
        return replace(self, anchor=day)

    def days(self, year: int, month: int) -> int:
        """Return the matching days of a month as a mask, bit 1 for the first."""
        days = self.on.days(year, month)
        if self.count == 1:
            return days
        if self.unit == "month":
            apart = (year - self.anchor.year) * 12 + month - self.anchor.month
            return 0 if apart % self.count else days
        before = date(year, month, 1).toordinal() - 1
        start, size = self.anchor.toordinal(), 1
        if self.unit == "week":
            start, size = start - self.anchor.weekday(), 7
        for day in range(1, month_length(year, month) + 1):
            if (before + day - start) // size % self.count:
                days &= ~(1 << day)
        return days

    def time_from(self, time: int) -> int:
        """Return the first time that is not before this one; -1 if there is none."""
        found = bisect_left(self.times, time)
        return self.times[found] if found < len(self.times) else -1

    def time_until(self, time: int) -> int:
        """Return the last time that is not after this one; -1 if there is none."""
        found = bisect_right(self.times, time)
        return self.times[found - 1] if found else -1


@dataclass(frozen=True, slots=True)
class DailyWindow:
    """Every `step` seconds from `start` to `end` of each day of `on`. Both ends belong to it.

    A window that ends before it starts goes on after midnight. That part is a second rule, `morning`: the window of the
    days before.
    """

    start: int
    end: int
    step: int
    on: CronExpression
    """The days on which the window opens. Its times and months do not count."""
    morning: bool = False
    months: int = field(default=_ALL_MONTHS, init=False)

    @property
    def overnight(self) -> bool:
        """Whether the window goes on after midnight."""
        return self.end < self.start

    def days(self, year: int, month: int) -> int:
        """Return the matching days of a month as a mask, bit 1 for the first."""
        days = self.on.days(year, month)
        if not self.morning:
            return days
        last_year, last_month = (year, month - 1) if month > 1 else (year - 1, 12)
        length = month_length(last_year, last_month)
        carried = last_year > 0 and self.on.days(last_year, last_month) >> length & 1
        return (days << 1 | carried << 1) & ((2 << month_length(year, month)) - 2)

    def time_from(self, time: int) -> int:
        """Return the first time that is not before this one; -1 if there is none."""
        first, last = self._span()
        found = first if time <= first else time + (first - time) % self.step
        return found if found <= last else -1

    def time_until(self, time: int) -> int:
        """Return the last time that is not after this one; -1 if there is none."""
        first, last = self._span()
        time = min(time, last)
        return time - (time - first) % self.step if time >= first else -1

    def _span(self) -> tuple[int, int]:
        """Return the first time and the end of this rule's part of the day."""
        if not self.overnight:
            return self.start, self.end
        if self.morning:
            return (self.start - _DAY) % self.step, self.end
        return self.start, _DAY - 1
