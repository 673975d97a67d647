"""The times at which a schedule would fire in an interval, found without waiting and without a server.

`simulate` walks through the planned times as a scheduler that is never late would. It knows the definition and the
calendars, but not the runs, so it does not know which fires an overlap would hold back. Each time has a note if a clock
change or a calendar has moved it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from rota.errors import OptionError
from rota.schedule.definition import StoredSchedule
from rota.schedule.search import Note
from rota.schedule.timetable import DaysOff, Timetable

MOST_FIRES = 200_000
"""Fires that one simulation of several schedules lists. More of them take minutes, and a lot of memory."""
LONGEST_SILENCE = timedelta(days=8 * 366)
"""Without a last moment, a simulation ends after this time without a fire: a calendar may have no working day left."""

_SMALLEST = timedelta(microseconds=1)
_NOTES: dict[Note, str] = {
    "normal": "",
    "shifted": "the clock skips the written time",
    "merged": "several written times meet here",
    "repeated": "the clock shows this time for the second time",
}


@dataclass(frozen=True, slots=True)
class SimulatedTime:
    """A planned time in UTC. `note` says in words what is odd about it; it is empty for most."""

    at: datetime
    note: str = ""


def simulate(
    schedule: StoredSchedule,
    start: datetime,
    until: datetime | None = None,
    *,
    calendars: Mapping[str, DaysOff] | None = None,
) -> Iterator[SimulatedTime]:
    """Yield the planned times of a schedule from `start` on, up to `until`, the earliest first.

    `until` itself is left out. Without it, the times end after eight years without a fire, if they end at all.

    Times that are skipped (a day off, a pause, after `ends_at`) are left out. A schedule that is stopped, that runs on
    demand, or whose delay counts from the end of a run has no such times.
    """
    found = begun(schedule, start, calendars)
    if found is None:
        return
    timetable, at = found
    left = schedule.definition.max_runs
    end = until or max(start, at or start) + LONGEST_SILENCE
    while at is not None and at < end and left != 0:
        if timetable.is_off(at):
            at = timetable.next(timetable.days_off_end(at) - _SMALLEST)
            continue
        yield SimulatedTime(at, _note(timetable, at))
        left = None if left is None else left - 1
        end = until or at + LONGEST_SILENCE
        at = timetable.next(at)


def begun(
    schedule: StoredSchedule, start: datetime, calendars: Mapping[str, DaysOff] | None
) -> tuple[Timetable, datetime | None] | None:
    """Return the timetable of a schedule and its first planned time from `start` on; None if it has no such times.

    This time may lie on a day off.
    """
    definition = schedule.definition
    if not definition.enabled:
        return None
    calendar = None if definition.calendar is None else (calendars or {}).get(definition.calendar)
    since = min(schedule.updated_at, start) if definition.kind == "once" else schedule.updated_at
    timetable = Timetable(schedule.id, definition, since, calendar)
    if timetable.trigger is None or timetable.trigger.after_end:
        return None
    return timetable, timetable.next(max(start, definition.pause_until or start) - _SMALLEST)


def simulate_all(
    schedules: Iterable[StoredSchedule],
    start: datetime,
    until: datetime,
    *,
    calendars: Mapping[str, DaysOff] | None = None,
) -> Iterator[tuple[StoredSchedule, SimulatedTime]]:
    """Yield the planned times of several schedules, one schedule after the other, up to `until`.

    Raises OptionError if there are more than `MOST_FIRES`.
    """
    number = 0
    for schedule in schedules:
        for each in simulate(schedule, start, until, calendars=calendars):
            number += 1
            if number > MOST_FIRES:
                raise too_many_fires(MOST_FIRES, schedule, start, until)
            yield schedule, each


def too_many_fires(most: int, schedule: StoredSchedule, start: datetime, until: datetime) -> OptionError:
    """Return the error for an interval in which schedules fire too often to go through all fires."""
    return OptionError(
        f"More than {most:,} fires lie between {start:%Y-%m-%d %H:%M} and {until:%Y-%m-%d %H:%M} UTC (the schedule "
        f"{schedule.definition.name!r} has brought the last ones). Choose a shorter interval, or fewer schedules."
    )


def _note(timetable: Timetable, at: datetime) -> str:
    if timetable.trigger is None:
        return ""
    found = timetable.trigger.occurrence(at - _SMALLEST)
    if found is None or found.at != at:
        return "moved from a day off"
    return _NOTES[found.note]
