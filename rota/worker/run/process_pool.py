"""Runs functions in pool processes, which are reused, and killed when a time limit is over.

`await call(context, function, args, kwargs)` runs an importable function in a pool process and returns its value.
Cancelling the call kills that process and its process group (SIGKILL), and returns only when the process has ended; the
next call gets a new one. Pool processes are started fresh and not forked, so they do not share threads, locks or
connections with the worker. They end when the worker ends.
"""

import asyncio
import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rota.errors import ProcessDied
from rota.settings.origin import reads_project_file
from rota.tasks import logs
from rota.tasks.context import Context
from rota.worker.run.process_child import LENGTH, ChildSetup, Request
from rota.worker.run.process_errors import PackedError, loads, unpack

_LAST_WORDS_SECONDS = 0.2
"""How long the last messages of a process that has ended may be read. They may still be in the socket."""


@dataclass(frozen=True, slots=True)
class ProcessPoolStatistics:
    """The current numbers of processes and running calls.

    `killed` (after a cancel), `died` (by themselves) and `recycled` count processes since the start.
    """

    processes: int
    running: int
    killed: int
    died: int
    recycled: int


class _PoolProcess:
    """One pool process and the connection to it."""

    def __init__(
        self, process: subprocess.Popen[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.pid = process.pid
        self.served = 0
        self.working = False
        """Whether its last request is not answered yet. Such a process cannot be reused."""
        self._reader = reader
        self._writer = writer
        self._exit = _exit_of(process)
        self._exit.add_done_callback(self._hang_up)

    @classmethod
    async def start(cls, setup: ChildSetup) -> "_PoolProcess":
        ours, theirs = socket.socketpair()
        with theirs:  # closed here, because the end of the stream shows only when no process holds this end
            descriptor = theirs.fileno()
            try:
                process = _spawn(descriptor)
            except BaseException:
                ours.close()
                raise
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        try:
            started = cls(process, reader, writer)
        except RuntimeError:  # the system allows no more threads, so none would wait for the end of the process
            writer.transport.abort()
            process.kill()
            process.wait()
            raise
        try:
            await started._send(setup)
            _, kind, *rest = await started._receive()
            if kind != "ready":
                raise ProcessDied(f"A pool process could not import the application:\n{rest[0]}", exit_code=1)
        except BaseException:
            await started.kill()
            raise
        return started

    @property
    def alive(self) -> bool:
        return not self._exit.done()

    async def ask(self, request: Request, context: Context) -> Any:
        """Run one function. Its progress and log lines are passed to `context`."""
        self.served += 1
        self.working = True
        await self._send((self.served, request))
        while True:
            number, kind, *rest = await self._receive()
            if number != self.served:
                await self._refuse(kind)
            elif kind == "progress":
                context.progress(*rest)
            elif kind == "log":
                context.log(*rest)
            else:
                self.working = False
                if kind == "done":
                    return _value_of(*rest)
                raise _error_of(*rest)

    async def _refuse(self, kind: str) -> None:
        """Drop a message for an earlier request. A late answer to one is a fault, so the process is killed."""
        if kind in ("done", "failed"):
            await self.kill()
            raise ProcessDied("The pool process answered another request than this one, so it was killed.")

    async def kill(self) -> None:
        """Kill the process with its group, and wait until it has ended. Cancels of this call are ignored."""
        if self.alive:
            self._kill_group()
        while not self._exit.done():  # also after a cancel, else the slot would be free while the function still runs
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(self._exit)
        self._writer.close()

    async def _send(self, value: Any) -> None:
        data = pickle.dumps(value)
        self._writer.write(LENGTH.pack(len(data)) + data)
        with contextlib.suppress(ConnectionError):  # `_receive` raises the error with the cause
            await self._writer.drain()

    async def _receive(self) -> tuple[Any, ...]:
        try:
            size = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))[0]
            message: tuple[Any, ...] = pickle.loads(await self._reader.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            await self.kill()  # the process may still run if it has only closed the connection
            raise _death(self._exit.result()) from None
        return message

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _hang_up(self, _: object) -> None:
        # Processes that the function started may still run and hold the connection open.
        self._kill_group()
        asyncio.get_running_loop().call_later(_LAST_WORDS_SECONDS, self._writer.transport.abort)


class ProcessPool:
    """Up to `size` pool processes, started when needed. Each is replaced after `max_tasks` calls; 0 means never.

    Every pool process imports `modules`, usually those of the application, before its first call.
    """

    def __init__(self, size: int, *, modules: Sequence[str] = (), max_tasks: int = 0) -> None:
        self._size = size
        self._slots = asyncio.Semaphore(size)
        self._setup = ChildSetup(list(sys.path), _main_module(), list(modules), logs.in_use(), reads_project_file())
        self._max_tasks = max_tasks
        self._idle: list[_PoolProcess] = []
        self._busy: set[_PoolProcess] = set()
        self._running = self._killed = self._died = self._recycled = 0

    async def warm(self, processes: int = 1) -> None:
        """Start pool processes before they are needed. Raises ProcessDied if the application cannot be imported."""
        for process in await asyncio.gather(*(_PoolProcess.start(self._setup) for _ in range(processes))):
            if len(self._idle) + self._running < self._size:
                self._idle.append(process)
            else:  # calls that came meanwhile have started as many as are allowed
                await process.kill()

    async def call(
        self,
        context: Context,
        function: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] = {},
        begun: Callable[[], object] = lambda: None,
        check: Callable[[], object] = lambda: None,
    ) -> Any:
        """Run `function(*args, **kwargs)` in a pool process. Raises the function's error, or ProcessDied."""
        call = pickle.dumps((function, args, dict(kwargs)))  # arguments that cannot be pickled fail without a wait
        async with self._slots:
            begun()
            _, (message, deadline_at) = context.__reduce__()  # after `begun`, which has just set the deadline
            request = Request(message, deadline_at, call)
            self._running += 1
            try:
                return await self._ask(request, context, check)
            finally:
                self._running -= 1

    @property
    def full(self) -> bool:
        """Whether a call would have to wait for its turn."""
        return self._slots.locked()

    async def aclose(self) -> None:
        """Kill all pool processes."""
        processes = [*self._idle, *self._busy]
        self._idle.clear()
        await asyncio.gather(*(process.kill() for process in processes))

    def statistics(self) -> ProcessPoolStatistics:
        """Return a snapshot."""
        processes = len(self._idle) + len(self._busy)
        return ProcessPoolStatistics(processes, self._running, self._killed, self._died, self._recycled)

    async def _ask(self, request: Request, context: Context, check: Callable[[], object]) -> Any:
        process = self._take_idle() or await _PoolProcess.start(self._setup)
        self._busy.add(process)
        try:
            check()  # after the start of a process, during which the lease may have run out
            return await self._answer(process, request, context)
        finally:
            self._busy.discard(process)
            await self._put_back(process)

    async def _answer(self, process: _PoolProcess, request: Request, context: Context) -> Any:
        try:
            return await process.ask(request, context)
        except asyncio.CancelledError:
            if process.working:  # else the function itself has raised CancelledError
                self._killed += 1
                await process.kill()
            raise
        except ProcessDied:
            self._died += 1
            raise

    def _take_idle(self) -> _PoolProcess | None:
        while self._idle:
            process = self._idle.pop()
            if process.alive:
                return process
            self._died += 1
        return None

    async def _put_back(self, process: _PoolProcess) -> None:
        if not process.alive:
            return
        if process.working:
            # The call has failed in this process, for example because a message could not be unpickled. The late answer
            # would be taken for that of the next task.
            self._killed += 1
            await process.kill()
        elif self._max_tasks and process.served >= self._max_tasks:
            self._recycled += 1
            await process.kill()
        else:
            self._idle.append(process)


