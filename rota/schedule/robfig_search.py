"""Finds the next time of a cron expression exactly as robfig/cron v3.0.1 does, for schedules in Asynq's dialect.

`SpecSchedule.Next` walks through the months, days, hours, minutes and seconds with the arithmetic of Go's `time`
package. Where the clock changes, the walk has results of its own, which Asynq's users see: a day that starts within a
gap can be passed over. So `robfig_next` walks in the same steps. Where no clock change is near, the walk finds the next
matching wall time, and the bit masks find it faster.

Only one result differs: Go's walk never ends at a calendar day that does not exist (Apia, 30 December 2011). Here the
walk goes on after it.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial

from rota.schedule.cron import CronExpression
from rota.schedule.search import first_wall

YEARS = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_NEAR = timedelta(days=1)  # no zone changes its clock twice within this time
_SHORTCUT = timedelta(days=3)
_HOUR, _NONE = timedelta(hours=1), timedelta(0)
_EVERY_MONTH = 0b1_1111_1111_1110


def robfig_next(cron: CronExpression, zone: tzinfo, after: datetime) -> datetime | None:
    """Return the first instant after another one at which robfig/cron fires, in UTC; None after five years."""
    start = after.astimezone(UTC).replace(microsecond=0) + _SECOND
    local = start.astimezone(zone)
    wall = first_wall(cron, local.replace(tzinfo=None, fold=0), min(local.year + YEARS, 9999))
    if wall is None:
        return None
    found = wall.replace(tzinfo=zone, fold=local.fold).astimezone(UTC)
    if zone.utcoffset(None) is not None or _plain(cron, local, wall, found):
        return found
    return robfig_walk(cron, zone, _shortcut(cron, start, wall, zone), local.year + YEARS)


def robfig_walk(cron: CronExpression, zone: tzinfo, start: datetime, until: int) -> datetime | None:
    """Walk to the first instant that is not before `start`, up to the end of a year."""
    seconds = _Walk(cron, zone, (start - _EPOCH) // _SECOND).run(until)
    return None if seconds is None else _EPOCH + timedelta(seconds=seconds)


def _shortcut(cron: CronExpression, start: datetime, wall: datetime, zone: tzinfo) -> datetime:
    """Return where the walk may start: at a midnight some days before the first matching wall time.

    The walk stands at each midnight in between, and nothing matches there, so what came before does not count. It does
    count where the walk steps over months, where the clock changes near the start, and where a jump of less than an
    hour skips a midnight: from then on, the walk stands some minutes after each midnight.
    """
    midnight = datetime(wall.year, wall.month, wall.day) - _SHORTCUT
    later = midnight.replace(tzinfo=zone).astimezone(UTC)
    safe = (
        cron.months == _EVERY_MONTH
        and later > start + _NEAR
        and later.astimezone(zone).replace(tzinfo=None, fold=0) == midnight
        and _offset_at(start - _NEAR, zone) == _offset_at(start, zone) == _offset_at(start + _NEAR, zone)
        and not (_offset_at(later, zone) - _offset_at(start, zone)) % _HOUR
    )
    return later if safe else start


def _plain(cron: CronExpression, local: datetime, wall: datetime, found: datetime) -> bool:
    """Whether the walk takes no step that a clock change could divert: it would start at midnight, or in this month."""
    zone = local.tzinfo
    offset = local.utcoffset()
    return (
        bool(cron.months >> local.month & 1)
        and wall - local.replace(tzinfo=None, fold=0) <= _NEAR
        and found.astimezone(zone).utcoffset() == offset
        and found.astimezone(zone).replace(tzinfo=None, fold=0) == wall
        and (local.astimezone(UTC) - _NEAR).astimezone(zone).utcoffset() == offset
        # A later change matters too: the walk truncates to the hour, and an hour that comes twice may give the second.
        and (local.astimezone(UTC) + _NEAR).astimezone(zone).utcoffset() == offset
    )


class _Walk:
    """The walk of `SpecSchedule.Next`: the seconds since 1970 (`at`), and the same time in the zone (`local`)."""

    def __init__(self, cron: CronExpression, zone: tzinfo, at: int) -> None:
        self._cron = cron
        self._zone = zone
        self._added = False
        self._go(at)

    def run(self, until: int) -> int | None:
        stages = (
            self._month,
            self._day,
            partial(self._field, self._cron.hours, "hour", 3600),
            partial(self._field, self._cron.minutes, "minute", 60),
            partial(self._field, self._cron.seconds, "second", 1),
        )
        while self.local.year <= until:
            if all(stage() for stage in stages):
                return self.at
        return None

    def _month(self) -> bool:
        """Go to a matching month. False if the year ended before; so do the next two with their larger field."""
        while not self._cron.months >> self.local.month & 1:
            self._truncate(self.local.year, self.local.month, 1, 0)
            self._date(self.local.month + 1, self.local.day)
            if self.local.month == 1:
                return False
        return True

    def _day(self) -> bool:
        while not self._cron.days(self.local.year, self.local.month) >> self.local.day & 1:
            self._truncate(self.local.year, self.local.month, self.local.day, 0)
            before = self.at
            self._date(self.local.month, self.local.day + 1)
            if self.local.hour:  # no midnight on this day
                missing = 24 - self.local.hour if self.local.hour > 12 else -self.local.hour
                self._go(self.at + missing * 3600)
            if self.at <= before:  # Go's walk would not end
                self._go(before + 86_400)
            if self.local.day == 1:
                return False
        return True

    def _field(self, mask: int, name: str, step: int) -> bool:
        while not mask >> getattr(self.local, name) & 1:
            if step == 3600:
                self._truncate(self.local.year, self.local.month, self.local.day, self.local.hour)
            elif not self._added:
                self._added = True
                self._go(self.at - self.at % step)
            self._go(self.at + step)
            if getattr(self.local, name) == 0:
                return False
        return True

    def _truncate(self, year: int, month: int, day: int, hour: int) -> None:
        if not self._added:
            self._added = True
            self._go(_go_date(datetime(year, month, day, hour), self._zone))

    def _date(self, month: int, day: int) -> None:
        """Set month and day, and keep the time of the day, as `AddDate` does: a 31 November is 1 December."""
        year = self.local.year + (month - 1) // 12
        wall = datetime.combine(datetime(year, (month - 1) % 12 + 1, 1), self.local.time()) + timedelta(days=day - 1)
        self._go(_go_date(wall, self._zone))

    def _go(self, at: int) -> None:
        self.at = at
        self.local = (_EPOCH + timedelta(seconds=at)).astimezone(self._zone)


def _go_date(wall: datetime, zone: tzinfo) -> int:
    """Return the seconds since 1970 that Go's `time.Date` chooses, also for a wall time in a gap or a repeated one."""
    seconds = (wall.replace(tzinfo=UTC, fold=0) - _EPOCH) // _SECOND
    return seconds - _offset(seconds - _offset(seconds, zone), zone)


def _offset(seconds: int, zone: tzinfo) -> int:
    return _offset_at(_EPOCH + timedelta(seconds=seconds), zone) // _SECOND


def _offset_at(instant: datetime, zone: tzinfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or _NONE
