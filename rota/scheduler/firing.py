"""Carries out what was decided: claims runs, enqueues their tasks, and confirms, in batches for all shards at once.

`take` takes the shards as a new leader, and finishes what was claimed and not confirmed. `states` reads how far
schedules have come, and `fire` sends new orders. Any reply that is lost and any refusal raises TermOver. The scheduler
then stands for election and takes the shards again, so there is one way to recover from a fault, whatever step it hit
(`rota.wire.scheduler_steps` tells why that is safe).

A queue that refuses a task, for a missing right or a key of the wrong type, does not stop the other runs: the run is
recorded as skipped, with the server's error.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from rota import events
from rota.broker.broker import Broker
from rota.client.core import PUBLISH_SECONDS
from rota.core import faults
from rota.errors import BrokerError, BrokerRefused, QueuePaused
from rota.schedule.run import ScheduleRun
from rota.scheduler.run_batch import ClaimedRun, FireOrder, PlannedRun, RunBatch, by_queue, cut, read_claim, write_claim
from rota.wire.enqueue import Item, Reply
from rota.wire.scheduler_steps import (
    MOST_STATES,
    BatchNumber,
    Refused,
    SchedulerKeys,
    ShardKeys,
    StoredState,
    claim,
    confirm,
    enqueue_batch,
    states,
    take,
)
from rota.wire.script import Call

T = TypeVar("T")


class TermOver(Exception):
    """This leader cannot go on in its epoch. `above` is an epoch that the next one must exceed."""

    def __init__(self, reason: object, *, above: int = 0) -> None:
        super().__init__(str(reason))
        self.above = above
        self.error = reason if isinstance(reason, BrokerError) else None


class Firing:
    """The requests of one scheduler. `enqueued` is told of the runs of each batch when it is confirmed."""

    def __init__(
        self,
        broker: Broker,
        *,
        now: Callable[[], datetime],
        keeps_records: bool,
        enqueued: Callable[[Sequence[ScheduleRun]], object] = lambda runs: None,
    ) -> None:
        self._broker = broker
        self._keys = SchedulerKeys(broker.keys)
        self._now = now
        self._keeps_records = keeps_records
        self._enqueued = enqueued
        self._published_until: dict[str, float] = {}
        self._number = BatchNumber(0, 0)

    @property
    def epoch(self) -> int:
        """The epoch in which this scheduler fires."""
        return self._number.epoch

    async def take(self, epoch: int) -> None:
        """Take all shards, and finish their claims."""
        self._number = BatchNumber(epoch, self._number.batch if epoch == self.epoch else 0)
        number = self._next()
        left: list[tuple[ShardKeys, list[ClaimedRun]]] = []
        unreadable: list[Call[bool]] = []
        shards = self._keys.shards
        for shard, reply in zip(shards, await self._run_many([take(shard, number) for shard in shards]), strict=True):
            if isinstance(reply, Refused):
                raise _overtaken(reply)
            claimed, broken = _read_all(reply.claims)
            left.append((shard, claimed))
            if broken:
                unreadable.append(confirm(shard, epoch, broken))
        faults.reach("scheduler:taken")
        await self._run_many(unreadable)
        await self._finish(left)

    async def states(self, schedule_ids: Iterable[str]) -> dict[str, StoredState]:
        """Return the states of these schedules by ID. One that has never been stored is left out."""
        by_shard: dict[ShardKeys, list[str]] = {}
        for schedule_id in schedule_ids:
            by_shard.setdefault(self._keys.shard(schedule_id), []).append(schedule_id)
        calls = [
            states(shard, ids[start : start + MOST_STATES])
            for shard, ids in by_shard.items()
            for start in range(0, len(ids), MOST_STATES)
        ]
        found: dict[str, StoredState] = {}
        for reply in await self._run_many(calls):
            found |= reply
        return found

    async def fire(self, orders: Iterable[FireOrder]) -> None:
        """Claim, enqueue and confirm. Returns when all tasks are enqueued."""
        by_shard: dict[ShardKeys, list[FireOrder]] = {}
        for order in orders:
            by_shard.setdefault(self._keys.shard(order.change.schedule_id), []).append(order)
        waiting = {shard: cut(some) for shard, some in by_shard.items()}
        while waiting:
            batches: list[tuple[ShardKeys, RunBatch]] = []
            for shard, rest in list(waiting.items()):
                batch = next(rest, None)
                if batch is None:
                    del waiting[shard]
                else:
                    batches.append((shard, batch))
            await self._fire_round(batches)

    async def _fire_round(self, batches: Sequence[tuple[ShardKeys, RunBatch]]) -> None:
        """Send one batch of each shard."""
        number = self._next()
        calls = [self._claim(shard, number, batch) for shard, batch in batches]
        faults.reach("scheduler:claim")
        for refused in await self._run_many(calls):
            if refused is not None:
                raise _overtaken(refused)
        faults.answered("scheduler:claimed")
        rows = [(shard, number, batch.runs) for shard, batch in batches if batch.runs]
        await self._enqueue_and_confirm(rows)

    def _claim(self, shard: ShardKeys, number: BatchNumber, batch: RunBatch) -> Call[Refused | None]:
        runs = {run.record.id: write_claim(number, run) for run in batch.runs}
        records = [record.to_json() for order in batch.orders for record in order.skipped]
        return claim(
            shard, number, [order.change for order in batch.orders], runs, records if self._keeps_records else ()
        )

    async def _finish(self, left: Sequence[tuple[ShardKeys, list[ClaimedRun]]]) -> None:
        """Finish the claims of an earlier leader, the oldest batch of each shard first."""
        for shard, claimed in left:
            for number in sorted({each.number for each in claimed}):
                runs = [each.run for each in claimed if each.number == number]
                runs.sort(key=lambda run: run.record.planned_at)
                events.emit(events.RunsFinished(runs=len(runs), epoch=number.epoch))
                await self._enqueue_and_confirm([(shard, number, runs)])

    async def _enqueue_and_confirm(self, rows: Sequence[tuple[ShardKeys, BatchNumber, list[PlannedRun]]]) -> None:
        sendings = [
            (shard, number, queue, tasks) for shard, number, runs in rows for queue, tasks in by_queue(runs).items()
        ]
        await self._publish({queue for _, _, queue, _ in sendings})
        calls = [
            enqueue_batch(self._broker.keys.queue(queue), shard, number, [item for _, item in tasks])
            for shard, number, queue, tasks in sendings
        ]
        faults.reach("scheduler:enqueue")
        outcomes = await self._broker.run_many(calls)
        faults.answered("scheduler:enqueued")
        now, records = self._now(), {run.record.id: run.record for _, _, runs in rows for run in runs}
        for (_, _, queue, tasks), outcome in zip(sendings, outcomes, strict=True):
            if isinstance(outcome, BrokerError) and not isinstance(outcome, BrokerRefused):
                raise TermOver(outcome)
            if isinstance(outcome, QueuePaused):
                self._published_until.pop(queue, None)  # a queue that refuses may be deleted
            for index, (run, item) in enumerate(tasks):
                reply = outcome[index] if isinstance(outcome, list) else outcome
                records[run.record.id] = _recorded(records[run.record.id], queue, item, reply, now)
        await self._confirm(
            [(shard, [replace(run, record=records[run.record.id]) for run in runs]) for shard, _, runs in rows]
        )
        self._enqueued(list(records.values()))

    async def _confirm(self, rows: Sequence[tuple[ShardKeys, list[PlannedRun]]]) -> None:
        calls = [
            confirm(
                shard,
                self.epoch,
                [run.record.id for run in runs],
                [record.to_json() for run in runs for record in run.records] if self._keeps_records else (),
            )
            for shard, runs in rows
        ]
        faults.reach("scheduler:confirm")
        for confirmed in await self._run_many(calls):
            if not confirmed:
                raise TermOver("another scheduler has taken over")
        faults.answered("scheduler:confirmed")

    async def _publish(self, queues: Iterable[str]) -> None:
        """Add names of queues to the set of all queues, as a client does before it enqueues."""
        now = time.monotonic()
        new = sorted(queue for queue in queues if self._published_until.get(queue, 0.0) < now)
        if not new:
            return
        try:
            await self._broker.execute("SADD", self._broker.keys.queues, *new, key=self._broker.keys.queues)
        except BrokerError as error:
            raise TermOver(error) from error
        self._published_until |= dict.fromkeys(new, now + PUBLISH_SECONDS)

    async def _run_many(self, calls: Sequence[Call[T]]) -> list[T]:
        replies: list[T] = []
        for reply in await self._broker.run_many(calls):
            if isinstance(reply, BrokerError):
                raise TermOver(reply)
            replies.append(reply)
        return replies

    def _next(self) -> BatchNumber:
        self._number = self._number._replace(batch=self._number.batch + 1)
        return self._number


def _read_all(claims: Mapping[str, bytes]) -> tuple[list[ClaimedRun], list[str]]:
    """Read the claims of a shard. Returns those that can be read, and the IDs of the runs of the others."""
    claimed: list[ClaimedRun] = []
    broken: list[str] = []
    for run_id, data in claims.items():
        try:
            claimed.append(read_claim(data))
        except ValueError as error:
            events.emit(events.ClaimUnreadable(run=run_id, error=error))
            broken.append(run_id)
    return claimed, broken


def _overtaken(refused: Refused) -> TermOver:
    if refused.newer is None:
        return TermOver(f"schedule {refused.schedule_id} was planned further by another leader")
    return TermOver("another scheduler has taken over", above=refused.newer.epoch)


def _recorded(
    record: ScheduleRun, queue: str, item: Item, reply: Reply | BrokerError | None, now: datetime
) -> ScheduleRun:
    """Return the record of a run after one of its tasks was sent. A run of which one task was added is not skipped."""
    if reply is None or (isinstance(reply, Reply) and reply.reason in ("created", "replaced")):
        ids = (*record.task_ids, item.id if reply is None else reply.id)
        return replace(record, queue=queue, task_ids=ids, enqueued_at=now, outcome=None, skip_reason=None, skip_count=0)
    if isinstance(reply, BrokerError):
        record = replace(record, error=str(reply))
    elif reply.reason == "error":
        record = replace(record, error=reply.id)
    else:
        record = replace(record, note=f"task {reply.id} ({reply.state}) holds the unique lock")
    if record.task_ids:
        return record
    return replace(record, outcome="skipped", skip_reason="refused" if record.error else "unique", skip_count=1)
