"""The agenda: all schedules with what is known about them, and a heap of when each is due next.

An edit replaces the entry of a schedule at once. The heap may still hold the time of an entry before the edit; each
push has a number, and only the last push of an entry counts.
"""

import heapq
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from rota import events
from rota.errors import ConfigError
from rota.schedule.definition import ScheduleDefinition, StoredSchedule
from rota.schedule.due import adopted, first_due
from rota.schedule.timetable import DaysOff, Timetable
from rota.scheduler.memory import OrderedPause, ScheduleMemory, later, read_memory
from rota.scheduler.run_batch import unix_ms
from rota.wire.scheduler_steps import StoredState

MOST_AT_ONCE = 500
"""Entries that are decided in one round, so that the lease is renewed between two rounds."""

DueItem: TypeAlias = tuple[float, int, str]


@dataclass(slots=True)
class AgendaEntry:
    """One schedule. `due` is when it is looked at next, in seconds since 1970; None for never."""

    schedule: StoredSchedule
    memory: ScheduleMemory
    timetable: Timetable
    due: float | None = None
    push: int = 0

    @property
    def id(self) -> str:
        """The ID of the schedule."""
        return self.schedule.id

    @property
    def definition(self) -> ScheduleDefinition:
        """The definition, as it holds now: with a pause that was ordered at run time."""
        return self.timetable.definition

    @property
    def follows_runs(self) -> bool:
        """Whether the ends of its runs matter to the schedule."""
        return self.definition.overlap != "allow" or self.acts_on_ends

    @property
    def acts_on_ends(self) -> bool:
        """Whether something happens when one of its runs ends."""
        return self.counts_from_end or bool(self.definition.then or self.definition.auto_pause)

    @property
    def counts_from_end(self) -> bool:
        """Whether its next time counts from the end of its last run."""
        trigger = self.timetable.trigger
        return trigger is not None and trigger.after_end


