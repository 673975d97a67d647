"""A client on a fresh database, on Redis and on Valkey; and a worker's hands to bring tasks into any state."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from rota.broker import Broker
from rota.client import Client
from rota.tasks.job import Job, Plan
from rota.tasks.options import Options
from rota.wire.fetch import fetch
from rota.wire.group import AggregationSet, Due, take
from rota.wire.outcome import Outcome, record
from rota.wire.proto import TaskMessage
from tests.servers.overseen import Overseen
from tests.servers.roles import as_role

TOKEN = "token-1"


@pytest.fixture
async def broker(any_url: str) -> AsyncIterator[Overseen]:
    """A worker's, which may do what a producer may, too."""
    async with Overseen.from_url(any_url) as broker:
        yield broker


@pytest.fixture
async def client(any_url: str) -> AsyncIterator[Client]:
    async with Broker.from_url(as_role(any_url, "producer")) as broker:
        yield Client(broker)


class Desk:
    """What a test asks of the server, and what a worker would do, for one queue."""

    def __init__(self, broker: Overseen, queue: str = "default") -> None:
        self.broker = broker
        self.keys = broker.keys.queue(queue)

    async def ids(self, place: str) -> list[str]:
        key = f"{self.keys.base}{place}"
        kind = await self.broker.admin.execute("TYPE", key)
        words = ("LRANGE", key, 0, -1) if kind == b"list" else ("ZRANGE", key, 0, -1)
        return [] if kind == b"none" else [word.decode() for word in await self.broker.admin.execute(*words)]

    async def score(self, place: str, task_id: str) -> float:
        return float(await self.broker.admin.execute("ZSCORE", f"{self.keys.base}{place}", task_id))

    async def groups(self) -> set[str]:
        return {name.decode() for name in await self.broker.admin.execute("SMEMBERS", self.keys.groups)}

    async def hash(self, task_id: str) -> dict[str, bytes]:
        row = await self.broker.admin.execute("HGETALL", self.keys.task(task_id))
        pairs = row.items() if isinstance(row, dict) else zip(row[::2], row[1::2], strict=True)
        return {name.decode(): value for name, value in pairs}

    async def message(self, task_id: str) -> TaskMessage:
        return TaskMessage.FromString((await self.hash(task_id))["msg"])

    async def holder(self, task_id: str) -> str | None:
        """Who holds the lock that this task was made with."""
        lock = (await self.message(task_id)).unique_key
        value = await self.broker.admin.execute("GET", lock)
        return None if value is None else value.decode()

    async def life_ms(self, task_id: str) -> int:
        return int(await self.broker.admin.execute("PTTL", (await self.message(task_id)).unique_key))

    async def locks(self) -> list[str]:
        return [name.decode() for name in await self.broker.admin.execute("KEYS", f"{self.keys.base}unique:*")]

    async def now(self) -> float:
        seconds, micros = await self.broker.admin.execute("TIME")
        return int(seconds) + int(micros) / 1e6

    async def take(self, wanted: int = 100) -> list[str]:
        """Fetch as a worker does, due tasks included."""
        fetched = await self.broker.run(fetch([(self.keys, wanted)], token=TOKEN, wanted=wanted, lease_seconds=30))
        return [task_id.decode() for task_id in fetched.batches[0].tasks[::2]]

    async def end(self, task_id: str, kind: Any = "done", **words: Any) -> None:
        """Record the outcome of a taken task."""
        assert not await self.broker.run(record(self.keys, [Outcome(task_id, TOKEN, kind, **words)]))

    async def aggregate(self, group: str) -> None:
        """Take a group for an aggregation, as an aggregator does."""
        due = Due(None, timedelta(), timedelta(days=1))
        assert await self.broker.run(take(AggregationSet(self.keys, group, "set"), due, timedelta(minutes=2)))

    async def bring(self, client: Client, state: str, plan: Plan[Any]) -> Job[Any]:
        """Enqueue a task and lead it into a state."""
        if state == "scheduled":
            return await client.enqueue(plan.updated(delay="1h"))
        if state == "aggregating":
            return await client.enqueue(plan.updated(group="g"))
        job = await client.enqueue(plan)
        if state != "pending":
            assert await self.take() == [job.id]
        if state == "retry":
            await self.end(job.id, "retry", seconds=60)
        if state == "archived":
            await self.end(job.id, "archive", text=b"boom")
        if state == "completed":
            await self.end(job.id, "complete", seconds=60, text=b'"fine"')
        return job


@pytest.fixture
def desk(broker: Overseen) -> Desk:
    return Desk(broker)


def plan(payload: bytes = b"{}", type: str = "t", **words: Any) -> Plan[Any]:
    return Plan(type, payload, Options.of(**words))
