"""Runs plain functions in threads. A slot is free again only when its function has really returned.

`await call(context, function, args, kwargs)` runs one function with the caller's context variables. Cancelling the
call asks the function to stop in two ways: `context.cancelled` becomes true, and `TimeLimitExceeded` is raised in the
thread. Python raises it between two steps of Python code, so a thread inside a C call (a query, `time.sleep`) sees it
only when that call returns, and a function may catch it. The call ends when the function has ended; what runs in
a process can be killed, a thread cannot.
"""

import asyncio
import contextvars
import ctypes
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from rota.context import Context
from rota.errors import TimeLimitExceeded

_raise_in_thread = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in_thread.argtypes = (ctypes.c_ulong, ctypes.py_object)
_clear_in_thread = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p)(
    ("PyThreadState_SetAsyncExc", ctypes.pythonapi)
)


@dataclass(frozen=True, slots=True)
class ThreadPoolStatistics:
    """Threads there are, functions that run, and functions that were asked to stop since the start."""

    threads: int
    running: int
    interrupted: int


class _Job:
    """One function in a thread, and the right to interrupt it, which exactly one side gets."""

    def __init__(self, loop: asyncio.AbstractEventLoop, run: Callable[[], Any]) -> None:
        self.loop = loop
        self.run = run
        self.ended: asyncio.Future[None] = loop.create_future()
        self.value: Any = None
        self.error: BaseException | None = None
        self._right = [True]  # `list.pop` is one step of the interpreter: no lock that an interruption could leave held
        self._thread = 0
        self._sent = False

    def interrupt(self) -> bool:
        """Raise TimeLimitExceeded in the function, unless it has ended or was interrupted before."""
        try:
            self._right.pop()
        except IndexError:
            return False
        if self._thread:
            _raise_in_thread(self._thread, TimeLimitExceeded)
        self._sent = True
        return True

    def perform(self) -> None:
        """Run the function in this thread. No interruption is left behind for the next one."""
        self._thread = threading.get_ident()
        try:
            if self._right:
                self.value = self.run()
            else:
                self.error = TimeLimitExceeded("The time was over before the function got its turn.")
        except BaseException as error:
            self.error = error
        try:
            self._close()
        except TimeLimitExceeded as error:  # it arrived after the function had returned
            self.error = self.error or error
        try:
            self.loop.call_soon_threadsafe(self._end)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    def _close(self) -> None:
        try:
            self._right.pop()
        except IndexError:
            while not self._sent:
                time.sleep(0.0005)
            _clear_in_thread(self._thread, None)

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


class ThreadPool:
    """Up to `size` threads, started when needed. They are daemons: a function that hangs does not hold up the exit."""

    def __init__(self, size: int) -> None:
        self._slots = asyncio.Semaphore(size)
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._running = 0
        self._interrupted = 0
        self._abandoned = asyncio.Event()

    async def call(
        self,
        context: Context,
        function: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] = {},
        begun: Callable[[], object] = lambda: None,
        check: Callable[[], object] = lambda: None,
    ) -> Any:
        """Run `function(*args, **kwargs)` in a thread and return its value or raise its error."""
        async with self._slots:
            begun()
            variables = contextvars.copy_context()
            loop = asyncio.get_running_loop()

            def run() -> Any:
                # A thread may come late to it: another one held the interpreter, and then all of it was frozen.
                check()
                return variables.run(function, *args, **kwargs)

            job = _Job(loop, run)
            self._running += 1
            try:
                self._start_thread()
                self._jobs.put(job)
                await self._finish(context, job)
            finally:
                self._running -= 1
        if job.error is not None:
            raise job.error
        return job.value

    @property
    def full(self) -> bool:
        """Whether a call would have to wait for its turn."""
        return self._slots.locked()

    def abandon(self) -> None:
        """Stop waiting for functions that do not stop: their calls end now, as cancelled. For a hard stop only."""
        self._abandoned.set()

    async def aclose(self) -> None:
        """Let the threads end, each after what it does now. Call it when no call is under way."""
        for _ in self._threads:
            self._jobs.put(None)
        self._threads.clear()

    def statistics(self) -> ThreadPoolStatistics:
        """Return a snapshot."""
        return ThreadPoolStatistics(len(self._threads), self._running, self._interrupted)

    async def _finish(self, context: Context, job: _Job) -> None:
        try:
            await asyncio.shield(job.ended)
        except asyncio.CancelledError:
            context.cancelled = True
            self._interrupted += job.interrupt()
            await self._outlast(job)
            raise

    async def _outlast(self, job: _Job) -> None:
        """Wait until the function has ended, or the worker gives up on it. Further cancels change nothing."""
        abandoned = asyncio.ensure_future(self._abandoned.wait())
        either: list[asyncio.Future[Any]] = [job.ended, abandoned]
        try:
            while not job.ended.done() and not self._abandoned.is_set():
                try:
                    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                except asyncio.CancelledError:
                    continue
        finally:
            abandoned.cancel()

    def _start_thread(self) -> None:
        if self._running > len(self._threads):
            name = f"rota-{len(self._threads) + 1}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.perform()
