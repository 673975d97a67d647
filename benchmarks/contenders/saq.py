"""SAQ on Redis: abandoned jobs are swept and run again; results are not kept."""

import asyncio
from types import TracebackType
from typing import Any, Self

from saq import Queue, Worker

from benchmarks.board import mark
from benchmarks.work import ready


async def noop(_context: Any, *, n: int) -> None:
    """The job."""
    mark(n)


class Producer:
    """`enqueue`; in bulk 50 at a time."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> Self:
        self._queue = Queue.from_url(self._url, max_concurrent_ops=50)
        await self._queue.connect()
        return self

    async def enqueue(self, n: int) -> None:
        """Send one job."""
        await self._queue.enqueue("noop", n=n, ttl=60)

    async def enqueue_many(self, numbers: range) -> None:
        """Send many: there is no faster bulk call."""
        for at in range(0, len(numbers), 50):
            await asyncio.gather(*map(self.enqueue, numbers[at : at + 50]))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._queue.disconnect()


async def work(url: str, slots: int, workers: int) -> None:
    """Workers with their default timers, some in one process if asked."""
    started = []
    for _ in range(workers):
        queue = Queue.from_url(url, max_concurrent_ops=slots + 10)
        await queue.connect()
        started.append(asyncio.create_task(Worker(queue, [noop], concurrency=slots).start()))
    await asyncio.sleep(0)
    ready()
    await asyncio.gather(*started)
