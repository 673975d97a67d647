"""Which planned times of a past interval a backfill runs. Pure.

The run of a backfill has an ID that is made of the schedule and the planned time, so the same time is run once, however
often a backfill is stopped and started again. A time that has such a run already is left out.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, TypeAlias

from rota.errors import OptionError
from rota.schedule.definition import StoredSchedule
from rota.schedule.run import ScheduleRun, run_id
from rota.schedule.timetable import DaysOff, Timetable

What: TypeAlias = Literal["missing", "failed", "all"]
MOST_TIMES = 100_000
_FAILURES = frozenset({"failed", "expired", "quarantined", "lost"})
_SMALLEST = timedelta(microseconds=1)


class BackfillPlan(NamedTuple):
    """The planned times to run, the earliest first, and the number of those that a backfill has run before."""

    times: tuple[datetime, ...]
    done: int


def backfill_order_id(planned_at: datetime) -> str:
    """Return the ID of the order to run a planned time. The ID of the run begins with that of the schedule."""
    return f"b{run_id('', planned_at)[1:]}"


def plan_backfill(
    schedule: StoredSchedule,
    runs: Iterable[ScheduleRun],
    *,
    start: datetime,
    end: datetime,
    what: What = "missing",
    calendar: DaysOff | None = None,
) -> BackfillPlan:
    """Return the planned times from `start` to before `end` to run, as the schedule is now.

    `runs` are those that are recorded of the interval. `missing` are the times at which none was enqueued, `failed`
    also those at which none succeeded. Raises OptionError if the schedule has no times, or too many.
    """
    known: dict[str, ScheduleRun] = {run.id: run for run in runs}
    done, times = 0, list[datetime]()
    for at in _planned(schedule, known.values(), start, end, calendar):
        if f"{schedule.id}-{backfill_order_id(at)}" in known:
            done += 1
        elif _is_wanted(known.get(run_id(schedule.id, at)), what):
            times.append(at)
    return BackfillPlan(tuple(times), done)


def _planned(
    schedule: StoredSchedule, runs: Iterable[ScheduleRun], start: datetime, end: datetime, calendar: DaysOff | None
) -> Iterable[datetime]:
    # Intervals count from a moment that only the scheduler knows, but each recorded run lies at a multiple of them.
    anchor = next((run.planned_at for run in runs if run.cause in ("tick", "catch_up")), schedule.updated_at)
    timetable = Timetable(schedule.id, schedule.definition, start - _SMALLEST, calendar, anchor)
    if schedule.definition.kind != "periodic" or timetable.trigger is None or timetable.trigger.after_end:
        name = schedule.definition.name
        raise OptionError(f"The schedule {name!r} has no planned times that lie fixed, so there is nothing to fill.")
    number, at = 0, timetable.next(start - _SMALLEST)
    while at is not None and at < end:
        if not timetable.is_off(at):
            number += 1
            yield at
        if number > MOST_TIMES:
            raise OptionError(f"The interval has more than {MOST_TIMES} planned times. Backfill it in parts.")
        at = timetable.next(at)


def _is_wanted(run: ScheduleRun | None, what: What) -> bool:
    if run is None or run.outcome == "skipped" or what == "all":
        return True
    return what == "failed" and run.outcome in _FAILURES
