"""The state of a schedule, its next time, its last run, and its failures in a row: all that a list shows.

The states, each with the rule that is looked at first when several hold:

1. `deleted`: the schedule was deleted, and can be restored.
2. `done`: it never fires again, because it was to fire once, reached `max_runs`, or `ends_at` has passed.
3. `paused`: it is not enabled, is paused until a time, or all schedules are held.
4. `running`: a worker has begun a run that is not over.
5. `waiting`: a run is in its queue, and no worker has begun it.
6. `failing`: the last run that ended has failed.
7. `scheduled`: none of these. A schedule of the kind `wait` is `on demand` instead.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from rota.schedule.calendar import Calendar
from rota.schedule.definition import StoredSchedule
from rota.schedule.timetable import Timetable
from rota.store.store_values import Hold, ScheduleProgress

ShownState: TypeAlias = Literal["deleted", "done", "paused", "running", "waiting", "failing", "scheduled", "on demand"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleOverview:
    """One schedule as a list shows it. `why_paused` says by whom, why and until when."""

    schedule: StoredSchedule
    state: ShownState
    next_at: datetime | None
    progress: ScheduleProgress
    why_paused: str = ""


def overview_of(
    schedule: StoredSchedule,
    progress: ScheduleProgress,
    now: datetime,
    *,
    hold: Hold | None = None,
    is_open: bool = False,
    has_begun: bool = True,
    calendar: Calendar | None = None,
) -> ScheduleOverview:
    """Return what a list shows of a schedule at a moment.

    `is_open` is whether a run of it is not over, and `has_begun` whether a worker has begun one.
    """
    next_at = _next_at(schedule, progress, now, calendar)
    why = _why_paused(schedule, now, hold)
    return ScheduleOverview(
        schedule=schedule,
        state=_state(schedule, progress, next_at, is_open=is_open, has_begun=has_begun, is_paused=bool(why)),
        next_at=None if why and not schedule.definition.pause_until else next_at,
        progress=progress,
        why_paused=why,
    )


def _state(
    schedule: StoredSchedule,
    progress: ScheduleProgress,
    next_at: datetime | None,
    *,
    is_open: bool,
    has_begun: bool,
    is_paused: bool,
) -> ShownState:
    definition = schedule.definition
    if schedule.deleted_at is not None:
        return "deleted"
    on_demand = definition.kind == "wait"
    if next_at is None and not on_demand and definition.enabled and not is_open:
        return "done"
    if is_paused:
        return "paused"
    if is_open:
        return "running" if has_begun else "waiting"
    if progress.failures_in_row:
        return "failing"
    return "on demand" if on_demand else "scheduled"


def _next_at(
    schedule: StoredSchedule, progress: ScheduleProgress, now: datetime, calendar: Calendar | None
) -> datetime | None:
    definition = schedule.definition
    if definition.max_runs is not None and progress.fired >= definition.max_runs:
        return None
    after = max(now, definition.pause_until or now)
    if progress.next_due_at is not None and progress.next_due_at >= after:
        return progress.next_due_at
    timetable = Timetable(schedule.id, definition, schedule.updated_at, calendar)
    if definition.kind == "once":
        return None if progress.fired else timetable.next(schedule.updated_at.replace(year=1970))
    if timetable.trigger is None or timetable.trigger.after_end:
        return None if timetable.trigger is None else after
    found = timetable.next(after)
    while found is not None and timetable.is_off(found):
        found = timetable.next(found)
    return found


def _why_paused(schedule: StoredSchedule, now: datetime, hold: Hold | None) -> str:
    definition = schedule.definition
    note = f": {definition.pause_note}" if definition.pause_note else ""
    if not definition.enabled:
        return f"stopped by {schedule.updated_by or 'its definition'}{note}"
    if definition.pause_until is not None and definition.pause_until > now:
        return f"paused until {definition.pause_until:%Y-%m-%d %H:%M} UTC{note}"
    if hold is not None and hold.holds(now):
        until = f" until {hold.until:%Y-%m-%d %H:%M} UTC" if hold.until else ""
        return f"all schedules are stopped by {hold.by}{until}{f': {hold.reason}' if hold.reason else ''}"
    return ""
