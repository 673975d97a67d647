"""arq on Redis: a job is removed only after its run; results are not kept; its default poll of 0.5 s."""

import asyncio
from types import TracebackType
from typing import Any, Self

from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker, func

from benchmarks.board import mark
from benchmarks.work import ready


async def noop(_context: Any, n: int) -> None:
    """The job."""
    mark(n)


class Producer:
    """`enqueue_job`; in bulk 50 at a time."""

    def __init__(self, url: str) -> None:
        self._settings = RedisSettings.from_dsn(url)

    async def __aenter__(self) -> Self:
        self._pool = await create_pool(self._settings)
        return self

    async def enqueue(self, n: int) -> None:
        """Send one job."""
        await self._pool.enqueue_job("noop", n)

    async def enqueue_many(self, numbers: range) -> None:
        """Send many: there is no bulk call."""
        for at in range(0, len(numbers), 50):
            await asyncio.gather(*map(self.enqueue, numbers[at : at + 50]))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._pool.aclose()


async def work(url: str, slots: int, workers: int) -> None:
    """Workers, some in one process if asked."""
    settings = RedisSettings.from_dsn(url)
    running = []
    for _ in range(workers):
        worker = Worker(
            [func(noop, name="noop", keep_result=0)],
            redis_settings=settings,
            max_jobs=slots,
            handle_signals=False,
        )
        running.append(asyncio.create_task(worker.async_run()))
    await asyncio.sleep(0)
    ready()
    await asyncio.gather(*running)
