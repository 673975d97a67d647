"""One scheduler: stands for election, and while it leads fires the schedules of its sources.

Its life:

1. Read the sources, again and again, whether it leads or not, so that a new leader has all schedules at hand.
2. Stand for election. A scheduler that is not elected asks again after half a second.
3. As the leader: take the shards, which finishes what an earlier leader left, and then go round by round (`Term`).
4. A reply that is lost, a refusal or a lost lease ends the term, and the scheduler stands for election again. While the
   server is away, the waits between the attempts grow to two seconds. Planned times that pass are missed ones then.
"""

import asyncio
import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from rota import events
from rota.broker.broker import Broker
from rota.errors import BrokerError
from rota.scheduler.agenda import Agenda
from rota.scheduler.firing import TermOver
from rota.scheduler.intake import Intake
from rota.scheduler.lead import STAND_SECONDS, Lead
from rota.scheduler.recorder import RunRecorder
from rota.scheduler.retention import Retention
from rota.scheduler.run_plans import RunPlans
from rota.scheduler.scheduler_status import SchedulerStatus, Tally
from rota.scheduler.server_time import ServerTime
from rota.scheduler.sources import ScheduleSource
from rota.scheduler.term import Term
from rota.settings.setting_groups import DatabaseSettings
from rota.wire.server_record import new_server_id

if TYPE_CHECKING:
    from rota.scheduler.store_source import StoreSource

PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 2.0
"""The first and the longest wait before the next candidacy after a fault."""
LONGEST_READING_SECONDS = 5.0
LAST_SECONDS = 5.0
"""How long a scheduler that stops waits for its last batch."""


class Scheduler:
    """Fires schedules while it leads. Any number of schedulers may run; `run` ends after `stop`."""

    def __init__(
        self,
        broker: Broker,
        sources: Sequence[ScheduleSource],
        plans: RunPlans,
        *,
        store: "StoreSource | None" = None,
        keep: Retention | None = None,
    ) -> None:
        self.id = new_server_id()
        self.host = socket.gethostname()
        self.pid = os.getpid()
        self.started_at = time.monotonic()
        self.ready = asyncio.Event()
        """Set when the server has first answered, and all sources were read once or have failed once."""
        self.clock = ServerTime()
        self.tally = Tally()
        self._broker = broker
        self._plans = plans
        self._store = store
        if store is not None:
            store.now = self.clock.moment
        self._keep = keep or Retention.of(DatabaseSettings())
        self._lead = Lead(broker, f"{self.host}:{self.pid}:{self.id}", self.clock)
        self._intake = Intake(sources, store)
        self._agenda = Agenda(self._intake.calendars.get, self._intake.planned.get)
        self._stopping = asyncio.Event()
        self._term: Term | None = None

    @property
    def name(self) -> str:
        """The name by which the other schedulers know this one: host, process and ID."""
        return f"{self.host}:{self.pid}:{self.id}"

    @property
    def leading(self) -> bool:
        """Whether this scheduler leads."""
        return self._term is not None and self._term.ticking

    @property
    def stopping(self) -> bool:
        """Whether the scheduler was asked to stop."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Finish the batch that is under way, resign and end."""
        self._stopping.set()
        if self._term is not None:
            self._term.stop()

    def status(self) -> SchedulerStatus:
        """Return what the scheduler is doing. Can be called in any thread."""
        term = self._term
        return SchedulerStatus(
            scheduler=self.name,
            leading=self.leading,
            leader=self._lead.leader,
            epoch=self._lead.epoch,
            schedules=len(self._agenda.entries),
            ticked_seconds_ago=None if term is None else time.monotonic() - term.ticked_at,
            asked_seconds_ago=time.monotonic() - self._lead.asked_at if self._lead.asked_at else None,
            failed_sources=tuple(sorted(self._intake.failed)),
            spoilt=tuple(sorted(each.definition.name for each in tuple(self._intake.spoilt.values()))),
            tally=self.tally.copy(),
        )

    async def run(self) -> None:
        """Work until `stop`."""
        intake = asyncio.create_task(self._intake.run())
        try:
            await self._first_reading()
            failures = above = 0
            while not self._stopping.is_set():
                try:
                    epoch = await self._lead.stand(above=above)
                    self.ready.set()
                    if not epoch:
                        await self._pause(STAND_SECONDS)
                        continue
                    await self._lead_on(epoch)
                    failures = above = 0
                except (TermOver, BrokerError) as over:
                    failures, above = failures + 1, getattr(over, "above", 0)
                    self._note_end(over, failures)
                    await self._pause(min(PAUSE_SECONDS * 2 ** min(failures - 1, 10), LONGEST_PAUSE_SECONDS))
                except Exception as error:
                    failures, above = failures + 1, 0
                    events.emit(events.SchedulerNotTicking(scheduler=self.name, error=error))
                    await self._pause(LONGEST_PAUSE_SECONDS)
        finally:
            intake.cancel()
            await asyncio.gather(intake, return_exceptions=True)
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_SECONDS):
                    await self._lead.resign()
            if self._store is not None:
                await self._store.aclose()

    async def _lead_on(self, epoch: int) -> None:
        term = self._term = Term(
            self._broker,
            self._lead,
            self.clock,
            self._agenda,
            self._intake,
            self._plans,
            self.tally,
            identity=(self.host, self.pid, self.id),
            recorder=self._recorder(),
        )
        if self._stopping.is_set():
            return
        self._lead_sources(True)
        try:
            events.emit(events.SchedulerElected(scheduler=self.name, epoch=epoch))
            await term.run(epoch)
        finally:
            self._term = None
            self._lead_sources(False)

    def _lead_sources(self, leads: bool) -> None:
        """Tell the readers of the sources whether this scheduler leads."""
        self._intake.lead(leads)
        if self._store is None:
            return
        if leads and self._intake.forgotten:
            self._intake.forgotten = False
            self._agenda.forget_stored()
            self._store.forget()
        self._store.lead(leads)

    def _recorder(self) -> RunRecorder | None:
        source = self._store
        if source is None:
            return None
        return RunRecorder(self._broker, lambda: source.store, self._agenda, self.clock.moment, keep=self._keep)

    def _note_end(self, over: Exception, failures: int) -> None:
        error = over.error if isinstance(over, TermOver) else over
        if error is None:
            events.emit(events.SchedulerLostLead(scheduler=self.name, reason=str(over)))
        elif failures <= 1 or failures % 30 == 0:
            events.emit(events.SchedulerNotTicking(scheduler=self.name, error=error))

    async def _first_reading(self) -> None:
        """Wait until each source was read once, so that a new leader does not begin without schedules."""
        waits = [asyncio.create_task(event.wait()) for event in (self._intake.read_once, self._stopping)]
        try:
            await asyncio.wait(waits, timeout=LONGEST_READING_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
