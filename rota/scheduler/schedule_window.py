"""The schedules that a leader holds: it takes those that the sources gave, and drops those that are not needed soon.

A leader holds all schedules of code and providers, and those of the store as `StoreSource` tells. When it holds more
than `MOST_KEPT`, it drops schedules of the store in these steps:

1. Choose some that are idle: not due within twice the window, and with nothing known that is not stored.
2. Remove them from the agenda, in a round, so that no step of a round has one in its hands.
3. Write into the store when they are due. If that fails, they return to the agenda.

While a schedule is held, the store says that it is needed. So a leader that dies leaves none behind. A schedule that an
order names is picked up from the store first, which says so there.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from rota import events
from rota.errors import OrderRefused, RotaError, StoreError
from rota.schedule.definition import StoredSchedule
from rota.scheduler.agenda import Agenda
from rota.scheduler.agenda_entry import AgendaEntry
from rota.scheduler.calendar_watch import CalendarWatch
from rota.scheduler.firing import Firing
from rota.scheduler.intake import Intake
from rota.scheduler.server_time import ServerTime

if TYPE_CHECKING:
    from rota.scheduler.store_source import StoreSource

DROP_EVERY_SECONDS = 5.0
MOST_DROPPED = 500
MEET_SECONDS = 2.0
"""How long a new leader reads the earlier versions of schedules that were edited while no scheduler led."""
PICK_UP_SECONDS = 2.0
"""How long an order waits for the store, while nothing fires."""


class ScheduleWindow:
    """The schedules of one term."""

    def __init__(self, agenda: Agenda, intake: Intake, firing: Firing, clock: ServerTime) -> None:
        self._agenda = agenda
        self._intake = intake
        self._firing = firing
        self._clock = clock
        self._source = intake.store
        self._watch = CalendarWatch(agenda, intake.calendars, clock)
        self._dropped: dict[str, AgendaEntry] = {}
        """The schedules that are being written, by ID, without those that were read anew meanwhile."""
        self._revision = 0
        self._to_write = asyncio.Event()
        self._written = asyncio.Event()
        self._written.set()
        self._drop_at = 0.0

    async def apply(self) -> None:
        """Take what the sources gave, and drop what is not needed soon."""
        # All edits of calendars up to this revision are in the hands of the intake, and in force after this step.
        revision = 0 if self._source is None else self._source.revision
        taken = self._intake.take()
        affected: list[StoredSchedule] = []
        if calendars := self._intake.take_calendars():
            affected = [entry.schedule for entry in self._agenda.with_calendars(calendars)]
            affected += [each for each in self._intake.spoilt.values() if each.definition.calendar in calendars]
            taken = {**{each.id: each for each in affected}, **taken}
            self._watch.edited()
        try:
            await self._put_all(taken, anew={each.id for each in affected})
        except BaseException:  # the next term takes them
            self._intake.give_back(taken)
            raise
        self._watch.look()
        self._drop(revision)

    async def named(self, name: str) -> AgendaEntry | None:
        """Return the schedule with a name or an ID, from the store if it is not held.

        Raises OrderRefused if the store does not answer.
        """
        entry, source = self._agenda.named(name), self._source
        if source is None or self._is_small(source) or not _is_due_later(entry, self._clock.moment()):
            return entry
        try:
            async with asyncio.timeout(PICK_UP_SECONDS):
                await self._written.wait()
                found = await source.pick_up(name)
        except (StoreError, TimeoutError) as error:
            raise OrderRefused(f"it cannot be read from the store now ({error or 'no answer'}).") from error
        self._intake.planned |= found.planned
        await self._put_all({each.id: each for each in found.schedules})
        return self._agenda.named(name)

    async def run(self, epoch: int) -> None:
        """Write the moments of dropped schedules into the store, until cancelled."""
        while True:
            await self._to_write.wait()
            self._to_write.clear()
            dropped = list(self._dropped.values())
            try:
                written = await self._write(epoch, dropped)
            except RotaError:  # the reader of the store reports it
                written = False
            if not written:
                for entry in self._dropped.values():
                    self._agenda.give_back(entry)
            full = written and len(dropped) == MOST_DROPPED
            self._drop_at = time.monotonic() + (0.0 if full else DROP_EVERY_SECONDS)
            self._dropped = {}
            self._written.set()

    async def _write(self, epoch: int, dropped: Sequence[AgendaEntry]) -> bool:
        from rota.store.due_window import Postponed  # a program without a store may lack what the store needs
        from rota.store.store_values import PlannedTimes

        if self._source is None or (store := self._source.store) is None:
            return False
        await store.save_planned(
            PlannedTimes(schedule_id=entry.id, last_planned_at=entry.memory.state.last, next_due_at=entry.due_at)
            for entry in dropped
        )
        found = [Postponed(entry.schedule, entry.due_at) for entry in dropped]
        return await store.postpone(epoch, found, read=self._revision)

    async def _put_all(
        self, taken: dict[str, StoredSchedule] | dict[str, StoredSchedule | None], *, anew: Collection[str] = ()
    ) -> None:
        """Put schedules into the agenda, None for those that are gone. `anew` are those whose calendar was edited."""
        new = [id for id, schedule in taken.items() if schedule is not None and id not in self._agenda.entries]
        states = await self._firing.states(new) if new else {}
        now = self._clock.moment()
        for schedule_id, schedule in taken.items():
            self._intake.spoilt.pop(schedule_id, None)
            self._dropped.pop(schedule_id, None)
            if schedule is None:
                self._agenda.delete(schedule_id)
            elif schedule.deleted_at is not None:
                self._agenda.put_deleted(schedule, now, states.get(schedule_id))
            elif schedule_id in anew or not self._is_known(schedule):
                self._try(schedule, partial(self._agenda.put, schedule, now, states.get(schedule_id)))
        await self._meet_versions()

    def follow(self, entry: AgendaEntry, now: datetime) -> None:
        """Put the next version of a schedule in force, because the times before it are decided."""
        self._try(entry.later[0], partial(self._agenda.follow, entry.id, now))

    def _try(self, schedule: StoredSchedule, act: Callable[[], object]) -> None:
        """Do something with a schedule, which is reported and left out if it cannot be used."""
        try:
            act()
            self._intake.planned.pop(schedule.id, None)
        except RotaError as error:
            self._intake.spoilt[schedule.id] = schedule
            about = {"source": schedule.source, "schedule": schedule.definition.name}
            events.emit(events.ScheduleSpoilt(**about, error=error))

    async def _meet_versions(self) -> None:
        """Read the versions that held before edits which no leader has seen, so that they decide the times before.

        While the store is away or slow, the times before such an edit are not known, and are left out.
        """
        unmet, source = self._agenda.take_unmet(), self._source
        with suppress(TimeoutError):
            async with asyncio.timeout(MEET_SECONDS):
                for schedule_id, memory in unmet.items():
                    with suppress(RotaError):
                        if source is not None and (versions := await source.versions(schedule_id)):
                            self._agenda.put_versions(versions, memory, self._clock.moment())

    def _is_known(self, schedule: StoredSchedule) -> bool:
        """Whether this version of a schedule of the store is held already: a new leader reads it once more."""
        entry = self._agenda.entries.get(schedule.id)
        if entry is None or entry.schedule.revision != schedule.revision or schedule.source != "database":
            return False
        entry.schedule = schedule
        return True

    def _is_small(self, source: "StoreSource") -> bool:
        return source.is_whole and len(self._agenda.entries) <= source.most_kept // 2

    def _drop(self, revision: int) -> None:
        source = self._source
        if source is None or not self._written.is_set() or time.monotonic() < self._drop_at:
            return
        if len(self._agenda.entries) <= source.most_kept:
            return
        self._dropped = {each.id: each for each in self._agenda.idle_after(source.narrow(), most=MOST_DROPPED)}
        if not self._dropped:
            self._drop_at = time.monotonic() + DROP_EVERY_SECONDS
            return
        for schedule_id in self._dropped:
            self._agenda.remove(schedule_id)
        self._revision = revision
        self._written.clear()
        self._to_write.set()


def _is_due_later(entry: AgendaEntry | None, now: datetime) -> bool:
    """Whether the store does not say of a schedule of its own that it is needed now."""
    if entry is None:
        return True
    due_at = entry.schedule.due_at
    return entry.schedule.source == "database" and (due_at is None or due_at > now)