class Agenda:
    """The schedules of one leader. Nothing here waits or reads a clock."""

    def __init__(
        self,
        calendars: Callable[[str], DaysOff | None] = lambda name: None,
        planned: Callable[[str], datetime | None] = lambda schedule_id: None,
    ) -> None:
        self.entries: dict[str, AgendaEntry] = {}
        self.edits = 0
        """Counts the schedules that were added, edited or removed."""
        self._heap: list[DueItem] = []
        self._pushes = 0
        self._calendars = calendars
        self._planned = planned
        self._stored: dict[str, StoredState] = {}
        """States of schedules that no source has given so far."""
        self._waiting: dict[str, AgendaEntry] = {}
        self.unsaved: dict[str, AgendaEntry] = {}
        """The schedules whose memory is not in Redis yet, although they are not due."""

    def restore(self, states: Mapping[str, StoredState], now: datetime) -> None:
        """Take over the states of all schedules from Redis, as a new leader."""
        self._stored = dict(states)
        for entry in list(self.entries.values()):
            if entry.id not in states:  # the server has lost its data, so it is written again
                entry.memory.stored = ""
            self._place(entry.schedule, entry.memory, now)

    def put(self, schedule: StoredSchedule, now: datetime) -> AgendaEntry:
        """Add a schedule, or replace its definition. Raises RotaError if it cannot be used; then nothing changes."""
        known = self.entries.get(schedule.id)
        return self._place(schedule, None if known is None else known.memory, now)

    def remove(self, schedule_id: str) -> None:
        """Remove a schedule. Its stored state stays, in case it comes back."""
        self.edits += 1
        entry = self.entries.pop(schedule_id, None)
        if entry is not None and entry.memory.stored:
            last = entry.memory.state.last
            self._stored[schedule_id] = StoredState(0 if last is None else unix_ms(last), entry.memory.stored)
        self._waiting.pop(schedule_id, None)
        self.unsaved.pop(schedule_id, None)

    def named(self, name: str) -> AgendaEntry | None:
        """Return the schedule with an ID or a name."""
        found = self.entries.get(name)
        return found or next((entry for entry in self.entries.values() if entry.schedule.definition.name == name), None)

    def push(self, entry: AgendaEntry, due: datetime | None) -> None:
        """Note when an entry is due. This replaces what was noted before."""
        self._pushes += 1
        entry.push, entry.due = self._pushes, None if due is None else due.timestamp()
        if entry.due is not None:
            heapq.heappush(self._heap, (entry.due, entry.push, entry.id))

    def next_due(self) -> float | None:
        """Return when the next entry is due, in seconds since 1970; None if none is."""
        while self._heap:
            due, push, schedule_id = self._heap[0]
            entry = self.entries.get(schedule_id)
            if entry is not None and entry.push == push:
                return due
            heapq.heappop(self._heap)
        return None

    def pop_due(self, now: float) -> list[AgendaEntry]:
        """Take the entries that are due, the earliest first, at most `MOST_AT_ONCE`. The caller pushes them again."""
        found: list[AgendaEntry] = []
        while len(found) < MOST_AT_ONCE and (due := self.next_due()) is not None and due <= now:
            found.append(self.entries[heapq.heappop(self._heap)[2]])
        return found

    @property
    def waiting(self) -> dict[str, AgendaEntry]:
        """The schedules that go on when one of their runs has ended."""
        return self._waiting

    def settle(self, entry: AgendaEntry, memory: ScheduleMemory, due: datetime | None) -> None:
        """Remember what was decided about an entry, and when it is due next."""
        entry.memory = memory
        self.push(entry, due)
        if memory.open and (memory.waiting or entry.acts_on_ends):
            self._waiting[entry.id] = entry
        else:
            self._waiting.pop(entry.id, None)

    def with_calendars(self, names: Collection[str]) -> list[AgendaEntry]:
        """Return the schedules that have one of these calendars."""
        return [entry for entry in self.entries.values() if entry.schedule.definition.calendar in names]

    def repause(self, entry: AgendaEntry, pause: OrderedPause | None, now: datetime) -> None:
        """Pause an entry, or resume it."""
        memory = entry.memory
        memory.pause = pause
        self._place(entry.schedule, memory, now)

    def _place(self, schedule: StoredSchedule, known: ScheduleMemory | None, now: datetime) -> AgendaEntry:
        memory = self._recalled(schedule.id, known)
        definition = effective(schedule.definition, None if memory is None else memory.pause)
        changed_at = now if schedule.source != "database" or known is not None else schedule.updated_at
        state = adopted(None if memory is None else memory.state, definition, changed_at)
        if state.last is None:  # Redis does not know the schedule; a store may
            state = replace(state, last=self._planned(schedule.id))
        timetable = Timetable(schedule.id, definition, state.since, self._calendar_of(definition))
        due = first_due(timetable, state)
        self._stored.pop(schedule.id, None)
        self.edits += 1
        memory = ScheduleMemory(state) if memory is None else memory
        memory.state = state
        entry = self.entries[schedule.id] = AgendaEntry(schedule, memory, timetable)
        self.push(entry, due)
        self._waiting.pop(schedule.id, None)
        if memory.open and (memory.waiting or entry.acts_on_ends):
            self._waiting[schedule.id] = entry
        if memory.text() != memory.stored:
            self.unsaved[schedule.id] = entry
        return entry

    def _recalled(self, schedule_id: str, known: ScheduleMemory | None) -> ScheduleMemory | None:
        found = self._stored.get(schedule_id)
        if found is None:
            return known
        try:
            stored = read_memory(found)
        except ValueError as error:
            events.emit(events.ScheduleStateUnreadable(schedule=schedule_id, error=error))
            stored = None
        return stored if known is None or stored is None else later(stored, known)

    def _calendar_of(self, definition: ScheduleDefinition) -> DaysOff | None:
        if definition.calendar is None:
            return None
        found = self._calendars(definition.calendar)
        if found is None:
            raise ConfigError(
                f"The schedule {definition.name!r} has the calendar {definition.calendar!r}: none is known."
            )
        return found


def effective(definition: ScheduleDefinition, pause: OrderedPause | None) -> ScheduleDefinition:
    """Return a definition with a pause that was ordered at run time."""
    if pause is None:
        return definition
    changed = {"enabled": False} if pause.until is None else {"pause_until": pause.until}
    return definition.model_copy(update=changed)
