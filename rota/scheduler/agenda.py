"""The agenda: all schedules with what is known about them, and a heap of when each is due next.

An edit replaces the entry of a schedule at once. The heap may still hold the time of an entry before the edit; each
push has a number, and only the last push of an entry counts.

An edit of the times of a schedule, or its deletion, waits in `later` while times before it are not decided, because the
leader is behind or no scheduler led. The earlier version decides them first.
"""

import heapq
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import TypeAlias

from rota.errors import ConfigError, RotaError
from rota.schedule.definition import ScheduleDefinition, StoredSchedule
from rota.schedule.due import ScheduleState, adopted, first_due
from rota.schedule.timetable import DaysOff, Timetable
from rota.scheduler.agenda_entry import AgendaEntry
from rota.scheduler.memory import OrderedPause, ScheduleMemory, recalled
from rota.scheduler.schedule_versions import ENDED, changed_at, closed, effective, timing_of, with_end
from rota.wire.scheduler_steps import StoredState

ROW_RESTS = timedelta(seconds=10)
"""A row of skips that has not grown for this time is recorded to its end."""
MOST_AT_ONCE = 500
"""Entries that are decided in one round, so that the lease is renewed between two rounds."""

DueItem: TypeAlias = tuple[float, int, str]


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
        self._names: dict[str, str] = {}
        self._waiting: dict[str, AgendaEntry] = {}
        self.unsaved: dict[str, AgendaEntry] = {}
        """The schedules whose memory is not in Redis yet, although they are not due."""
        self._unmet: dict[str, ScheduleMemory] = {}
        self._rows: dict[str, AgendaEntry] = {}
        """The schedules whose row of skips is not recorded to its end. Some of them may be deleted by now."""

    def restore(
        self, part: Iterable[str], states: Mapping[str, StoredState], now: datetime, *, edited: Collection[str] = ()
    ) -> None:
        """Take over the states of some schedules from Redis, as a new leader. It is given the edited ones anew."""
        for entry in [self.entries[schedule_id] for schedule_id in part]:
            if entry.id in edited and entry.schedule.source == "database":  # another leader may have seen the edit
                self.remove(entry.id)
                continue
            if entry.id not in states:  # it was never stored, or the server has lost its data: it is written again
                entry.memory.stored = ""
            memory = recalled(entry.id, entry.memory, states.get(entry.id))
            self._enter(entry.schedule, memory, now, entry.later)

    def put(self, schedule: StoredSchedule, now: datetime, stored: StoredState | None = None) -> AgendaEntry:
        """Add a schedule with its state from Redis, or replace the definition of one that is there.

        Raises RotaError if it cannot be used; then nothing changes.
        """
        known = self.entries.get(schedule.id)
        memory = recalled(schedule.id, None, stored) if known is None else known.memory
        if memory is None:
            return self._enter(schedule, None, now)
        before = memory.state
        if known is not None and before.timing == timing_of(known.schedule, memory):
            if known.schedule == schedule:  # read again, for example because its calendar was edited
                return self._enter(schedule, memory, now, known.later)
            if before.timing != timing_of(schedule, memory):
                definition = schedule.definition
                Timetable(schedule.id, definition, now, self._calendar_of(definition)).next(now)  # may refuse it
                return self._enter(known.schedule, memory, now, (*known.later, schedule))
        entry = self._enter(schedule, memory, now)
        if schedule.source == "database" and before.timing not in (entry.memory.state.timing, ENDED):
            self._unmet[schedule.id] = left = memory.copy()
            left.state = before
        return entry

    def put_deleted(self, schedule: StoredSchedule, now: datetime, stored: StoredState | None = None) -> None:
        """Remove a schedule that was deleted in the store, once the times before the deletion are decided."""
        known, memory = self.entries.get(schedule.id), recalled(schedule.id, None, stored)
        if known is None and memory is not None and memory.state.timing == ENDED:
            return
        *live, end = with_end(schedule)
        try:
            if known is None or schedule.version not in {each.version for each in (known.schedule, *known.later)}:
                known = self.put(live[0], now, stored)
            self._enter(known.schedule, known.memory, now, (*known.later, end))
        except RotaError:  # its times cannot be known, for example because its calendar is gone
            self.delete(schedule.id)

    def take_unmet(self) -> dict[str, ScheduleMemory]:
        """Return the memories of schedules that were edited while no scheduler led, as earlier versions left them.

        A store knows these versions. The caller puts them with `put_versions` before the next decision.
        """
        unmet, self._unmet = self._unmet, {}
        return unmet

    def put_versions(self, versions: Sequence[StoredSchedule], memory: ScheduleMemory, now: datetime) -> None:
        """Let the versions of a schedule decide their times, from the one that left a memory on. The oldest is first.

        Raises RotaError if that one cannot be used any more; then nothing changes.
        """
        for number in range(len(versions) - 1, -1, -1):
            if timing_of(versions[number], memory) == memory.state.timing:
                self._enter(versions[number], memory, now, tuple(versions[number + 1 :]))
                return

    def follow(self, schedule_id: str, now: datetime) -> None:
        """Put the next version of a schedule in force, because the times before it are decided. Raises RotaError."""
        entry = self.entries.get(schedule_id)
        if entry is not None and entry.later:
            later, entry.later = entry.later, ()
            self._enter(later[0], entry.memory, now, later[1:])

    def delete(self, schedule_id: str) -> None:
        """Remove a schedule that no source gives any more. Its row of skips is still recorded to its end."""
        entry = self._rows.get(schedule_id)
        self.remove(schedule_id)
        if entry is not None:
            self._rows[schedule_id] = entry

    def remove(self, schedule_id: str) -> None:
        """Remove a schedule. Its state in Redis stays, in case it comes back."""
        self.edits += 1
        self._rows.pop(schedule_id, None)
        entry = self.entries.pop(schedule_id, None)
        if entry is not None and self._names.get(entry.name) == schedule_id:
            del self._names[entry.name]
        self._waiting.pop(schedule_id, None)
        self.unsaved.pop(schedule_id, None)

    def begin_term(self) -> None:
        """Forget what is not stored of deleted schedules: since the last term, another leader may have restored one."""
        self.unsaved = {id: entry for id, entry in self.unsaved.items() if id in self.entries}

    def forget_stored(self) -> None:
        """Remove all schedules of the store, because they are read anew."""
        for entry in list(self.entries.values()):
            if entry.schedule.source == "database":
                self.remove(entry.id)

    def idle_after(self, moment: datetime, *, most: int) -> list[AgendaEntry]:
        """Return up to `most` schedules of the store that are not needed before a moment, those read last first."""
        border = moment.timestamp()
        late = (entry for entry in reversed(self.entries.values()) if entry.due is None or entry.due > border)
        return list(islice(filter(self._is_idle, late), most))

    def _is_idle(self, entry: AgendaEntry) -> bool:
        """Whether all that is known about a schedule of the store is in the store and in Redis."""
        memory, row = entry.memory, entry.memory.skip_row
        return (
            entry.schedule.source == "database"
            and not (
                entry.later or memory.waiting or memory.ends or entry.id in self._waiting or entry.id in self.unsaved
            )
            and memory.stored in ("", memory.text())
            and (row is None or row.written == row.last)
        )

    def give_back(self, entry: AgendaEntry) -> None:
        """Add an entry again that was removed as an idle one, unless its schedule was read anew meanwhile."""
        if entry.id not in self.entries:
            self.entries[entry.id] = entry
            self._names[entry.name] = entry.id
            self.push(entry, entry.due_at)

    def named(self, name: str) -> AgendaEntry | None:
        """Return the schedule with an ID or a name."""
        entry = self.entries.get(name) or self.entries.get(self._names.get(name, ""))
        return None if entry is None or entry.is_deleted else entry

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
        self._note_row(entry)
        if entry.id not in self.entries:  # it was deleted, and only its row of skips is recorded
            return
        self.push(entry, due)
        if memory.open and (memory.waiting or entry.watches_runs):
            self._waiting[entry.id] = entry
        else:
            self._waiting.pop(entry.id, None)

    def resting_rows(self, now: datetime) -> list[AgendaEntry]:
        """Return the schedules whose row of skips has not grown for a while and is not recorded to its end."""
        return [
            entry
            for entry in self._rows.values()
            if (row := entry.memory.skip_row) is not None and now - row.last >= ROW_RESTS
        ]

    def _note_row(self, entry: AgendaEntry) -> None:
        row = entry.memory.skip_row
        if row is not None and row.written != row.last:
            self._rows[entry.id] = entry
        else:
            self._rows.pop(entry.id, None)

    def with_calendars(self, names: Collection[str]) -> list[AgendaEntry]:
        """Return the schedules that have one of these calendars."""
        return [entry for entry in self.entries.values() if entry.schedule.definition.calendar in names]

    def repause(self, entry: AgendaEntry, pause: OrderedPause | None, now: datetime) -> None:
        """Pause an entry, or resume it."""
        memory = entry.memory
        memory.pause = pause
        self._enter(entry.schedule, memory, now, entry.later)

    def _enter(
        self,
        schedule: StoredSchedule,
        memory: ScheduleMemory | None,
        now: datetime,
        later: tuple[StoredSchedule, ...] = (),
    ) -> AgendaEntry:
        if schedule.deleted_at is not None:
            return self._end(schedule, memory, now)
        # A schedule of the store that has never fired needs no state in Redis, because it follows from its row.
        is_fresh = memory is None and schedule.source == "database"
        definition = effective(schedule.definition, None if memory is None else memory.pause)
        known = None if memory is None else memory.state
        state = adopted(known, definition, changed_at(schedule, known, now))
        if state.last is None:  # Redis does not know the schedule; a store may
            state = replace(state, last=self._planned(schedule.id))
        timetable = Timetable(schedule.id, definition, state.since, self._calendar_of(definition))
        if later:
            timetable = closed(timetable, state, later, now)
        due = first_due(timetable, state)
        self.edits += 1
        memory = ScheduleMemory(state) if memory is None else memory
        memory.state = state
        if later and (due is None or due > now):
            return self._enter(later[0], memory, now, later[1:])
        if (before := self.entries.get(schedule.id)) is not None and self._names.get(before.name) == schedule.id:
            del self._names[before.name]
        entry = self.entries[schedule.id] = AgendaEntry(schedule, memory, timetable, later=later)
        if not entry.is_deleted:  # else another one may have the name by now
            self._names[entry.name] = schedule.id
        self.push(entry, due)
        self._waiting.pop(schedule.id, None)
        if memory.open and (memory.waiting or entry.watches_runs):
            self._waiting[schedule.id] = entry
        self._note_row(entry)
        self.unsaved.pop(schedule.id, None)
        if not is_fresh and memory.text() != memory.stored:
            self.unsaved[schedule.id] = entry
        return entry

    def _end(self, schedule: StoredSchedule, memory: ScheduleMemory | None, now: datetime) -> AgendaEntry:
        """Remove a schedule that was deleted. If it is restored, its times count from then on."""
        known = self.entries.get(schedule.id)
        self.delete(schedule.id)
        memory = memory or ScheduleMemory(ScheduleState(since=now))
        memory.state = replace(memory.state, timing=ENDED)
        entry = known or AgendaEntry(schedule, memory, Timetable(schedule.id, schedule.definition, now))
        entry.memory = memory
        if memory.stored:
            self.unsaved[schedule.id] = entry
        return entry

    def _calendar_of(self, definition: ScheduleDefinition) -> DaysOff | None:
        if definition.calendar is None:
            return None
        found = self._calendars(definition.calendar)
        if found is None:
            raise ConfigError(
                f"The schedule {definition.name!r} has the calendar {definition.calendar!r}: none is known."
            )
        return found
