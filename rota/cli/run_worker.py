"""Runs one worker in this process, and stops it on signals.

The first INT or TERM stops gently. The second one cancels the running tasks and hands them back. The third one exits at
once, and the tasks are redelivered when their leases expire. TSTP only stops fetching. The end of the parent process
counts as a signal if the command was started with `--follow-parent`.

Most errors that end a worker come from the lifespan of the app. Of these the command shows one sentence and the frames
of the user's code. Frames of Rota are shown only if they are the innermost ones, because then the fault may be Rota's.
"""

import asyncio
import contextlib
import gc
import os
import signal
import sys
import traceback
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager

from rota import events
from rota.app import Rota
from rota.cli.exit_limit import exit_limit
from rota.cli.summary import prepare
from rota.core import tracebacks
from rota.errors import ConfigError, RotaError
from rota.health import discovery
from rota.tasks import lifespan
from rota.worker import loop_guard
from rota.worker.burst import stop_when_empty
from rota.worker.run.handler_errors import describe
from rota.worker.worker import Worker
from rota.worker.worker_status import answering

LEFT_WITHOUT_A_WORD = 130


class Stopper:
    """Stops the worker gently at the first request, at once at the second, and exits at the third."""

    def __init__(self, worker: Worker, leave: Callable[[int], object] = os._exit) -> None:
        self._worker = worker
        self._leave = leave
        self._requests = 0
        self.asked = asyncio.Event()
        """Set at the first request."""

    def request(self) -> None:
        """Stop gently; at the second call stop at once; at the third call exit without cleanup."""
        self._requests += 1
        self.asked.set()
        if self._requests > 2:
            self._leave(LEFT_WITHOUT_A_WORD)
            return
        self._worker.stop()
        if self._requests == 1:
            events.emit(events.StopAsked())
        else:
            events.emit(events.StopAtOnceAsked())

    def stop_gently(self) -> None:
        """Stop gently. Repeated calls are ignored: systemd sends TERM to every process, and then so does our parent."""
        if not self._requests:
            self.request()

    def stop_at_once(self) -> None:
        """Stop at once. A second call exits."""
        self.stop_gently()
        self.request()


def run(app: Rota, target: str, *, show_banner: bool = True, follow_parent: bool = False, burst: bool = False) -> int:
    """Run the worker until it is stopped. Returns the exit code: 1 for a burst that was stopped too early.

    A burst is stopped too early if its queues were not empty. With `follow_parent` the end of standard input is a
    request to stop too, because it means that the parent is gone.
    """
    with program_runner() as runner:
        emptied = runner.run(_run(app, target, show_banner, follow_parent, burst))
    return int(burst and not emptied)


async def _run(app: Rota, target: str, show_banner: bool, follow_parent: bool, burst: bool) -> bool:
    settings = app.settings
    worker = Worker(app, settings, warns=False)  # `prepare` logs the warnings
    stopper = Stopper(worker)
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stopper.request)
    loop.add_signal_handler(signal.SIGTSTP, worker.quiet)
    async with contextlib.AsyncExitStack() as stack:
        if follow_parent:
            await stack.enter_async_context(while_parent_lives(stopper.request))
        stack.enter_context(answering(worker, discovery.own_socket(settings.health.health_dir)))
        with exit_limit():
            if await prepare(target, app, app.connect(settings), stopper.asked, show_banner=show_banner):
                if not burst:
                    await stack.enter_async_context(_scheduler_beside(app))
                emptying = asyncio.create_task(stop_when_empty(worker)) if burst else None
                with told(target), loop_guard.guarded(loop, "stop"):
                    await worker.run()
                if emptying is not None:
                    return await emptying
    return False


@contextlib.asynccontextmanager
async def _scheduler_beside(app: Rota) -> AsyncGenerator[None]:
    """Run a scheduler beside a worker without a supervisor, if the app declares schedules or a store is set."""
    settings = app.settings
    if not (settings.supervisor.scheduler and (app.declares_schedules or settings.database.store is not None)):
        yield
        return
    async with app.scheduler():
        gc.freeze()  # as `run_scheduler` does: the packages of the store came with it
        yield


@contextlib.asynccontextmanager
async def while_parent_lives(gone: Callable[[], object]) -> AsyncGenerator[None]:
    """Call `gone` if standard input, a pipe from the parent, ends while the block runs.

    The pipe ends even if the parent was killed.
    """
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    async def watch() -> None:
        with contextlib.suppress(OSError):
            await reader.read()
        gone()

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()
        transport.close()


def program_runner() -> asyncio.Runner:
    """Return the runner of a program that stays, whose app is loaded: with uvloop, if it is installed.

    The garbage collector no longer walks the 64,000 objects of the imported modules. Each full collection did, and
    stopped the event loop for 20 to 30 ms.
    """
    gc.collect()
    gc.freeze()
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


class WorkerFailed(RotaError):
    """A worker has ended because of an error in the app's code, or because of an internal fault."""


@contextmanager
def told(target: str) -> Generator[None]:
    """Raise WorkerFailed instead of errors that are not Rota's own."""
    try:
        yield
    except Exception as error:
        of_lifespan = any(frame.filename == lifespan.__file__ for frame in traceback.extract_tb(error.__traceback__))
        if isinstance(error, ConfigError) or (isinstance(error, RotaError) and not of_lifespan):
            raise
        what = "The lifespan" if of_lifespan else "The worker"
        text = f"{what} of {target} failed: {describe(error)}\n{tracebacks.text_of(error)}"
        raise WorkerFailed(text.rstrip()) from error
