"""Taskiq on a Redis stream: the broker of taskiq-redis that acknowledges; no results."""

import asyncio
from types import TracebackType
from typing import Any, Self

from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker

from benchmarks.board import mark
from benchmarks.work import ready


def make(url: str) -> tuple[RedisStreamBroker, Any]:
    """A broker with its one task."""
    broker = RedisStreamBroker(url, consumer_id="0", xread_count=100)

    @broker.task(task_name="bench:noop")
    async def noop(n: int) -> None:
        mark(n)

    return broker, noop


class Producer:
    """`kiq`; in bulk 50 at a time."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> Self:
        self._broker, self._noop = make(self._url)
        await self._broker.startup()
        return self

    async def enqueue(self, n: int) -> None:
        """Send one task."""
        await self._noop.kiq(n)

    async def enqueue_many(self, numbers: range) -> None:
        """Send many: there is no bulk call."""
        for at in range(0, len(numbers), 50):
            await asyncio.gather(*map(self.enqueue, numbers[at : at + 50]))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._broker.shutdown()


async def work(url: str, slots: int, workers: int) -> None:
    """Receivers as `taskiq worker` runs them, some in one process if asked."""
    receivers = []
    for _ in range(workers):
        broker, _noop = make(url)
        broker.is_worker_process = True
        await broker.startup()
        receivers.append(run_receiver_task(broker, max_async_tasks=slots, max_prefetch=slots))
    ready()
    await asyncio.gather(*receivers)
