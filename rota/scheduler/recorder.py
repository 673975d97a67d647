"""Moves the records of runs from Redis into the store, and follows the runs until they are over. The leader does both.

Each round, once a second:

1. Read the outboxes of all shards. A run that was enqueued joins the list of open runs (`OpenRuns`).
2. Look how the tasks of the open runs are doing, many in one request, and read those that have ended.
3. Write what is new about all of these runs, and only then remove the records from the outboxes. So a short run is
   written once, together with its end. A record may be written twice.
4. Every ten seconds, save how far each schedule has come.
5. Write the metrics of each minute that is over (`metrics_recorder`).

A run whose task is gone without an end is *lost*. While the store is away, the records wait in Redis.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from rota import events
from rota.broker.broker import Broker
from rota.errors import BrokerError, StoreError
from rota.schedule.run import ScheduleRun
from rota.scheduler.agenda import Agenda
from rota.scheduler.metrics_recorder import MetricsRecorder
from rota.scheduler.open_runs import OpenRuns
from rota.scheduler.retention import Retention
from rota.wire.scheduler_steps import SchedulerKeys, ShardKeys, outbox
from rota.wire.script import Call

if TYPE_CHECKING:
    from rota.store import Store
    from rota.store.store_values import PlannedTimes

EVERY_SECONDS = 1.0
SAVE_EVERY_SECONDS = 10.0
TRIM_EVERY_SECONDS = 3600.0
MOST_RECORDS = 100
"""Records that are read of each shard at once: so few that the fires of the same process are not late for them."""


class RunRecorder:
    """The recorder of one term. `store` returns None while the store cannot be opened."""

    def __init__(
        self,
        broker: Broker,
        store: "Callable[[], Store | None]",
        agenda: Agenda,
        now: Callable[[], datetime],
        *,
        keep: Retention,
    ) -> None:
        self._broker = broker
        self._keys = SchedulerKeys(broker.keys)
        self._store = store
        self._agenda = agenda
        self._keep = keep
        self._metrics = MetricsRecorder(broker)
        self._open = OpenRuns(broker, now)
        self._now = now
        self._written: dict[ShardKeys, int] = {}
        self._saved: dict[str, PlannedTimes] = {}
        self._save_at = 0.0
        self._failing = False

    async def run(self, epoch: int) -> None:
        """Record until cancelled."""
        trimming = asyncio.create_task(self._trim())
        try:
            while True:
                more = False
                try:
                    if (store := self._store()) is not None:
                        more = await self._round(store, epoch)
                        self._failing = False
                except (BrokerError, StoreError) as error:
                    self._report(error)
                if not more:
                    await asyncio.sleep(EVERY_SECONDS)
        finally:
            trimming.cancel()
            with suppress(asyncio.CancelledError):
                await trimming

    async def _round(self, store: "Store", epoch: int) -> bool:
        records, read = await self._read_outboxes(epoch)
        self._open.add(records)
        await self._open.read_more(store)
        seen = await self._open.look()
        # A run that was enqueued since the last round and has come further already is written once, as it is now.
        new = {each.id for each in records}
        changed = [run for id, run in seen.items() if id not in new]
        await store.record_runs([*(seen.get(each.id, each) for each in records), *changed])
        self._written = read
        self._open.settle(seen)
        if time.monotonic() >= self._save_at:
            self._save_at = time.monotonic() + SAVE_EVERY_SECONDS
            await self._save(store)
        await self._metrics.record(store)
        return any(number == MOST_RECORDS for number in read.values())

    async def _read_outboxes(self, epoch: int) -> tuple[list[ScheduleRun], dict[ShardKeys, int]]:
        """Remove the records that are in the store, and read the next ones, with their numbers by shard.

        Nothing is read if another leader has taken the shards.
        """
        calls: list[Call[list[bytes] | None]] = [
            outbox(shard, epoch, remove=self._written.pop(shard, 0), most=MOST_RECORDS) for shard in self._keys.shards
        ]
        replies: list[list[bytes] | BrokerError | None] = await self._broker.run_many(calls)
        found: list[ScheduleRun] = []
        read: dict[ShardKeys, int] = {}
        for shard, reply in zip(self._keys.shards, replies, strict=True):
            if isinstance(reply, BrokerError):
                raise reply
            if reply:
                found += filter(None, map(_readable, reply))
                read[shard] = len(reply)
        return found, read

    async def _save(self, store: "Store") -> None:
        from rota.store.store_values import PlannedTimes  # a program without a store may lack what the store needs

        planned = {
            entry.id: PlannedTimes(
                schedule_id=entry.id, last_planned_at=entry.memory.state.last, next_due_at=entry.due_at
            )
            for entry in self._agenda.entries.values()
            if entry.schedule.source == "database"
        }
        await store.save_planned(each for id, each in planned.items() if self._saved.get(id) != each)
        self._saved = planned

    async def _trim(self) -> None:
        """Delete what is too old, once an hour. It is a part of its own, because it may take minutes."""
        pause = TRIM_EVERY_SECONDS / 60
        while True:
            await asyncio.sleep(pause)
            pause = TRIM_EVERY_SECONDS
            try:
                if (store := self._store()) is not None:
                    await self._keep.trim(store)
                    await store.trim_metrics(self._now())
            except StoreError as error:
                self._report(error)

    def _report(self, error: Exception) -> None:
        """Report the first of several faults in a row."""
        if not self._failing:
            events.emit(events.RunsNotRecorded(error=error))
        self._failing = True


def _readable(record: bytes) -> ScheduleRun | None:
    try:
        return ScheduleRun.from_json(record)
    except ValueError as error:
        events.emit(events.RunRecordUnreadable(error=error))
        return None
