"""A worker as a component of another asyncio program, which starts and stops it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from rota.settings import Settings
from rota.worker.health import answering
from rota.worker.worker import Worker

if TYPE_CHECKING:
    from rota.app import Rota


@asynccontextmanager
async def running(app: "Rota", settings: Settings) -> AsyncGenerator[Worker]:
    """Run a worker for as long as the block lasts. It takes tasks when the block begins.

    What ends the worker before its time is raised: at once if it never was ready, else when the block ends.
    """
    worker = Worker(app, settings)
    with answering(worker):
        async with _running(worker):
            yield worker


@asynccontextmanager
async def _running(worker: Worker) -> AsyncGenerator[None]:
    run = asyncio.create_task(worker.run(), name="rota worker")
    ready = asyncio.create_task(worker.ready.wait())
    try:
        await asyncio.wait((run, ready), return_when=asyncio.FIRST_COMPLETED)
        if run.done():
            await run
        yield
    finally:
        ready.cancel()
        worker.stop()
        await run
