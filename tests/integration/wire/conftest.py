"""A broker on a fresh database, once on Redis and once on Valkey, and tasks in it."""

from collections.abc import AsyncIterator

import pytest

from rota.wire.keys import QueueKeys
from rota.wire.message import pack
from rota.worker.run.attempt import Attempt
from tests.servers.overseen import Overseen


@pytest.fixture
async def broker(any_url: str) -> AsyncIterator[Overseen]:
    async with Overseen.from_url(any_url) as broker:
        yield broker


class Seed:
    """Puts tasks where a test needs them, in Asynq's layout."""

    def __init__(self, broker: Overseen, queue: str = "default") -> None:
        self.broker = broker
        self.keys: QueueKeys = broker.keys.queue(queue)

    async def pending(self, *ids: str, **fields: object) -> None:
        for task_id in ids:
            await self.hash(task_id, state="pending", pending_since=1, **fields)
            await self.broker.admin.execute("LPUSH", self.keys.pending, task_id)

    async def at(self, place: str, score: float, *ids: str) -> None:
        for task_id in ids:
            await self.hash(task_id, state=place)
            await self.broker.admin.execute("ZADD", f"{self.keys.base}{place}", score, task_id)

    async def hash(self, task_id: str, **fields: object) -> None:
        message = pack("t", b"{}", task_id, queue=self.keys.queue)
        words = [str(word) for pair in fields.items() for word in pair]
        await self.broker.admin.execute("HSET", self.keys.task(task_id), "msg", message, *words)

    async def ids(self, place: str) -> list[str]:
        key = f"{self.keys.base}{place}"
        kind = await self.broker.admin.execute("TYPE", key)
        words = ("LRANGE", key, 0, -1) if kind == b"list" else ("ZRANGE", key, 0, -1)
        return [] if kind == b"none" else [word.decode() for word in await self.broker.admin.execute(*words)]

    async def field(self, task_id: str, name: str) -> str | None:
        value = await self.broker.admin.execute("HGET", self.keys.task(task_id), name)
        return None if value is None else value.decode()

    async def counter(self, name: str) -> int:
        return int(await self.broker.admin.execute("GET", f"{self.keys.base}{name}") or 0)

    async def now(self) -> float:
        seconds, micros = await self.broker.admin.execute("TIME")
        return int(seconds) + int(micros) / 1e6

    def attempt(self, task_id: str, token: str) -> Attempt:
        return Attempt(self.keys, token, task_id, b"", 0.0)


@pytest.fixture
def seed(broker: Overseen) -> Seed:
    return Seed(broker)
