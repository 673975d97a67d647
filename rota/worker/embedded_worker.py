"""A worker as a component of another asyncio program, which starts and stops it.

After an internal fault, the worker stops its handlers and hands their tasks back. Then:

1. If the worker was not ready yet, `async with app.worker()` raises the error itself, such as a BrokerError.
2. If it was ready, the block is cancelled and WorkerFault is raised, as a TaskGroup does with the error of a child.
3. With the setting `restart_after_fault`, a worker that was ready runs again instead, after a growing pause.
"""

import asyncio
import time
from contextlib import AbstractAsyncContextManager, ExitStack
from typing import TYPE_CHECKING

from rota import events
from rota.errors import WorkerFault
from rota.settings.settings import Settings
from rota.worker.worker import Worker
from rota.worker.worker_status import answering

if TYPE_CHECKING:
    from rota.app import Rota


FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
"""The pauses between a fault and the next start."""
CALM_SECONDS = 60.0
"""After a run of at least this time, the next pause is `FIRST_PAUSE_SECONDS` again."""


class EmbeddedWorker(AbstractAsyncContextManager[Worker]):
    """Runs a worker inside an `async with` block. The worker takes tasks when the block begins.

    This is a class, not an async generator, because a program that calls `loop.shutdown_asyncgens()` would end an async
    generator without any error.
    """

    def __init__(self, app: "Rota", settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._stack = ExitStack()
        self._run: asyncio.Task[None]
        self._block: _Block
        self._worker: Worker

    async def __aenter__(self) -> Worker:
        worker = Worker(self._app, self._settings)
        self._stack.enter_context(answering(worker))
        run = self._run = asyncio.create_task(_again_and_again(worker), name="rota worker")
        ready = asyncio.create_task(worker.ready.wait())
        self._stack.callback(ready.cancel)
        self._block = _Block()
        try:
            await asyncio.wait((run, ready), return_when=asyncio.FIRST_COMPLETED)
            if run.done():
                await run
        except BaseException:
            await self._end(worker)
            raise
        run.add_done_callback(self._block.interrupt)  # only now, because an earlier error is raised above
        self._worker = worker
        return worker

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        run = self._run
        try:
            # A cancel by other code wins, as in a TaskGroup: then the program wants this block to end as cancelled.
            if isinstance(error, asyncio.CancelledError) and self._block.was_interrupted_only():
                raise _fault_of(run) from run.exception()
        finally:
            await self._end(self._worker)
        if error is None and not run.cancelled() and run.exception() is not None:
            raise _fault_of(run) from run.exception()

    async def _end(self, worker: Worker) -> None:
        with self._stack:
            self._run.remove_done_callback(self._block.interrupt)
            if not worker.stopping:  # a second request to stop would cancel the running handlers
                worker.stop()
            await _until_ended(self._run)


class _Block:
    """The code inside `async with app.worker()`; can cancel it."""

    def __init__(self) -> None:
        self._task = asyncio.current_task()
        self._cancels = 0 if self._task is None else self._task.cancelling()
        self._interrupted = False

    def interrupt(self, run: "asyncio.Task[None]") -> None:
        """Cancel the block if the worker has ended by a fault."""
        if self._task is not None and not run.cancelled() and run.exception() is not None:
            self._interrupted = True
            self._task.cancel()

    def was_interrupted_only(self) -> bool:
        """Undo the cancel of `interrupt`; return whether no other code has cancelled the block."""
        return self._interrupted and self._task is not None and self._task.uncancel() <= self._cancels


async def _again_and_again(worker: Worker) -> None:
    """Run the worker, and again after each fault if `restart_after_fault` is set and it has been ready before."""
    pause, was_ready = FIRST_PAUSE_SECONDS, False
    while True:
        started_at = time.monotonic()
        try:
            return await worker.run()
        except Exception as fault:
            was_ready = was_ready or worker.ready.is_set()
            if worker.stopping or not (worker.settings.worker.restart_after_fault and was_ready):
                raise
            if time.monotonic() - started_at > CALM_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            events.emit(events.WorkerRestarts(worker=worker.id, seconds=pause, error=fault))
        if await worker.asked_to_stop(pause):
            return None
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


async def _until_ended(run: "asyncio.Task[None]") -> None:
    """Wait for the worker to end. A cancel is passed on to the worker, and raised once the worker has ended."""
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
