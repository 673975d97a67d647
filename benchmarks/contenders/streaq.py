"""streaQ on Redis streams: unacknowledged tasks are claimed and run again; results are not kept."""

import asyncio
from types import TracebackType
from typing import Any, Self

from streaq import Worker

from benchmarks.board import mark
from benchmarks.work import ready


def make(url: str, slots: int = 50) -> tuple["Worker[Any]", Any]:
    """A worker, which is also the client, with its one task."""
    worker: Worker[Any] = Worker(redis_url=url, concurrency=slots, handle_signals=False)

    @worker.task(ttl=0, silent=True)
    async def noop(n: int) -> None:
        mark(n)

    return worker, noop


class Producer:
    """`enqueue`, and `enqueue_many` in one pipeline."""

    def __init__(self, url: str) -> None:
        self._worker, self._noop = make(url)

    async def __aenter__(self) -> Self:
        await self._worker.__aenter__()
        return self

    async def enqueue(self, n: int) -> None:
        """Send one task."""
        await self._noop.enqueue(n)

    async def enqueue_many(self, numbers: range) -> None:
        """Send many in pipelines of 500."""
        for at in range(0, len(numbers), 500):
            await self._worker.enqueue_many([self._noop.enqueue(n) for n in numbers[at : at + 500]])

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._worker.__aexit__(kind, error, at)


async def work(url: str, slots: int, workers: int) -> None:
    """Workers with default settings, some in one process if asked."""
    running = [asyncio.create_task(make(url, slots)[0].run_async()) for _ in range(workers)]
    await asyncio.sleep(0)
    ready()
    await asyncio.gather(*running)
