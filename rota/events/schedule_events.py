"""Events of a scheduler: its election, the runs that it fires or skips, and its sources. Those of a cron come last."""

import logging
from datetime import datetime

from rota.core.text import counted
from rota.events.event import Event


class SchedulerEvent(Event):
    """An event in a scheduler."""

    logger = "rota.scheduler"


class SchedulerStarted(SchedulerEvent):
    """A scheduler starts, and stands for election."""

    level = logging.INFO
    text = "Scheduler {scheduler} starts."
    scheduler: str


class SchedulerStopped(SchedulerEvent):
    """A scheduler has stopped. Another one leads at once, if there is one."""

    level = logging.INFO
    text = "Scheduler {scheduler} has stopped."
    scheduler: str


class SchedulerElected(SchedulerEvent):
    """This scheduler leads from now on."""

    level = logging.INFO
    text = "Scheduler {scheduler} leads from now on (epoch {epoch})."
    scheduler: str
    epoch: int


class SchedulerLostLead(SchedulerEvent):
    """This scheduler does not lead any more. It stands for election again."""

    text = "Scheduler {scheduler} does not lead any more: {reason}."
    scheduler: str
    reason: str


class SchedulerNotTicking(SchedulerEvent):
    """A scheduler cannot do its work: it reaches the server, or fires, only later."""

    level = logging.ERROR
    text = "Scheduler {scheduler} is not ticking: {error}. It tries again."
    scheduler: str
    error: Exception

    def cause(self) -> tuple[BaseException | None, str]:
        """Return the error with its traceback, if it is not one of the server or the network."""
        from rota.errors import BrokerError

        return (None if isinstance(self.error, BrokerError) else self.error), ""


class RunsFinished(SchedulerEvent):
    """A leader finishes runs that were claimed before, by itself or by an earlier leader, and not confirmed."""

    level = logging.INFO
    epoch: int
    runs: int

    def message(self) -> str:
        """Return the text of the log line."""
        return f"Finishing {counted(self.runs, 'run')} that the leader of epoch {self.epoch} had claimed."


class ClaimUnreadable(SchedulerEvent):
    """The claim of a run cannot be read, so its run is lost. Another version of Rota, or another program, wrote it."""

    level = logging.ERROR
    text = "The claim of run {run} cannot be read, so the run does not happen: {error}"
    run: str
    error: Exception


class FiredLate(SchedulerEvent):
    """Runs of one batch were enqueued later after their planned times than a scheduler should need.

    `schedule` and `run` are of the latest one.
    """

    schedule: str
    run: str
    seconds: float
    runs: int = 1

    def message(self) -> str:
        """Return the text of the log line."""
        late = f"Run {self.run} of schedule {self.schedule} was enqueued {self.seconds:.1f} s after its planned time"
        return f"{late}." if self.runs == 1 else f"{late}, and {counted(self.runs - 1, 'other')} of its batch late too."


class RunSkipped(SchedulerEvent):
    """One planned time, or several in a row, did not fire."""

    level = logging.INFO
    schedule: str
    run: str
    reason: str
    count: int = 1
    note: str = ""

    def message(self) -> str:
        """Return the text of the log line."""
        note = f" ({self.note})" if self.note else ""
        return f"Schedule {self.schedule} skipped {counted(self.count, 'planned time')}: {self.reason}{note}."


class RunRefused(SchedulerEvent):
    """The task of a run could not be enqueued."""

    level = logging.ERROR
    text = "Run {run} of schedule {schedule} was not enqueued: {error}"
    schedule: str
    run: str
    error: str


class ScheduleSourceFailed(SchedulerEvent):
    """A source of schedules cannot be read. The schedules that it gave before go on firing."""

    text = "The source {source} of schedules cannot be read: {error}. Its schedules go on firing as they were."
    source: str
    error: Exception


class ScheduleSourceBack(SchedulerEvent):
    """A source of schedules can be read again."""

    level = logging.INFO
    text = "The source {source} of schedules can be read again."
    source: str


class ScheduleSpoilt(SchedulerEvent):
    """One schedule of a source cannot be used. It is skipped, and the others go on."""

    level = logging.ERROR
    text = "Schedule {schedule} of the source {source} is skipped: {error}"
    source: str
    schedule: str
    error: Exception


class ScheduleStateUnreadable(SchedulerEvent):
    """The stored state of a schedule cannot be read, so the schedule begins anew from now."""

    level = logging.ERROR
    text = "The stored state of schedule {schedule} cannot be read, so it begins anew: {error}"
    schedule: str
    error: Exception


