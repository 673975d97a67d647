"""One queue, driven by Rota's scripts alone: what a client and a worker do to it, step by step."""

import time
from typing import Any, TypeVar

from redis.asyncio import Redis

from rota.wire.enqueue import Item, Reply, enqueue
from rota.wire.fetch import fetch
from rota.wire.keys import QueueKeys
from rota.wire.message import pack, unpack, with_completion, with_failure
from rota.wire.outcome import Outcome, record
from rota.wire.script import Call

T = TypeVar("T")


class RawQueue:
    """A queue and the attempt token of its only worker."""

    token = "token-1"

    def __init__(self, redis: Redis, name: str = "default") -> None:
        self.redis = redis
        self.keys = QueueKeys(name)

    async def run(self, call: Call[T]) -> T:
        """Run one script."""
        return call.decode(await self.redis.execute_command(*call.command(by_source=True)))

    async def add(
        self,
        task_id: str = "a",
        *,
        type: str = "t",
        payload: bytes = b"{}",
        when: str = "",
        lock_ms: int = 0,
        **fields: Any,
    ) -> Reply:
        """Enqueue one task; the fields are those of `pack`."""
        message = pack(type, payload, task_id, queue=self.keys.queue, **fields)
        item = Item(
            task_id, message, when, group=fields.get("group", ""), lock=fields.get("unique_key", ""),
            lock_ms=lock_ms or "",
        )  # fmt: skip
        await self.redis.sadd("asynq:queues", self.keys.queue)
        (reply,) = await self.run(enqueue(self.keys, [item]))
        return reply

    async def take(self) -> tuple[str, bytes]:
        """Fetch one task as a worker; return its ID and message."""
        fetched = await self.run(fetch([(self.keys, 1)], token=self.token, wanted=1, lease_seconds=30))
        task_id, message = fetched.batches[0].tasks
        return task_id.decode(), message

    async def lapse(self, task_id: str, seconds: float = 100) -> None:
        """Make a lease older. What its fraction of a second says (whether a Go server gave it) stays."""
        until = await self.redis.zincrby(self.keys.lease, -seconds, task_id)
        assert until > 0, f"{task_id} had no lease"

    async def end(self, task_id: str, kind: Any, message: bytes = b"", **fields: Any) -> None:
        """Record the outcome of an attempt."""
        refused = await self.run(record(self.keys, [Outcome(task_id, self.token, kind, message, **fields)]))
        assert refused == {}, f"{kind} of {task_id} was refused: {refused}"

    async def fail(self, task_id: str, message: bytes, kind: Any = "retry", text: str = "boom") -> None:
        """Record a failure: a retry in 100.5 s, or the archive."""
        failed = with_failure(unpack(message), text, int(time.time()), counts=kind == "retry")
        await self.end(task_id, kind, failed, seconds=100.5, text=text.encode())

    async def complete(self, task_id: str, message: bytes, result: bytes = b"") -> None:
        """Record a success that is kept for as long as the task wants."""
        done = with_completion(unpack(message), int(time.time()))
        await self.end(task_id, "complete", done, seconds=unpack(message).retention, text=result)
