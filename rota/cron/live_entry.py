"""An entry of a cron: what a program sees of it, and its two halves while the cron runs."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from rota import events
from rota.cron.cron_options import Function
from rota.cron.function_runs import FunctionRuns
from rota.cron.planned_function import PlannedFunction

AGAIN_AFTER = timedelta(minutes=1)
"""When an entry is tried again whose times could not be computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CronEntry:
    """The facts about an entry at one moment. Times are in the time zone of the entry.

    `next` is None if no time is planned: the entry is over, counts from the end of a run that is not over, or its
    trigger fails. `previous` is the last planned time that ran; None before the first run. `function` has its wrappers
    around it.
    """

    id: int
    name: str
    specs: tuple[str, ...]
    timezone: str
    function: Function
    next: datetime | None
    previous: datetime | None
    runs: int
    failures: int
    running: int
    waiting: int
    last_error: BaseException | None


class LiveEntry:
    """The planned times and the runs of one entry. `due` is when to decide again."""

    def __init__(self, plan: PlannedFunction, runs: FunctionRuns) -> None:
        self.plan = plan
        self.runs = runs
        self.due: datetime | None = None

    def begin(self, now: datetime) -> None:
        """Plan from now on."""
        self.due = None
        self.runs.open()
        self.plan.begin(now)

    def decide(self, now: datetime) -> None:
        """Start the runs that are due. Never raises, because the other entries go on."""
        try:
            decision = self.plan.decide(now, is_open=self.runs.is_open, ended_at=self.runs.ended_at)
        except Exception as error:  # a trigger of the user
            events.emit(events.CronPlanFailed(name=self.runs.name, error=error))
            self.due = now + AGAIN_AFTER
            return
        self.due = decision.next_due
        if advice := self.plan.calendar_warning(now):
            events.emit(events.CronCalendarEnds(name=self.runs.name, advice=advice))
        for skip in decision.skips:
            self.runs.skipped(skip.reason, skip.first, skip.count, self.plan.skip_note(skip))
        for fire in decision.fires:
            self.plan.previous = fire.planned_at
            self.runs.fire(fire.planned_at)

    def snapshot(self, now: datetime) -> CronEntry:
        """Return what is known now."""
        plan, runs = self.plan, self.runs
        try:
            following = plan.next_time(now, is_open=runs.is_open)
        except Exception:  # a trigger of the user; `decide` tells about it
            following = None
        return CronEntry(
            id=plan.id,
            name=runs.name,
            specs=plan.specs,
            timezone=plan.definition.timezone,
            function=runs.function,
            next=following,
            previous=plan.previous_time(),
            runs=runs.runs,
            failures=runs.failures,
            running=runs.running,
            waiting=runs.waiting,
            last_error=runs.last_error,
        )
