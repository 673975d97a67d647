"""One schedule of the agenda: its version in force, those after it, and what is known about its runs."""

from dataclasses import dataclass
from datetime import UTC, datetime

from rota.schedule.definition import ScheduleDefinition, StoredSchedule
from rota.schedule.timetable import Timetable
from rota.scheduler.memory import ScheduleMemory


@dataclass(slots=True)
class AgendaEntry:
    """One schedule. `due` is when it is looked at next, in seconds since 1970; None for never."""

    schedule: StoredSchedule
    memory: ScheduleMemory
    timetable: Timetable
    due: float | None = None
    push: int = 0
    later: tuple[StoredSchedule, ...] = ()
    """The versions after this one. Each one is in force once the times before it are decided."""

    @property
    def id(self) -> str:
        """The ID of the schedule."""
        return self.schedule.id

    @property
    def name(self) -> str:
        """The name of the schedule."""
        return self.schedule.definition.name

    @property
    def definition(self) -> ScheduleDefinition:
        """The definition, as it holds now: with a pause that was ordered at run time."""
        return self.timetable.definition

    @property
    def due_at(self) -> datetime | None:
        """When it is looked at next; None for never."""
        return None if self.due is None else datetime.fromtimestamp(self.due, UTC)

    @property
    def is_deleted(self) -> bool:
        """Whether the schedule is deleted, and only the times before the deletion are decided."""
        return bool(self.later) and self.later[-1].deleted_at is not None

    @property
    def follows_runs(self) -> bool:
        """Whether the ends of its runs matter to the schedule."""
        return self.definition.overlap != "allow" or self.watches_runs

    @property
    def watches_runs(self) -> bool:
        """Whether its open runs are looked at all the time, and not only when the schedule is due."""
        return self.acts_on_ends or self.definition.start_deadline is not None

    @property
    def acts_on_ends(self) -> bool:
        """Whether something happens when one of its runs ends."""
        return self.counts_from_end or bool(self.definition.then or self.definition.auto_pause)

    @property
    def counts_from_end(self) -> bool:
        """Whether its next time counts from the end of its last run."""
        trigger = self.timetable.trigger
        return trigger is not None and trigger.after_end
