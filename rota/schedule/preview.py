"""Lists the next times of a schedule, with a note wherever a clock change or a day off makes a difference.

`preview("30 2 * * *", 5, after=now, timezone="Europe/Berlin")` returns five rows that fire. Between them stand the rows
that do not fire, so that a reader sees why: a time that the clocks skip, and a day off of a calendar.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo
from typing import Literal, Protocol, TypeAlias

from rota.errors import OptionError
from rota.schedule.cron import CronExpression, Dialect
from rota.schedule.cycle import Cycle
from rota.schedule.search import Note, Occurrence
from rota.schedule.spec import RepeatedHour, SkippedHour, parse_spec, read_zone
from rota.schedule.trigger import RobfigTrigger, Trigger, UnionTrigger, WallTrigger, union

PreviewNote: TypeAlias = Note | Literal["skipped", "day_off"]

MOST_TIMES = 1_000
_MOST_SILENT = 1_000
_NONE = timedelta(0)


class HasDaysOff(Protocol):
    """The part of a calendar that a preview needs."""

    def is_off(self, day: date, /) -> bool:
        """Whether schedules do not fire on this day."""
        ...


@dataclass(frozen=True, slots=True)
class PreviewTime:
    """One row of a preview.

    note: `normal`, `shifted`, `merged` and `repeated` fire; see `Occurrence`. `skipped` does not fire, because the
    clocks skip its time, and `day_off` does not because of the calendar.
    clock_change: how far the clocks have been set forward, or back if negative, since the row before.
    """

    at: datetime
    """The instant, in the time zone of the schedule. For `skipped` it is the end of the gap."""
    note: PreviewNote
    clock_change: timedelta = _NONE

    @property
    def fires(self) -> bool:
        """Whether the schedule fires at this time."""
        return self.note not in ("skipped", "day_off")


def preview(
    spec: str | Trigger | Sequence[str | Trigger],
    count: int = 10,
    *,
    after: datetime,
    timezone: str | tzinfo = "UTC",
    dialect: Dialect = "rota",
    seed: str = "",
    skipped_hour: SkippedHour = "after",
    repeated_hour: RepeatedHour = "once",
    calendar: HasDaysOff | None = None,
) -> list[PreviewTime]:
    """Return the next times of one or more specs after an instant: `count` that fire, and those between that do not.

    The options are those of `parse_spec`. A schedule that counts from the end of its last run is shown as if its runs
    took no time. There are fewer rows if the schedule ends, or does not fire a thousand times in a row.
    """
    if not 1 <= count <= MOST_TIMES:
        raise OptionError(f"count is {count}, but a preview has 1 to {MOST_TIMES} times.")
    texts = [spec] if isinstance(spec, str | Trigger) else spec
    if not texts:
        raise OptionError("There is no spec to preview: give at least one, such as '30 2 * * *'.")
    triggers = [
        each
        if isinstance(each, Trigger)
        else parse_spec(
            each,
            timezone=timezone,
            dialect=dialect,
            seed=seed,
            skipped_hour=skipped_hour,
            repeated_hour=repeated_hour,
        )
        for each in texts
    ]
    zone = _zone_of(triggers) or (read_zone(timezone) if isinstance(timezone, str) else timezone)
    return _fill(union(triggers), after, count, zone, calendar)


def _fill(
    trigger: Trigger, after: datetime, count: int, zone: tzinfo, calendar: HasDaysOff | None
) -> list[PreviewTime]:
    rows: list[PreviewTime] = []
    offset, fired, silent = after.astimezone(zone).utcoffset() or _NONE, 0, 0
    for at, note in _notes(trigger, after):
        local = at.astimezone(zone)
        if note != "skipped" and calendar is not None and calendar.is_off(local.date()):
            note = "day_off"
        now = local.utcoffset() or _NONE
        rows.append(PreviewTime(local, note, now - offset))
        offset, fired, silent = now, fired + rows[-1].fires, 0 if rows[-1].fires else silent + 1
        if fired == count or silent == _MOST_SILENT:
            break
    return rows


def _notes(trigger: Trigger, after: datetime) -> Iterator[tuple[datetime, PreviewNote]]:
    """Yield the times of a trigger and, before them, the instants at which a skipped time would have fired."""
    through = _through_gaps(trigger)
    found = trigger.occurrence(after)
    extra = None if through is None else through.occurrence(after)
    while found is not None or extra is not None:
        if extra is not None and through is not None and _only(extra, found):
            yield extra.at, "skipped"
            extra = through.occurrence(extra.at)
            continue
        if found is None:
            return
        yield found.at, found.note
        if extra is not None and through is not None and extra.at == found.at:
            extra = through.occurrence(extra.at)
        found = trigger.occurrence(found.at)


def _only(extra: Occurrence, found: Occurrence | None) -> bool:
    return found is None or extra.at < found.at


def _through_gaps(trigger: Trigger) -> Trigger | None:
    """Return the trigger that does not skip times that do not exist; None if this one skips none."""
    if isinstance(trigger, UnionTrigger):
        others = [_through_gaps(each) for each in trigger.triggers]
        if all(other is None for other in others):
            return None
        return union([other or each for other, each in zip(others, trigger.triggers, strict=True)])
    if isinstance(trigger, RobfigTrigger):
        return None if trigger.rule.elapsed else WallTrigger(trigger.text, trigger.rule, trigger.zone, True, True)
    if not isinstance(trigger, WallTrigger) or trigger.through_gap:
        return None
    wall_clock = isinstance(trigger.rule, Cycle) or (
        isinstance(trigger.rule, CronExpression) and not trigger.rule.elapsed
    )
    return replace(trigger, through_gap=True) if wall_clock else None


def _zone_of(triggers: Sequence[Trigger]) -> tzinfo | None:
    """Return the time zone of the first trigger that has one."""
    for trigger in triggers:
        if isinstance(trigger, WallTrigger | RobfigTrigger):
            return trigger.zone
        if isinstance(trigger, UnionTrigger) and (zone := _zone_of(trigger.triggers)) is not None:
            return zone
    return None
