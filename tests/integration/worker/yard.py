"""A queue whose tasks a test puts anywhere, in any state, whole or broken."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from rota.wire.group import spent_key
from rota.wire.proto import TaskMessage
from tests.servers.overseen import Overseen

QUEUE = "yard"
OWN_LOCK = "unique:test:it:" + "0" * 64
GO_LOCK = "unique:test:it:" + "0" * 32


class Yard:
    def __init__(self, broker: Overseen) -> None:
        self.broker = broker
        self.keys = broker.keys.queue(QUEUE)

    def queues(self) -> list[str]:
        return [QUEUE]

    async def execute(self, *words: str | bytes | int | float) -> Any:
        return await self.broker.admin.execute(*words)

    async def now(self) -> float:
        seconds, micros = await self.execute("TIME")
        return int(seconds) + int(micros) / 1e6

    async def hash(self, task_id: str, **fields: str | bytes) -> None:
        words: list[str | bytes] = []
        for name, value in fields.items():
            words += (name, value)
        await self.execute("HSET", self.keys.task(task_id), *words)

    async def put(
        self, task_id: str, state: str, score: float | None = None, *, msg: bytes = b"", **fields: str
    ) -> None:
        """A task in the sorted set (or list) of its state."""
        await self.hash(task_id, msg=msg or message(task_id), state=state, **fields)
        if score is None:
            await self.execute("LPUSH", f"{self.keys.base}{state}", task_id)
        else:
            await self.execute("ZADD", f"{self.keys.base}{state}", score, task_id)

    async def active(self, task_id: str, lease: float, *, msg: bytes = b"", **fields: str) -> None:
        """A task that some worker holds until `lease`."""
        await self.put(task_id, "active", msg=msg, **fields)
        await self.execute("ZADD", self.keys.lease, lease, task_id)

    async def end(self, *task_ids: str) -> None:
        """Who held these active tasks has done them."""
        await self.execute("ZREM", self.keys.lease, *task_ids)
        await self.execute("DEL", *map(self.keys.task, task_ids))
        for task_id in task_ids:
            await self.execute("LREM", self.keys.active, -1, task_id)

    async def grouped(self, task_id: str, group: str, score: float, *, msg: bytes = b"", **fields: str) -> None:
        await self.hash(task_id, msg=msg or message(task_id), state="aggregating", group=group, **fields)
        await self.execute("ZADD", self.keys.group(group), score, task_id)
        await self.execute("SADD", self.keys.groups, group)

    async def fields(self, task_id: str) -> dict[str, bytes]:
        reply = await self.execute("HGETALL", self.keys.task(task_id))
        pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
        return {name.decode(): value for name, value in pairs}

    async def message(self, task_id: str) -> TaskMessage:
        return TaskMessage.FromString((await self.fields(task_id))["msg"])

    async def members(self, key: str) -> list[str]:
        kind = (await self.execute("TYPE", key)).decode()
        if kind == "none":
            return []
        words = {"list": ("LRANGE", key, 0, -1), "zset": ("ZRANGE", key, 0, -1), "set": ("SMEMBERS", key)}[kind]
        return [member.decode() for member in await self.execute(*words)]

    async def healthy(self) -> None:
        """A task in each place, as Rota and Asynq leave them."""
        now = await self.now()
        await self.put("waiting", "pending", pending_since="5", unique_key=self.keys.base + GO_LOCK)
        await self.put("handed-back", "pending")
        await self.active("ours", now + 20.5, rota_token="w-1")
        await self.active("of-go", int(now) + 20)
        await self.active("dead", 1.5, rota_token="w-2")
        for state in ("scheduled", "retry", "archived", "completed"):
            await self.put(state, state, now + 60)
        await self.grouped("gathering", "mails", 5)
        await self.grouped("taken", "mails", 5)
        await self.grouped("spent", "mails", 5)
        for task_id, name in (("taken", "set-1"), ("spent", "set-2")):
            await self.execute("ZREM", self.keys.group("mails"), task_id)
            await self.execute("ZADD", self.keys.group("mails") + ":" + name, 5, task_id)
        await self.execute("ZADD", self.keys.aggregation_sets, now + 60, self.keys.group("mails") + ":set-1")
        await self.execute("SADD", spent_key(self.keys), self.keys.group("mails") + ":set-2")
        await self.execute("SET", self.keys.base + GO_LOCK, "waiting", "EX", 60)

    async def number(self, *words: str) -> int:
        return int(await self.execute(*words) or 0)

    async def names(self) -> set[str]:
        """Every key there is."""
        return {name.decode() for name in await self.names_raw()}

    async def names_raw(self) -> set[bytes]:
        return set(await self.execute("KEYS", "*"))


def message(task_id: str, **fields: Any) -> bytes:
    return TaskMessage(**{"id": task_id, "type": "test:it", "queue": QUEUE, "retry": 3, **fields}).SerializeToString()


@asynccontextmanager
async def open_yard(url: str) -> AsyncIterator[Yard]:
    async with Overseen.from_url(url) as broker:
        yield Yard(broker)