def _spawn(descriptor: int) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "rota.worker.run.process_child", str(descriptor), str(os.getpid())]
    # In a session of its own, the process does not get Ctrl-C from the terminal. Killing its process group also kills
    # the processes that it has started.
    return subprocess.Popen(  # noqa: S603
        words, pass_fds=[descriptor], stdin=subprocess.DEVNULL, start_new_session=True
    )


def _exit_of(process: subprocess.Popen[bytes]) -> asyncio.Future[int]:
    """Return a future for the exit code. A thread waits for it, because the event loop needs SIGCHLD for that.

    The program around an embedded worker may ignore SIGCHLD.
    """
    loop = asyncio.get_running_loop()
    exited: asyncio.Future[int] = loop.create_future()

    def wait() -> None:
        code = process.wait()
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(exited.set_result, code)

    threading.Thread(target=wait, name=f"rota-wait-{process.pid}", daemon=True).start()
    return exited


def _value_of(value: bytes) -> Any:
    try:
        return loads(value)
    except Exception as error:
        raise TypeError(
            f"The result of the task cannot be read from its process ({error}): return plain values, or instances of "
            "classes that both processes can import."
        ) from error


def _error_of(packed: PackedError) -> BaseException:
    error = unpack(packed)
    with contextlib.suppress(Exception):
        error.add_note(f"In the pool process:\n{packed.trace.rstrip()}")
    return error


def _death(code: int) -> ProcessDied:
    if code >= 0:
        return ProcessDied(f"The pool process ended with exit code {code} before the task did.", exit_code=code)
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = ""
    if -code == signal.SIGKILL:
        hint = " Rota did not kill it. The system kills a process like this when memory runs out."
    return ProcessDied(f"The pool process was killed by {name} before the task ended.{hint}", exit_code=code)


def _main_module() -> tuple[str, str] | None:
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return "module", spec.name
    path = getattr(main, "__file__", None)
    return None if path is None else ("path", os.path.abspath(path))
