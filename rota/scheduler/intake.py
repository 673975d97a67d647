"""Reads the sources of schedules at their intervals, and keeps what they gave until a leader takes it.

A source that cannot be read is reported once, and read again at its interval, at least every five seconds.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rota import events
from rota.schedule.calendar import Calendar
from rota.schedule.definition import StoredSchedule
from rota.scheduler.sources import ScheduleSource, SourceChanges

if TYPE_CHECKING:
    from rota.store.store_values import Hold

AGAIN = timedelta(seconds=5)


class Intake:
    """The changes of all sources that no leader has taken yet. `changed` is set when there are some."""

    def __init__(self, sources: Sequence[ScheduleSource]) -> None:
        self.changed = asyncio.Event()
        self.read_once = asyncio.Event()
        """Set when each source was read once, or has failed once."""
        self.failed: dict[str, Exception] = {}
        """The sources that cannot be read now, by name, with their errors."""
        self._sources = sources
        self._unread = {source.name for source in sources}
        self._waiting: dict[str, StoredSchedule | None] = {}
        self.planned: dict[str, datetime] = {}
        """The last planned times that the store knows, by ID."""
        self.calendars: dict[str, Calendar] = {}
        self.hold: Hold | None = None
        """The hold of the store, as last read."""
        self.spoilt: dict[str, StoredSchedule] = {}
        """The schedules that cannot be used, by ID."""
        self._new_calendars: set[str] = set()
        if not sources:
            self.read_once.set()

    def take(self) -> dict[str, StoredSchedule | None]:
        """Return what has changed since the last call: schedules by ID, None for those that are gone."""
        self.changed.clear()
        taken, self._waiting = self._waiting, {}
        return taken

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
                self._note(source, await source.changes())
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
            self._was_read(source)
            await asyncio.sleep(pause.total_seconds())

    def _was_read(self, source: ScheduleSource) -> None:
        self._unread.discard(source.name)
        if not self._unread:
            self.read_once.set()

    def _note(self, source: ScheduleSource, changes: SourceChanges) -> None:
        self._waiting |= dict.fromkeys(changes.gone)
        self._waiting |= {schedule.id: schedule for schedule in changes.changed}
        self.planned |= changes.planned
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
