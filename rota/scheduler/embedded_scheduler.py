"""A scheduler as a component of an asyncio program, which starts and stops it.

Faults of the server or of a source do not end a scheduler: it goes on when they are over. If it ends by an internal
fault, the block of `async with app.scheduler()` raises the error at its end.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from types import TracebackType

from rota.broker.broker import Broker
from rota.scheduler.scheduler import Scheduler


class EmbeddedScheduler(AbstractAsyncContextManager[Scheduler]):
    """Runs a scheduler inside an `async with` block, which begins when the server has first answered."""

    def __init__(self, scheduler: Scheduler, broker: Broker) -> None:
        self._scheduler = scheduler
        self._broker = broker
        self._run: asyncio.Task[None]

    async def __aenter__(self) -> Scheduler:
        self._run = asyncio.create_task(self._scheduler.run(), name="rota scheduler")
        ready = asyncio.create_task(self._scheduler.ready.wait())
        try:
            await asyncio.wait((self._run, ready), return_when=asyncio.FIRST_COMPLETED)
            if self._run.done():
                self._run.result()
        except BaseException:
            await self._end()
            raise
        finally:
            ready.cancel()
        return self._scheduler

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()
        if error is None and not self._run.cancelled():
            self._run.result()

    async def _end(self) -> None:
        self._scheduler.stop()
        try:
            await asyncio.wait((self._run,))
        except asyncio.CancelledError:
            self._run.cancel()
            await asyncio.wait((self._run,))
            raise
        finally:
            await self._broker.aclose()
