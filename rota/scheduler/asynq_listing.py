"""Shows the schedules in Asynq's own keys, so that Asynq's command line and Asynqmon list them, with their enqueues.

The leader writes all entries every ten seconds, if one of them has changed, and otherwise extends the life of the list.
Each enqueue is added to the history of its entry. That is done aside, because it is only for people: a scheduler that
dies in between leaves a gap in the history, and not in the runs.

An entry of a schedule that does not fire now says so by the option `Paused`, because Asynq's entries have no field for
it. Its next time is the one after the pause.
"""

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from pydantic_core import to_json

from rota.broker.broker import Broker
from rota.errors import BrokerError
from rota.schedule.definition import ScheduleDefinition
from rota.schedule.run import ScheduleRun
from rota.scheduler.agenda import Agenda
from rota.scheduler.agenda_entry import AgendaEntry
from rota.scheduler.intake import Intake
from rota.scheduler.server_time import ServerTime
from rota.wire.option_text import TextOption, render
from rota.wire.scheduler_entry import EntryRecord, add_event, clear_entries, entries_key, pack_entry, write_entries
from rota.wire.script import Call

if TYPE_CHECKING:
    from rota.store.store_values import Hold

EVERY_SECONDS = 10.0
LOOK_SECONDS = 1.0
"""How often the listing checks whether a schedule was added, edited or removed. Then it writes the entries at once."""
TTL = timedelta(seconds=20)
LAST_SECONDS = 1.0
MOST_EVENTS = 10_000
"""Enqueues that wait to be added to a history. Beyond this, the oldest are left out."""
MOST_ENTRIES = 1000
"""Entries that are listed: the ones that are due first. Asynq reads them all at once."""
MOST_SHOWN_PAYLOAD_BYTES = 4096


class AsynqListing:
    """The entries of one scheduler, while it leads."""

    def __init__(
        self, broker: Broker, agenda: Agenda, intake: Intake, clock: ServerTime, identity: tuple[str, int, str]
    ) -> None:
        self._broker = broker
        self._agenda, self._intake, self._clock = agenda, intake, clock
        self._own = entries_key(broker.keys, *identity)
        self._events: list[tuple[str, str, int]] = []
        self._woken = asyncio.Event()
        self._written: list[bytes] = []
        self._written_at = float("-inf")
        self._shown: tuple[int, Hold | None] = (-1, None)

    def enqueued(self, runs: Iterable[ScheduleRun]) -> None:
        """Note runs that were enqueued."""
        for run in runs:
            if run.enqueued_at is not None:
                at_ns = int(run.enqueued_at.timestamp() * 1_000_000) * 1000
                self._events += [(run.schedule_id, task_id, at_ns) for task_id in run.task_ids]
        del self._events[:-MOST_EVENTS]
        self._woken.set()

    async def run(self) -> None:
        """Write until cancelled. The parts that fire report an error of the server, because they get it too."""
        while True:
            with suppress(BrokerError):
                await self._write()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._woken.wait()
            self._woken.clear()

    async def clear(self) -> None:
        """Remove the entries of a scheduler that stops. The histories stay."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await self._broker.run_many(clear_entries(self._broker.keys, self._own))

    async def _write(self) -> None:
        events, self._events = self._events, []
        calls: list[Call[None]] = [add_event(self._broker.keys, *event) for event in events]
        for start in range(0, len(calls), 500):
            await self._broker.run_many(calls[start : start + 500])
        now, shown = self._clock.moment(), (self._agenda.edits, self._intake.hold)
        if shown == self._shown and time.monotonic() - self._written_at < EVERY_SECONDS:
            return
        entries = [pack_entry(_record(entry, self._intake.hold, now)) for entry in self._first_due()]
        changed = entries if entries != self._written else []
        writes: list[Call[bool]] = write_entries(self._broker.keys, self._own, changed, TTL)
        replies: list[bool | BrokerError] = await self._broker.run_many(writes)
        self._written_at, self._shown = time.monotonic(), shown
        # A list that has expired in the meantime is written again at the next turn.
        self._written = entries if all(reply is True for reply in replies) else []

    def _first_due(self) -> Iterable[AgendaEntry]:
        entries = self._agenda.entries.values()
        if len(entries) <= MOST_ENTRIES:
            return entries
        return islice(sorted(entries, key=lambda entry: float("inf") if entry.due is None else entry.due), MOST_ENTRIES)


def _record(entry: AgendaEntry, hold: "Hold | None", now: datetime) -> EntryRecord:
    definition, last = entry.definition, entry.memory.state.last
    pause, until = _pause(definition, hold, now)
    due = entry.due_at
    if pause:
        due = None if until is None else _first_after(entry, until)
    options = [*_options(definition), *([TextOption("Paused", pause)] if pause else [])]
    return EntryRecord(
        id=entry.id,
        spec="; ".join(definition.specs) or definition.kind,
        task_type=definition.task_type,
        payload=to_json(definition.payload)[:MOST_SHOWN_PAYLOAD_BYTES],
        options=[render(option) for option in options],
        next_ns=_ns(due),
        previous_ns=_ns(last),
    )


def _pause(definition: ScheduleDefinition, hold: "Hold | None", now: datetime) -> tuple[str, datetime | None]:
    """Return why a schedule does not fire now, empty if it does, and until when, None without an end."""
    if not definition.enabled:
        return "stopped", None
    if hold is not None and hold.holds(now):
        return "held", hold.until
    if definition.pause_until is not None and definition.pause_until > now:
        return "paused", definition.pause_until
    return "", None


def _first_after(entry: AgendaEntry, until: datetime) -> datetime | None:
    """Return the first planned time that is not in a pause until a moment."""
    due = entry.due_at
    if due is None or due >= until or entry.counts_from_end:
        return due
    planned = entry.timetable.next(until - timedelta(microseconds=1))
    return None if planned is None else entry.timetable.fires_at(planned)


def _options(definition: ScheduleDefinition) -> Iterable[TextOption]:
    given: dict[str, object] = {
        "Queue": definition.queue,
        "MaxRetry": definition.max_retry,
        "Timeout": definition.timeout,
        "Unique": definition.unique,
        "Retention": definition.retention,
        "Group": definition.group,
    }
    for name, value in given.items():
        if isinstance(value, int | str | timedelta):
            yield TextOption(name, value)
    for header in definition.headers.items():
        yield TextOption("Header", header)


def _ns(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1_000_000) * 1000
