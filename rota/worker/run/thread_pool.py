"""Runs plain functions in threads. A slot becomes free only when its function has really returned.

`await call(context, function, args, kwargs)` runs one function with the caller's context variables. Cancelling the
call asks the function to stop in two ways: `context.cancelled` becomes true, and `TimeLimitExceeded` is raised in the
thread. Python raises it between two bytecode instructions, so a thread inside a C call (a query, `time.sleep`) receives
it only when that call returns, and a function may catch it. The call ends when the function has ended: a thread cannot
be killed, unlike a process.

CPython has one place for such an exception in each thread, and one flag in the interpreter that says that some thread
has a pending exception. A thread checks its place between two instructions, and only a thread that receives an
exception clears the flag. Emptying the place with `PyThreadState_SetAsyncExc(thread, NULL)` leaves the flag set. While
the flag is set, CPython 3.11 repeats the first instruction of every traced call (coverage, a debugger) without end. So:

1. `interrupt` sends the exception to the other thread. Then it sends an exception to its own thread and receives it,
   which clears the flag. The other thread sets the flag again as soon as it runs Python code.
2. `receive_what_was_sent` replaces the pending exception of its own thread by another one and receives that at once.
"""

import asyncio
import contextvars
import ctypes
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Protocol

from rota.core import forks
from rota.errors import TimeLimitExceeded
from rota.tasks.context import Context

_send = ctypes.pythonapi.PyThreadState_SetAsyncExc
_send.argtypes = (ctypes.c_ulong, ctypes.py_object)


class _Received(BaseException):
    """Used inside `receive_what_was_sent` only."""


def interrupt(thread: int, error: type[BaseException]) -> None:
    """Raise `error` in the thread with this `get_ident()`, as soon as it runs Python code."""
    _send(thread, error)
    receive_what_was_sent()


def receive_what_was_sent() -> None:
    """Remove a pending exception of the calling thread.

    If the exception arrives just when this function begins, the function raises it, and then none is pending.
    """
    try:
        while True:  # _Received is raised in the first turn, unless a debugger's trace function swallows it
            _send(threading.get_ident(), _Received)
    except _Received:
        return
    except BaseException:  # the pending exception, or Ctrl-C, was raised first, and _Received is still pending
        receive_what_was_sent()
        raise


_NOTHING: Any = object()


class FunctionPool(Protocol):
    """Runs functions in threads, as this module does, or in other processes."""

    async def call(
        self,
        context: Context,
        function: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] = {},
        begun: Callable[[], object] = lambda: None,
        check: Callable[[], object] = lambda: None,
    ) -> Any:
        """Run the function when a thread or process is free.

        `begun` is called when the wait for a thread or process is over. `check` is called right before the function, in
        any thread; if it raises, the function does not run. Cancelling this call stops the function. The call returns
        only when the function has ended.
        """
        ...

    @property
    def full(self) -> bool:
        """Whether a call would have to wait for its turn."""
        ...


@dataclass(frozen=True, slots=True)
class ThreadPoolStatistics:
    """The current numbers of threads and of running functions; `interrupted` counts interruptions since the start."""

    threads: int
    running: int
    interrupted: int


class _Job:
    """One call of a function in a thread. Until the function has ended, it can be interrupted any number of times.

    An interruption must never arrive in the next function of the thread. So when the function has ended, the thread
    sets `_closed`, waits while an interruption is being sent (`_sending`), and then removes a pending one.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, run: Callable[[], Any]) -> None:
        self.loop = loop
        self.run = run
        self.ended: asyncio.Future[None] = loop.create_future()
        self.value: Any = _NOTHING
        self.error: BaseException | None = None
        self.interrupted = False
        self._thread = 0
        self._sending = False
        self._closed = False

    def interrupt(self) -> None:
        """Raise TimeLimitExceeded in the function, or instead of calling it. Does nothing if it has ended."""
        self._sending = True
        try:
            if not self._closed:
                self.interrupted = True
                if self._thread:
                    interrupt(self._thread, TimeLimitExceeded)
        finally:
            self._sending = False

    def perform(self) -> None:
        """Run the function in this thread. No interruption stays pending for the next function."""
        try:
            try:
                self._thread = threading.get_ident()  # before the check, so that no interruption is lost in between
                if self.interrupted:
                    raise TimeLimitExceeded("The time was over before the function got its turn.")
                self.value = self.run()
            except BaseException as error:
                self.error = error
            self._closed = True
            self._settle()
        except TimeLimitExceeded as late:
            # It arrived after the function had ended, so the value or error of the function stays.
            if self.value is _NOTHING and self.error is None:
                self.error = late
            self._closed = True
            self._settle()
        try:
            self.loop.call_soon_threadsafe(self._end)
        except RuntimeError:
            return  # the loop is closed: the worker has ended

    def _settle(self) -> None:
        # A loop and not a lock, because an exception that arrives right after `acquire` would leave a lock held.
        while self._sending:
            time.sleep(0.0005)
        if self.interrupted:
            receive_what_was_sent()

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


class ThreadPool:
    """Up to `size` threads, started when needed.

    They are daemon threads, so that a function that hangs does not prevent the exit of the process.
    """

    def __init__(self, size: int) -> None:
        self._size = size
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
                # In the thread, because the thread may start late: another thread held the interpreter, or the process
                # was frozen. Meanwhile the lease may have expired.
                check()
                return forks.call(variables.run, (function, *args), kwargs)

            job = _Job(loop, run)
            self._running += 1  # before `_start_thread`, which compares it with the number of threads
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

    def grow(self, size: int) -> None:
        """Allow up to `size` threads from now on. A smaller size changes nothing, because the slots limit the calls."""
        for _ in range(size - self._size):
            self._slots.release()
        self._size = max(self._size, size)

    def abandon(self) -> None:
        """Stop waiting for functions that do not stop. Their calls end now, as cancelled. For a hard stop only."""
        self._abandoned.set()

    async def aclose(self) -> None:
        """Let the threads end, each after its current function. Call this when no call is under way."""
        for _ in self._threads:
            self._jobs.put(None)
        self._threads.clear()

    def statistics(self) -> ThreadPoolStatistics:
        """Return a snapshot."""
        return ThreadPoolStatistics(len(self._threads), self._running, self._interrupted)

    async def _finish(self, context: Context, job: _Job) -> None:
        try:
            await asyncio.shield(job.ended)  # a cancel of this call must not end the future before the function
        except asyncio.CancelledError:
            context.cancelled = True  # the executor has set it, but not for a timeout of a middleware
            job.interrupt()
            self._interrupted += job.interrupted
            await self._outlast(job)
            if not job.ended.done() or isinstance(job.error, TimeLimitExceeded):  # else its value or error counts
                raise

    async def _outlast(self, job: _Job) -> None:
        """Wait until the function has ended or `abandon` is called. Another cancel interrupts the function again."""
        abandoned = asyncio.ensure_future(self._abandoned.wait())
        either: list[asyncio.Future[Any]] = [job.ended, abandoned]
        try:
            while not job.ended.done() and not self._abandoned.is_set():
                try:
                    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                except asyncio.CancelledError:
                    job.interrupt()
        finally:
            abandoned.cancel()

    def _start_thread(self) -> None:
        if self._running > len(self._threads):
            name = f"rota-{len(self._threads) + 1}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            thread.start()  # may fail for want of memory: a thread that is only counted would never take a job
            self._threads.append(thread)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.perform()
