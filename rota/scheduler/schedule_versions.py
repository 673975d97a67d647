"""The versions of a schedule: from when on one holds, and how the times of an earlier one end.

A leader may be behind, or no scheduler may have led. So an edit does not replace a version at once: the earlier one
decides the planned times before the edit first. A deletion is treated as a last version, which has no planned times.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from rota.schedule.definition import ScheduleDefinition, StoredSchedule
from rota.schedule.due import ScheduleState, timing
from rota.schedule.run import SkipReason
from rota.schedule.timetable import Timetable
from rota.scheduler.memory import OrderedPause, ScheduleMemory

ENDED = ""
"""The `timing` of a schedule that was deleted and is decided to its end. If it is restored, its times are new."""


def effective(definition: ScheduleDefinition, pause: OrderedPause | None) -> ScheduleDefinition:
    """Return a definition with a pause that was ordered at run time."""
    if pause is None:
        return definition
    changed = {"enabled": False} if pause.until is None else {"pause_until": pause.until}
    return definition.model_copy(update=changed)


def timing_of(schedule: StoredSchedule, memory: ScheduleMemory) -> str:
    """Return the fingerprint of the planned times of a schedule, as they are with a pause that was ordered."""
    return timing(effective(schedule.definition, memory.pause))


def changed_at(schedule: StoredSchedule, state: ScheduleState | None, now: datetime) -> datetime:
    """Return from when on a version holds: from its edit, but not before the last time that is decided already."""
    if schedule.source != "database":  # the code does not know when it was edited
        return now
    saved_at = schedule.since or schedule.updated_at
    decided = saved_at if state is None else state.last or state.since
    return max(min(saved_at, now), min(decided, now))


def closed(timetable: Timetable, state: ScheduleState, later: Sequence[StoredSchedule], now: datetime) -> Timetable:
    """Return the timetable of an earlier version. Its times do not fire if the schedule is stopped or deleted since."""
    newest = later[-1]
    skipped_as: SkipReason | None = None
    if timetable.definition.enabled and not newest.definition.enabled:
        skipped_as = "paused" if newest.deleted_at is None else "deleted"
    return replace(timetable, until=changed_at(later[0], state, now), skipped_as=skipped_as)


def with_end(schedule: StoredSchedule) -> tuple[StoredSchedule, ...]:
    """Return a schedule as its last version, and after it the deletion, if it is deleted."""
    if schedule.deleted_at is None:
        return (schedule,)
    live = replace(schedule, deleted_at=None, deleted_by="")
    stopped = schedule.definition.model_copy(update={"enabled": False})
    return live, replace(schedule, definition=stopped, updated_at=schedule.deleted_at, since=schedule.deleted_at)
