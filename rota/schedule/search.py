"""Finds the next and the previous instant at which a rule fires in a time zone.

A rule names times of a wall clock: days of a month, and times of a day. `first_wall` and `last_wall` search the
calendar with bit masks, without a time zone. `following` and `preceding` turn wall times into instants:

1. Most wall times are one instant.
2. In spring a clock jumps forward, and the wall times in the gap do not exist. They fire at the first instant after the
   gap, where `through_gap` is set; otherwise they do not fire.
3. In autumn a clock jumps back, and the wall times between fire in the first pass; in both passes, if `both_passes` is
   set.

A rule that follows elapsed time (`*/15 * * * *`) has `through_gap` unset and `both_passes` set: then it fires whenever
the wall clock shows one of its times.

`following` and `preceding` give up after `YEARS`, so that a rule that never fires ends the search.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal, NamedTuple, Protocol, TypeAlias

Note: TypeAlias = Literal["normal", "shifted", "merged", "repeated"]

YEARS = 8  # 29 February is eight years away at most: from 2096 to 2104
_DAY = 86_400
_SECOND = timedelta(seconds=1)
_NONE = timedelta(0)
_FIRST_YEAR, _LAST_YEAR = 1, 9999


class Occurrence(NamedTuple):
    """An instant, in UTC, at which a schedule fires, and what a clock change made of it.

    shifted: its wall time does not exist on this day, so it fires at the first instant after the gap.
    merged: several wall times of the schedule fall on this one instant.
    repeated: its wall time has come before on this day.
    """

    at: datetime
    note: Note = "normal"


class WallRule(Protocol):
    """Days and times of a wall clock. `months` is a mask, bit 1 for January."""

    @property
    def months(self) -> int:
        """The months, as a mask."""
        ...

    def days(self, year: int, month: int) -> int:
        """Return the matching days of a month as a mask, bit 1 for the first. Does not look at `months`."""
        ...

    def time_from(self, time: int) -> int:
        """Return the first time of day that is not before this one, both in seconds; -1 if there is none."""
        ...

    def time_until(self, time: int) -> int:
        """Return the last time of day that is not after this one, both in seconds; -1 if there is none."""
        ...


def following(
    rule: WallRule, zone: tzinfo, after: datetime, *, through_gap: bool, both_passes: bool
) -> Occurrence | None:
    """Return the first occurrence strictly after an instant; None if there is none within `YEARS`."""
    local = after.astimezone(zone)
    start = local.replace(microsecond=0, tzinfo=None, fold=0)
    until = min(local.year + YEARS, _LAST_YEAR)
    wall = first_wall(rule, start + _SECOND, until)
    repeat = _repeat(start, zone)
    if repeat is not None:
        low, high = repeat
        if local.fold == 0 and both_passes and (wall is None or wall >= high):
            again = first_wall(rule, low, until)
            if again is not None and again < high:
                return Occurrence(_instant(again, zone, 1), "repeated")
        if local.fold == 1 and wall is not None and wall < high:
            if both_passes:
                return Occurrence(_instant(wall, zone, 1), "repeated")
            wall = first_wall(rule, high, until)
    while wall is not None:
        gap = _gap(wall, zone)
        if gap is None:
            return Occurrence(_instant(wall, zone, 0))
        _, end, change = gap
        if through_gap:
            more = first_wall(rule, wall + _SECOND, until)
            return Occurrence(change, "merged" if more is not None and more <= end else "shifted")
        wall = first_wall(rule, end, until)
    return None


def preceding(
    rule: WallRule, zone: tzinfo, before: datetime, *, through_gap: bool, both_passes: bool
) -> datetime | None:
    """Return the last instant strictly before another one, in UTC; None if there is none within `YEARS`."""
    if before.microsecond:
        before = before.replace(microsecond=0) + _SECOND
    local = before.astimezone(zone)
    end = local.replace(tzinfo=None, fold=0)
    since = max(local.year - YEARS, _FIRST_YEAR)
    wall = last_wall(rule, end - _SECOND, since)
    repeat = _repeat(end, zone)
    if repeat is not None:
        low, high = repeat
        if local.fold == 1 and both_passes and wall is not None and wall >= low:
            return _instant(wall, zone, 1)
        if local.fold == 1:
            wall = last_wall(rule, high - _SECOND, since)
        if wall is not None and wall >= low:
            return _instant(wall, zone, 0)
    while wall is not None:
        gap = _gap(wall, zone)
        if gap is None:
            return _instant(wall, zone, 1 if both_passes else 0)
        start, _, change = gap
        if through_gap and change < before:
            return change
        wall = last_wall(rule, start - _SECOND, since)
    return None


def first_wall(rule: WallRule, start: datetime, until: int) -> datetime | None:
    """Return the first wall time of a rule that is not before another one, up to the end of a year."""
    year, month, day = start.year, start.month, start.day
    months = rule.months
    time = rule.time_from(start.hour * 3600 + start.minute * 60 + start.second)
    if time < 0:
        day += 1
    first = -1
    while year <= until:
        if months >> month & 1 and day < 32 and (days := rule.days(year, month) >> day):
            ahead = (days & -days).bit_length() - 1
            if ahead or time < 0:
                time = rule.time_from(0) if first < 0 else first
                if time < 0:
                    return None
            return datetime(year, month, day + ahead, time // 3600, time // 60 % 60, time % 60)
        if first < 0:
            time = first = rule.time_from(0)
            if first < 0:
                return None
        day = 1
        month += 1
        if month > 12:
            year, month = year + 1, 1
    return None


def last_wall(rule: WallRule, start: datetime, since: int) -> datetime | None:
    """Return the last wall time of a rule that is not after another one, down to the start of a year."""
    year, month, day = start.year, start.month, start.day
    months = rule.months
    time = rule.time_until(start.hour * 3600 + start.minute * 60 + start.second)
    last = rule.time_until(_DAY - 1)
    if last < 0:
        return None
    if time < 0:
        day, time = day - 1, last
    while year >= since:
        if months >> month & 1 and (days := rule.days(year, month) & ((2 << day) - 1)):
            found = days.bit_length() - 1
            if found != day:
                time = last
            return datetime(year, month, found, time // 3600, time // 60 % 60, time % 60)
        day, time = 31, last
        month -= 1
        if month < 1:
            year, month = year - 1, 12
    return None


def local_instant(wall: datetime, zone: tzinfo, *, through_gap: bool) -> datetime | None:
    """Return the instant of one wall time; of its first pass, if it comes twice. None if it does not exist."""
    gap = _gap(wall, zone)
    if gap is not None:
        return gap[2] if through_gap else None
    return _instant(wall, zone, 0)


def offset_change(zone: tzinfo, low: datetime, high: datetime) -> datetime:
    """Return the first instant after `low` at which the offset of a zone is another one than at `low`.

    There must be one such change between `low` and `high`. Both are whole seconds in UTC.
    """
    offset = low.astimezone(zone).utcoffset()
    before, after = 0, (high - low) // _SECOND
    while after - before > 1:
        middle = (before + after) // 2
        if (low + timedelta(seconds=middle)).astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return low + timedelta(seconds=after)


def _instant(wall: datetime, zone: tzinfo, fold: int) -> datetime:
    return wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _offsets(wall: datetime, zone: tzinfo) -> tuple[timedelta, timedelta]:
    """Return the offsets of a wall time before and after a change. They differ in a gap, and where it comes twice."""
    return zone.utcoffset(wall) or _NONE, zone.utcoffset(wall.replace(fold=1)) or _NONE


def _repeat(wall: datetime, zone: tzinfo) -> tuple[datetime, datetime] | None:
    """Return the wall times between which the clock shows each time twice, if it does so at this time."""
    before, after = _offsets(wall, zone)
    if before <= after:
        return None
    change = offset_change(zone, _utc(wall - before), _utc(wall - after))
    naive = change.replace(tzinfo=None)
    return naive + after, naive + before


def _gap(wall: datetime, zone: tzinfo) -> tuple[datetime, datetime, datetime] | None:
    """Return the gap in which a wall time lies: its first wall time, and the first wall time and instant after it."""
    before, after = _offsets(wall, zone)
    if before >= after:
        return None
    change = offset_change(zone, _utc(wall - after), _utc(wall - before))
    naive = change.replace(tzinfo=None)
    return naive + before, naive + after, change


def _utc(naive: datetime) -> datetime:
    return naive.replace(tzinfo=UTC)
