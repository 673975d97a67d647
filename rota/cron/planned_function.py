"""One entry of a cron: its times, and the decisions about them. It knows no event loop.

Which planned times run, and which are missed, is decided by `rota.schedule.due`, as for the schedules of a fleet.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from rota.schedule.calendar import Calendar
from rota.schedule.definition import ScheduleDefinition
from rota.schedule.due import Decision, ScheduleState, Skip, decide
from rota.schedule.timetable import Timetable
from rota.schedule.trigger import Trigger, union


class _TriggerTimetable(Timetable):
    """A timetable with triggers beside the specs of its definition."""

    own_trigger: Trigger

    @property
    def trigger(self) -> Trigger | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The triggers of the entry, counted from `since`."""
        return self.own_trigger.anchored(self.definition.starts_at or self.since)


class PlannedFunction:
    """The planned times of one entry."""

    def __init__(
        self,
        id: int,
        definition: ScheduleDefinition,
        texts: Sequence[str],
        triggers: Sequence[Trigger],
        calendar: Calendar | None,
    ) -> None:
        self.id = id
        self.definition = definition
        self.calendar = calendar
        self.specs = (*texts, *(trigger.text for trigger in triggers))
        self.previous: datetime | None = None
        self._own = (
            union([*(definition.read_spec(text, seed=definition.name) for text in texts), *triggers])
            if triggers
            else None
        )
        self._timetable: Timetable | None = None
        self._looked_at_calendar: date | None = None
        self._state: ScheduleState | None = None

    @property
    def counts_from_end(self) -> bool:
        """Whether the next time depends on the end of the last run."""
        trigger = None if self._timetable is None else self._timetable.trigger
        return trigger is not None and trigger.after_end

    def begin(self, now: datetime) -> None:
        """Plan from now on. Earlier times are not missed ones, and earlier runs count for `max_runs`."""
        self._timetable = self._made(now)
        self._state = ScheduleState(since=now, runs=0 if self._state is None else self._state.runs)

    def decide(self, now: datetime, *, is_open: bool, ended_at: datetime | None) -> Decision:
        """Decide all planned times up to now, each one time."""
        if self._timetable is None or self._state is None:
            self.begin(now)
        assert self._timetable is not None  # noqa: S101
        assert self._state is not None  # noqa: S101
        decision = decide(self._timetable, replace(self._state, is_open=is_open, ended_at=ended_at), now)
        runs = self._state.runs + len(decision.fires)
        self._state = replace(self._state, last=decision.decided_until, runs=runs)
        return decision

    def next_time(self, now: datetime, *, is_open: bool) -> datetime | None:
        """Return the next planned time after now and after all decided ones."""
        timetable, state = self._timetable or self._made(now), self._state
        if (is_open and timetable.trigger is not None and timetable.trigger.after_end) or self._is_used_up:
            return None
        found = timetable.next(max(now, (state and state.last) or now))
        return None if found is None else found.astimezone(self._zone)

    def previous_time(self) -> datetime | None:
        """Return the last planned time that ran."""
        return None if self.previous is None else self.previous.astimezone(self._zone)

    def calendar_warning(self, now: datetime) -> str | None:
        """Return a sentence if the dates of the calendar end soon. Once a day, and None for the rest of the day."""
        today = now.astimezone(self._zone).date()
        if self.calendar is None or today == self._looked_at_calendar:
            return None
        self._looked_at_calendar = today
        return self.calendar.warning(today)

    def skip_note(self, skip: Skip) -> str:
        """Say why planned times did not run."""
        if skip.reason == "calendar" and self.calendar is not None:
            return self.calendar.reason(skip.first.astimezone(self._zone).date())
        return _NOTES.get(skip.reason, skip.reason)

    @property
    def _is_used_up(self) -> bool:
        most = self.definition.max_runs
        return most is not None and self._state is not None and self._state.runs >= most

    @property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.definition.timezone)

    def _made(self, since: datetime) -> Timetable:
        if self._own is None:
            return Timetable(self.definition.name, self.definition, since, self.calendar)
        made = _TriggerTimetable(self.definition.name, self.definition, since, self.calendar)
        object.__setattr__(made, "own_trigger", self._own)
        return made


_NOTES = {
    "missed": "nothing ran at their time, and missed does not make up for them",
    "start_deadline": "it was later than start_deadline",
    "max_runs": "max_runs is reached",
    "ends_at": "it was later than ends_at",
}
