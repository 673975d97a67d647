"""What handlers were called with, and waiting until Go's Inspector shows something."""

import asyncio

from interop.programs import Go
from interop.shapes import GoTask
from rota.tasks.context import Context

PATIENCE_S = 30


class Runs:
    """The contexts and payloads that a handler got."""

    def __init__(self) -> None:
        self.all: list[tuple[Context, bytes]] = []
        self._news = asyncio.Condition()

    async def __call__(self, ctx: Context, payload: bytes) -> None:
        async with self._news:
            self.all.append((ctx, payload))
            self._news.notify_all()

    async def wait(self, count: int = 1) -> list[tuple[Context, bytes]]:
        async with asyncio.timeout(PATIENCE_S), self._news:
            await self._news.wait_for(lambda: len(self.all) >= count)
        return self.all

    def payloads(self) -> list[bytes]:
        return [payload for _, payload in self.all]


async def until(go: Go, task_id: str, state: str, queue: str = "default") -> GoTask:
    """Wait until Go's Inspector shows a task in a state."""
    seen: GoTask | None = None
    try:
        async with asyncio.timeout(PATIENCE_S):
            while seen is None or seen.state != state:
                seen = await go.task(task_id, queue)
    except TimeoutError:
        raise AssertionError(f"{task_id} never was {state}: {seen}") from None
    return seen


async def until_counted(go: Go, processed: int, failed: int, queue: str = "default") -> None:
    """Wait until the queue's counters say this."""
    counts = (-1, -1)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while counts != (processed, failed):
                seen = await go.queue(queue)
                counts = (seen.processed_total, seen.failed_total)
    except TimeoutError:
        raise AssertionError(f"processed and failed never were {(processed, failed)}: {counts}") from None