class CalendarEndsSoon(SchedulerEvent):
    """A calendar in use knows no dates after some weeks, or none any more. Reported once a day."""

    calendar: str
    warning: str
    schedules: int
    schedule: str

    def message(self) -> str:
        """Return the text of the log line."""
        return f"{self.warning} It is the calendar of {counted(self.schedules, 'schedule')}, such as {self.schedule}."


class RunsNotRecorded(SchedulerEvent):
    """The runs of schedules cannot be written to the store. Their records wait in Redis."""

    text = "The runs of schedules cannot be recorded: {error}. Their records wait in Redis."
    error: Exception


class RunRecordUnreadable(SchedulerEvent):
    """A record of a run cannot be read, so the run is missing in the history."""

    level = logging.ERROR
    text = "A record of a run cannot be read, so the run is missing in the history: {error}"
    error: Exception


class SchedulesHeld(SchedulerEvent):
    """All schedules are stopped, or go on."""

    level = logging.INFO
    text = "All schedules {act}: {by}{reason}."
    act: str
    by: str
    reason: str = ""


# A cron: the scheduler in one process, without a broker


class CronEvent(Event):
    """An event of a cron."""

    logger = "rota.cron"


class CronStarted(CronEvent):
    """A cron runs its functions from now on."""

    level = logging.INFO
    entries: int

    def message(self) -> str:
        """Return the text of the log line."""
        return f"The cron has started with {counted(self.entries, 'entry', 'entries')}."


class CronStopped(CronEvent):
    """A cron has stopped, and no function of it runs any more, except those that it has left."""

    level = logging.INFO
    text = "The cron has stopped."


class CronClockSetBack(CronEvent):
    """The clock of the machine was set back by hours, so a cron plans its times anew."""

    text = "The clock was set back by {hours:.1f} hours: times that ran already may run again."
    hours: float


class CronFunctionEvent(CronEvent):
    """An event about one function of a cron. `name` is the name of its entry."""

    name: str


class CronFunctionFailed(CronFunctionEvent):
    """A function of a cron raised an error. The cron goes on, and runs it again at its next time."""

    level = logging.ERROR
    text = "{name} failed; it runs again at its next time. {error}"
    shows_traceback = True
    planned_at: datetime | None
    error: BaseException


class CronRunSkipped(CronFunctionEvent):
    """Planned times of a function did not run. Once a minute for each reason. With `more` the count is a minimum."""

    planned_at: datetime | None
    count: int
    note: str
    more: bool = False

    def message(self) -> str:
        """Return the text of the log line."""
        at = f" planned at {self.planned_at:%Y-%m-%d %H:%M:%S %Z}" if self.planned_at and self.count == 1 else ""
        more = " or more" if self.more else ""
        return f"{self.name} skipped {counted(self.count, 'run')}{more}{at}: {self.note}."


class CronRunDelayed(CronFunctionEvent):
    """A run of a function starts more than a minute late, because it waited for an earlier run."""

    level = logging.INFO
    text = "{name} starts {seconds:.0f} s late, because it waited for an earlier run."
    seconds: float


class CronRunCancelled(CronFunctionEvent):
    """A run of a function was cancelled, and has ended."""

    text = "A run of {name} was cancelled: {reason}."
    reason: str


class CronRunLeft(CronFunctionEvent):
    """A cron has stopped without waiting for the end of a run."""

    text = "The cron has stopped, but {name} still runs: a thread cannot be cancelled."


class CronCalendarEnds(CronFunctionEvent):
    """The dates of the calendar of an entry have ended, or end soon. Once a day."""

    text = "{advice}"
    advice: str


class CronPlanFailed(CronFunctionEvent):
    """The next time of an entry could not be computed. The cron goes on with the others, and tries again."""

    level = logging.ERROR
    text = "The next time of {name} cannot be computed; the cron tries again in a minute. {error}"
    shows_traceback = True
    error: BaseException


class ScheduleOrderRefused(SchedulerEvent):
    """An order about a schedule, such as to run it now, cannot be carried out."""

    text = "The order {order} is not carried out: {reason}"
    order: str
    reason: str


class ScheduleAutoPaused(SchedulerEvent):
    """A schedule pauses itself after failures in a row, as its `auto_pause` says."""

    level = logging.ERROR
    text = "Schedule {schedule} is paused: {note}."
    schedule: str
    note: str


class ScheduleRecovered(SchedulerEvent):
    """A run of a schedule succeeded, after the failures in a row because of which the schedule had paused itself."""

    level = logging.INFO
    schedule: str
    failures: int

    def message(self) -> str:
        """Return the text of the log line."""
        return f"A run of schedule {self.schedule} succeeded, after {counted(self.failures, 'failure')} in a row."
