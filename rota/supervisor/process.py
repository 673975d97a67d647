"""One child process, as its supervisor sees it.

The life of a process:

1. `start` starts it, sends its setup, and reads its messages.
2. It loads the app and sends its introduction, then reports.
3. `stop` asks it to stop, or `drain` first lets it finish its tasks. `kill` ends it at once.
4. A thread waits for its end. Then its exit is stored, its last messages are read, and `on_exit` is called.

A report may be some time old: a process whose interpreter is blocked sends none (`heard_at`).
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from resource import struct_rusage

from rota import events
from rota.supervisor.kind import WORKER, Kind
from rota.supervisor.messages import QUIET, WAKE, Introduction, Message, ProcessReport, ProcessSetup, decode, encode
from rota.supervisor.replacement import Lifetime, RestartBackoff

_MIB = 1024 * 1024
_LINE_BYTES = 16 * 1024 * 1024
"""The longest message. The default of asyncio is 64 KiB, and a report has the names of all queues of a process."""
_LAST_WORDS_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Exit:
    """The exit code of a process (negative: the number of the signal that ended it), and its peak memory."""

    code: int
    peak_bytes: int = 0

    @classmethod
    def read(cls, status: int, usage: struct_rusage) -> "Exit":
        """Make an Exit from the values that `os.wait4` returns."""
        unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
        return cls(os.waitstatus_to_exitcode(status), usage.ru_maxrss * unit)

    @property
    def shell_code(self) -> int:
        """The exit code as a shell reports it: 128 plus the signal number for a process that a signal ended."""
        return self.code if self.code >= 0 else 128 - self.code

    def __str__(self) -> str:
        memory = f", its memory was {self.peak_bytes // _MIB} MiB at most" if self.peak_bytes else ""
        if self.code >= 0:
            return f"ended with exit code {self.code}{memory}"
        hint = " (out of memory?)" if -self.code == signal.SIGKILL else ""
        return f"was ended by {_signal_name(-self.code)}{hint}{memory}"


WRONG_USE = 2
"""The exit code of a process that was refused: by a wrong setting, or by the server."""


class ChildProcess:
    """A process of some kind, from its start until it is known to be dead.

    `leaving` says that the supervisor asked it to stop, so that its end is not a crash (but see `crashed`). `queues`
    are all queues that it has reported since its start.
    """

    def __init__(self, id: str, process: subprocess.Popen[bytes], backoff: RestartBackoff, kind: Kind = WORKER) -> None:
        self.id = id
        self.kind = kind
        self.pid = process.pid
        self.backoff = backoff
        self.lifetime = Lifetime()
        self.started_at = self.loading_since = time.monotonic()
        self.loaded = False
        """Whether it has loaded the app. Set by its first message, because a process sends none before."""
        self.introduction: Introduction | None = None
        self.introduced_at = 0.0
        self.heard_at = 0.0
        self.report = ProcessReport()
        self.queues: set[str] = set()
        self.leaving = False
        self.replaced = False
        """Whether another process starts when this one has ended, although it was asked to stop."""
        self.killed = False
        self.stop_asked_at: float | None = None
        self.drain_until: float | None = None
        self.exit: Exit | None = None
        self.introduced = asyncio.Event()
        """Set once its introduction has arrived or it has ended."""
        self.ended = asyncio.Event()
        self._process = process
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls,
        kind: Kind,
        setup: ProcessSetup,
        backoff: RestartBackoff,
        on_exit: Callable[["ChildProcess"], object],
    ) -> "ChildProcess":
        """Start a fresh process (not a fork) and send it its setup. Raises OSError if the system refuses."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = _spawn(kind.command, theirs)
            except BaseException:
                ours.close()
                raise
        backoff.started()
        child = cls(setup.id, process, backoff, kind)
        try:
            child._watch(on_exit)
        except RuntimeError as error:  # the system allows no more threads
            ours.close()
            process.kill()
            process.wait()
            raise OSError(f"{child} cannot be watched: {error}") from error
        reader, child._writer = await asyncio.open_connection(sock=ours, limit=_LINE_BYTES)
        child._writer.write(encode(setup))
        child._reading = asyncio.create_task(child._read(reader))
        if child.exit is not None:  # it has ended during the wait, when `_end` found no connection to close
            child._writer.close()
        return child

    def __str__(self) -> str:
        return f"{self.kind.name} process {self.pid}"

    @property
    def about(self) -> events.AboutProcess:
        """The fields of an event about this process."""
        return {"kind": self.kind.name, "pid": self.pid}

    def quiet(self) -> None:
        """Ask it to take no more tasks."""
        if self._writer is not None and self.exit is None:
            self._writer.write(QUIET)

    def wake(self) -> None:
        """Ask it to take tasks again after `quiet`, unless it is being drained."""
        if self._writer is not None and self.exit is None and self.drain_until is None:
            self._writer.write(WAKE)

    def stop(self, *, at_once: bool = False) -> None:
        """Ask it to stop. Running tasks may finish within `shutdown_timeout`; `at_once` hands them back now."""
        self.leaving = True
        self.stop_asked_at = self.stop_asked_at or time.monotonic()  # a second request does not extend the time
        self._signal(signal.SIGINT if at_once else signal.SIGTERM)

    def drain(self, seconds: float) -> None:
        """Ask it to take no more tasks and to finish the running ones within `seconds`.

        It does not stop by itself: `drained` says when it can be stopped. A process that owns no tasks stops now.
        """
        if not self.kind.owns_tasks:
            self.stop()
            return
        self.leaving = True
        self.drain_until = time.monotonic() + seconds
        self.quiet()

    def forgive(self, seconds: float) -> None:
        """Extend all its time limits by the time for which the supervisor itself stood still."""
        now = time.monotonic()
        self.heard_at = min(now, self.heard_at + seconds)
        self.loading_since = min(now, self.loading_since + seconds)
        if self.stop_asked_at is not None:
            self.stop_asked_at = min(now, self.stop_asked_at + seconds)
        if self.drain_until is not None:
            self.drain_until += seconds

    @property
    def drained(self) -> bool:
        """Whether it can be stopped after `drain`: it holds no task any more, or its time is over."""
        if self.drain_until is None or self.stop_asked_at is not None:
            return False
        # Before it reports that it is quiet, it may still fetch, so that it holds tasks right after it held none.
        return (self.report.quiet and self.report.held == 0) or time.monotonic() >= self.drain_until

    @property
    def beat_at(self) -> float:
        """When its heartbeat last reached the broker; before that when it introduced itself; 0 before both."""
        return self.report.beat_at or self.introduced_at

    @property
    def crashed(self) -> bool:
        """Whether it ended without being asked to, or was ended by a signal that the supervisor did not send."""
        if not self.leaving:
            return True
        code = 0 if self.exit is None else self.exit.code
        return code < 0 and not self.killed and -code not in (signal.SIGTERM, signal.SIGINT)

    @property
    def ended_in_order(self) -> bool:
        """Whether it was asked to stop and has recorded or handed back all its tasks.

        The exit code 0 alone does not prove that, because a task may call `os._exit(0)`.
        """
        return self.exit is not None and self.exit.code == 0 and self.leaving

    @property
    def never_began(self) -> bool:
        """Whether it ended before it took tasks: the server refused it, or it was stopped while it waited for it."""
        was_refused = self.exit is not None and self.exit.code == WRONG_USE
        return not self.report.ready and (was_refused or self.ended_in_order)

    def kill(self) -> None:
        """Kill it."""
        self.killed = True
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        # Until `_reap` the process exists at least as a zombie, so its ID cannot belong to another process.
        if self.exit is None:
            os.kill(self.pid, number)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                try:
                    self._receive(decode(line))
                except Exception as error:
                    # The last line of a dead process may be cut off, and an upgrade of the package while the fleet
                    # runs may have changed the messages.
                    events.emit(events.ReportUnreadable(**self.about, error=error))

    def _receive(self, message: Message) -> None:
        self.heard_at = time.monotonic()
        self.loaded = True
        if isinstance(message, Introduction):
            self.introduction = message
            self.introduced_at = time.monotonic()
            self.introduced.set()
        elif isinstance(message, ProcessReport):
            self.report = message
            if message.stopping and self.stop_asked_at is None:
                # It was asked to stop from outside, not by this supervisor. Its end counts as a crash, but the time
                # limit for stopping applies to it as well.
                self.stop_asked_at = time.monotonic()
            self.queues.update(message.queues)

    def _watch(self, on_exit: Callable[["ChildProcess"], object]) -> None:
        loop = asyncio.get_running_loop()

        def wait() -> None:
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)  # leaves a zombie for `_reap`, see `_signal`
            with contextlib.suppress(RuntimeError):  # the loop is closed: the supervisor has ended
                loop.call_soon_threadsafe(self._reap, on_exit)

        threading.Thread(target=wait, name=f"rota-wait-{self.pid}", daemon=True).start()

    def _reap(self, on_exit: Callable[["ChildProcess"], object]) -> None:
        _, status, usage = os.wait4(self.pid, 0)
        self.exit = Exit.read(status, usage)
        self._process.returncode = self.exit.code  # else Popen would take it for running, and warn
        self._ending = asyncio.create_task(self._end(on_exit))

    async def _end(self, on_exit: Callable[["ChildProcess"], object]) -> None:
        # If the supervisor was frozen or slow, the last messages of the process are still in the socket. The wait is
        # bounded, because the end of the stream may never come: a child of the process may hold the other end open.
        if self._reading is not None:
            await asyncio.wait([self._reading], timeout=_LAST_WORDS_SECONDS)
        if self._writer is not None:
            self._writer.close()
        self.introduced.set()
        self.ended.set()
        on_exit(self)


def _spawn(command: Sequence[str], standard_input: socket.socket) -> subprocess.Popen[bytes]:
    # A session of its own keeps Ctrl-C of the terminal from reaching the process directly. The supervisor passes each
    # Ctrl-C on, so that the process gets it once and not twice.
    return subprocess.Popen(command, stdin=standard_input.fileno(), start_new_session=True)  # noqa: S603


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
