"""Rota with its defaults: a typed argument that is validated, the default time limit, the attempt token.

`BENCH_ENDS` says how each task ends: `plain` (deleted after a success), `kept` (with a retention) or `retried` (its
function raises an error, and the retry is an hour away).
"""

import asyncio
import os
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from benchmarks.board import mark
from benchmarks.work import ready
from rota import Retry, Rota


def make(url: str) -> tuple[Rota, Any]:
    """An app with its one task."""
    app = Rota(url)

    ends = os.environ.get("BENCH_ENDS", "plain")

    @app.task("bench:noop", retention="1h" if ends == "kept" else None, retry=Retry(delay="1h"))
    async def noop(n: int) -> None:
        mark(n)
        if ends == "retried":
            raise ValueError(f"task {n} fails")

    return app, noop


class Producer:
    """`enqueue`, and `enqueue_many` of typed plans."""

    def __init__(self, url: str) -> None:
        self._app, self._noop = make(url)

    async def __aenter__(self) -> Self:
        return self

    async def enqueue(self, n: int) -> None:
        """Send one task."""
        await self._noop.enqueue(n)

    async def enqueue_many(self, numbers: range) -> None:
        """Send many tasks. What is refused comes back as a value, and must not pass for done."""
        for sent in await self._app.enqueue_many(self._noop.plan(n) for n in numbers):
            if isinstance(sent, Exception):
                raise sent

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._app.aclose()


async def work(url: str, slots: int, workers: int, queues: int = 1) -> None:
    """Workers as `app.worker()` runs them, some in one process if asked."""
    weights = {"default": 1} | {f"q{n}": 1 for n in range(1, queues)}
    async with AsyncExitStack() as stack:
        for _ in range(workers):
            await stack.enter_async_context(make(url)[0].worker(concurrency=slots, queues=weights))
        ready()
        await asyncio.Event().wait()
