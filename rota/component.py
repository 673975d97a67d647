"""A worker as a component of another asyncio program, which starts and stops it.

What becomes of an internal fault of the worker, after it has stopped its handlers and handed their tasks back:

1. Before the worker was ready, `async with app.worker()` raises the error itself, for example that the broker is away.
2. Later the block is cancelled and WorkerFault is raised in its place, as a TaskGroup does with the error of a child.
3. With the setting `restart_after_fault` the same worker runs again instead, after a pause that grows.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from rota.errors import WorkerFault
from rota.settings import Settings
from rota.worker.health import answering
from rota.worker.worker import Worker

if TYPE_CHECKING:
    from rota.app import Rota

logger = logging.getLogger("rota.worker")

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
"""Between a fault and the next start."""
CALM_SECONDS = 60.0
"""A worker that has run for this long starts again after the first pause."""


@asynccontextmanager
async def running(app: "Rota", settings: Settings) -> AsyncGenerator[Worker]:
    """Run a worker for as long as the block lasts. It takes tasks when the block begins."""
    worker = Worker(app, settings)
    with answering(worker):
        async with _running(worker):
            yield worker


@asynccontextmanager
async def _running(worker: Worker) -> AsyncGenerator[None]:
    run = asyncio.create_task(_again_and_again(worker), name="rota worker")
    ready = asyncio.create_task(worker.ready.wait())
    block = _Block()
    try:
        await asyncio.wait((run, ready), return_when=asyncio.FIRST_COMPLETED)
        if run.done():
            await run
        run.add_done_callback(block.interrupt)
        yield
    except asyncio.CancelledError:
        if block.was_interrupted_only():
            raise _fault_of(run) from run.exception()
        raise
    finally:
        run.remove_done_callback(block.interrupt)
        ready.cancel()
        if not worker.stopping:  # a second request to stop would cancel what runs
            worker.stop()
        await _until_ended(run)
    if not run.cancelled() and run.exception() is not None:
        raise _fault_of(run) from run.exception()


class _Block:
    """The code inside of `async with app.worker()`, and the right to cancel it."""

    def __init__(self) -> None:
        self._task = asyncio.current_task()
        self._cancels = 0 if self._task is None else self._task.cancelling()
        self._interrupted = False

    def interrupt(self, run: "asyncio.Task[None]") -> None:
        """Cancel the block where the worker has ended by a fault."""
        if self._task is not None and not run.cancelled() and run.exception() is not None:
            self._interrupted = True
            self._task.cancel()

    def was_interrupted_only(self) -> bool:
        """Take the cancel back; return whether it was the only one."""
        return self._interrupted and self._task is not None and self._task.uncancel() <= self._cancels


async def _again_and_again(worker: Worker) -> None:
    """Run the worker; after a fault again, if its settings say so and it has been ready before."""
    pause, was_ready = FIRST_PAUSE_SECONDS, False
    while True:
        started_at = time.monotonic()
        try:
            return await worker.run()
        except Exception as fault:
            was_ready = was_ready or worker.ready.is_set()
            if worker.stopping or not (worker.settings.restart_after_fault and was_ready):
                raise
            if time.monotonic() - started_at > CALM_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            logger.error("Worker %s starts again in %g s: %s", worker.id, pause, fault)
        if await worker.asked_to_stop(pause):
            return None
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


async def _until_ended(run: "asyncio.Task[None]") -> None:
    """Wait for the worker. A cancel goes on to it, and is raised once it has ended."""
    try:
        await asyncio.wait((run,))
    except asyncio.CancelledError:
        run.cancel()
        await asyncio.wait((run,))
        raise


def _fault_of(run: "asyncio.Task[None]") -> WorkerFault:
    return WorkerFault(
        f"The worker in this program has met an internal fault and has ended: {run.exception()}. Its handlers were "
        "stopped and their tasks handed back. Please report the traceback. With the setting restart_after_fault the "
        "worker starts again by itself."
    )
