"""A broker on a fresh database, and a leader's hand that fires runs of schedules."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rota.app import Rota
from rota.core import faults
from rota.schedule.run import ScheduleRun, run_id
from rota.scheduler.firing import Firing
from rota.scheduler.run_batch import FireOrder, PlannedRun, QueuedItem, unix_ms
from rota.wire.enqueue import Item
from rota.wire.message import pack
from rota.wire.scheduler_steps import SchedulerKeys, StateChange
from tests.servers.overseen import Overseen

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[Overseen]:
    async with Overseen.from_url(redis_url) as broker:
        yield broker


def order(schedule: str, *seconds: int, queue: str = "default") -> FireOrder:
    """The order of a schedule whose planned times lie these seconds after `START`."""
    runs: list[PlannedRun] = []
    for second in seconds:
        at = START + timedelta(seconds=second)
        record = ScheduleRun(id=run_id(schedule, at), schedule_id=schedule, schedule_version=1, planned_at=at)
        message = pack("t", b"{}", record.id, queue=queue)
        runs.append(PlannedRun(record, (QueuedItem(queue, Item(record.id, message, mark=record.id)),)))
    return FireOrder(StateChange(schedule, unix_ms(runs[-1].record.planned_at), "{}"), tuple(runs))


class Hand:
    """What schedulers do to one server, and what is in its queues then."""

    def __init__(self, broker: Overseen) -> None:
        self.broker = broker
        self.done: list[ScheduleRun] = []

    def firing(self) -> Firing:
        return Firing(
            self.broker, now=lambda: datetime.now(UTC), keeps_records=True, enqueued=lambda runs: self.done.extend(runs)
        )

    async def pending(self, queue: str = "default") -> list[str]:
        found = await self.broker.admin.execute("LRANGE", self.broker.keys.queue(queue).pending, 0, -1)
        return sorted(each.decode() for each in found)

    async def stored_states(self) -> str:
        """What schedulers have stored about all schedules."""
        shards = SchedulerKeys(self.broker.keys).shards
        found = [await self.broker.admin.execute("HVALS", shard.last) for shard in shards]
        return "".join(text.decode() for texts in found for text in texts)

    async def lose_everything(self) -> None:
        """Empty the server, as far as schedulers wrote to it."""
        await self.take_all()
        keys = SchedulerKeys(self.broker.keys)
        shards = [key for shard in keys.shards for key in (shard.fence, shard.last, shard.claims, shard.outbox)]
        for key in (keys.lease, keys.epoch, *shards, self.broker.keys.queue("default").own("scheduler")):
            await self.broker.admin.execute("DEL", key)

    async def take_all(self, queue: str = "default") -> list[str]:
        """Run all tasks of a queue and forget them, as if their retention were over."""
        ids, keys = await self.pending(queue), self.broker.keys.queue(queue)
        for task_id in ids:
            await self.broker.admin.execute("DEL", keys.task(task_id))
        await self.broker.admin.execute("DEL", keys.pending)
        return ids


@pytest.fixture
def hand(broker: Overseen) -> Hand:
    return Hand(broker)


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[None]:
    """Turns faults of this process off again."""
    yield
    faults.arm(())


async def eventually(condition: Callable[[], Awaitable[object]], seconds: float = 30) -> None:
    """Ask until the answer is true."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.005)


@pytest.fixture
async def app(redis_url: str) -> AsyncIterator[Rota]:
    app = Rota(redis_url)
    yield app
    await app.aclose()
