"""Reads the sources of schedules at their intervals, and keeps what they gave until a leader takes it.

A source that cannot be read is reported once, and read again at its interval, at least every five seconds.

The number of kept schedules is bounded. A leader takes them in parts, and a source that has more waits meanwhile. A
scheduler that does not lead forgets all schedules of the store if more than `MOST_WAITING` of them have changed
(`forgotten`), and reads them again when it is elected.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from rota import events
from rota.schedule.calendar import Calendar
from rota.schedule.definition import StoredSchedule
from rota.scheduler.sources import ScheduleSource, SourceChanges

if TYPE_CHECKING:
    from rota.scheduler.store_source import StoreSource
    from rota.store.store_values import Hold

AGAIN = timedelta(seconds=5)
MOST_TAKEN = 200
"""Schedules that a leader takes in one round, so that others fire meanwhile."""
MOST_FOR_LEADER, MOST_WAITING = 2000, 20_000
"""Schedules that wait for the leader of this process, and in a scheduler that does not lead."""


class Intake:
    """The changes of all sources that no leader has taken yet. `changed` is set when there are some."""

    def __init__(self, sources: Sequence[ScheduleSource], store: "StoreSource | None" = None) -> None:
        self.store = store
        """The source that reads the store, which is one of the sources."""
        self.changed = asyncio.Event()
        self.read_once = asyncio.Event()
        """Set when each source was read once, or has failed once."""
        self.failed: dict[str, Exception] = {}
        """The sources that cannot be read now, by name, with their errors."""
        self.forgotten = False
        """Whether the schedules of the store were forgotten, because too many had changed."""
        self._leading = False
        self._room = asyncio.Event()
        self._sources = [*sources, *([] if store is None else [store])]
        self._unread = {source.name for source in self._sources}
        self._waiting: dict[str, StoredSchedule | None] = {}
        self.planned: dict[str, datetime] = {}
        """The last planned times that the store knows, by ID."""
        self.calendars: dict[str, Calendar] = {}
        self.hold: Hold | None = None
        """The hold of the store, as last read."""
        self.spoilt: dict[str, StoredSchedule] = {}
        """The schedules that cannot be used, by ID."""
        self._new_calendars: set[str] = set()
        if not self._sources:
            self.read_once.set()

    @property
    def edited(self) -> Collection[str]:
        """The IDs of the schedules that have changed and that no leader has taken yet."""
        return self._waiting.keys()

    def take(self) -> dict[str, StoredSchedule | None]:
        """Return up to `MOST_TAKEN` schedules that have changed, by ID, None for those that are gone."""
        ids = list(islice(self._waiting, MOST_TAKEN))
        taken = {each: self._waiting.pop(each) for each in ids}
        if not self._waiting:
            self.changed.clear()
        self._room.set()
        return taken

    def give_back(self, taken: Mapping[str, StoredSchedule | None]) -> None:
        """Keep again what was taken and could not be used, except what has changed once more."""
        self._waiting = {**taken, **self._waiting}
        self.changed.set()

    def lead(self, leads: bool) -> None:
        """Note whether this scheduler leads."""
        self._leading = leads
        self._room.set()

    def take_calendars(self) -> set[str]:
        """Return the names of the calendars that have changed since the last call."""
        taken, self._new_calendars = self._new_calendars, set()
        return taken

    async def run(self) -> None:
        """Read all sources until cancelled."""
        await asyncio.gather(*(self._follow(source) for source in self._sources))

    async def _follow(self, source: ScheduleSource) -> None:
        while True:
            try:
                changes = await source.changes()
                self._note(source, changes)
            except Exception as error:  # a provider is code of the user
                if source.name not in self.failed:
                    events.emit(events.ScheduleSourceFailed(source=source.name, error=error))
                self.failed[source.name] = error
                pause = min(source.every or AGAIN, AGAIN)
            else:
                if self.failed.pop(source.name, None) is not None:
                    events.emit(events.ScheduleSourceBack(source=source.name))
                if source.every is None:
                    self._was_read(source)
                    return
                pause = source.every
                if changes.more:
                    self._was_read(source)
                    await self._until_there_is_room()
                    continue
            self._was_read(source)
            await asyncio.sleep(pause.total_seconds())

    async def _until_there_is_room(self) -> None:
        await asyncio.sleep(0)
        while self._leading and len(self._waiting) > MOST_FOR_LEADER:
            self._room.clear()
            await self._room.wait()

    def _was_read(self, source: ScheduleSource) -> None:
        self._unread.discard(source.name)
        if not self._unread:
            self.read_once.set()

    def _note(self, source: ScheduleSource, changes: SourceChanges) -> None:
        self._waiting |= dict.fromkeys(changes.gone)
        self._waiting |= {schedule.id: schedule for schedule in changes.changed}
        self.planned |= changes.planned
        if source.holds and not self._leading and len(self._waiting) > MOST_WAITING:
            self._forget()
        for name, calendar in changes.calendars.items():
            self._new_calendars.add(name)
            if calendar is None:
                self.calendars.pop(name, None)
            else:
                self.calendars[name] = calendar
        held_otherwise = source.holds and changes.hold != self.hold
        if held_otherwise:
            self.hold = changes.hold
        if changes.gone or changes.changed or changes.calendars or held_otherwise:
            self.changed.set()

    def _forget(self) -> None:
        others = (each for each in self._waiting.values() if each is not None and each.source != "database")
        self._waiting = {each.id: each for each in others}
        self.planned, self.forgotten = {}, True
