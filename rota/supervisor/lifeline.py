"""The worker's end of the socket pair to its supervisor.

A separate thread sends reports and receives commands, so that a handler that blocks the event loop stops neither. Only
code that never releases the interpreter stops this thread. Then the supervisor notices that reports are missing, and
extends the leases itself.
"""

import asyncio
import contextlib
import os
import selectors
import socket
import threading
from collections.abc import Callable, Mapping
from functools import partial

from rota import events
from rota.supervisor.messages import Message, ProcessReport, ProcessSetup, decode, encode

_READ_BYTES = 65536


class Lifeline:
    """Talks to the supervisor. `read_setup` and `send` block; after `start` a thread does the work."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""
        self._unsent = b""

    @classmethod
    def on_standard_input(cls) -> "Lifeline":
        """Take over standard input. Programs that a task starts get an empty standard input instead."""
        descriptor = os.dup(0)  # child processes do not inherit a duplicate
        with open(os.devnull) as nothing:
            os.dup2(nothing.fileno(), 0)
        return cls(socket.socket(fileno=descriptor))

    def read_setup(self) -> ProcessSetup:
        """Wait for the first line. Raises EOFError if the supervisor has ended."""
        while b"\n" not in self._buffer:
            data = self._connection.recv(_READ_BYTES)
            if not data:
                raise EOFError("the supervisor ended before it said what to do")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        setup = decode(line)
        if not isinstance(setup, ProcessSetup):
            raise ValueError("the first line from the supervisor is no setup")
        return setup

    def send(self, message: Message) -> None:
        """Send one message and block until it is written. Only for the time before `start`."""
        self._connection.sendall(encode(message))

    def start(
        self,
        report: Callable[[], ProcessReport],
        commands: Mapping[bytes, Callable[[], object]],
        gone: Callable[[], object],
        every_seconds: float,
    ) -> None:
        """Send a report every `every_seconds` from a thread.

        The functions of `commands` are called in the running loop when the supervisor sends that line, such as `QUIET`,
        and `gone` when it has ended. A line that is not in `commands` is ignored.
        """
        loop = asyncio.get_running_loop()

        def tell(act: Callable[[], object]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: this worker has ended
                loop.call_soon_threadsafe(act)

        told = {line.strip(): partial(tell, act) for line, act in commands.items()}
        work = threading.Thread(target=self._work, args=(report, told, lambda: tell(gone), every_seconds), daemon=True)
        work.name = "rota-lifeline"
        work.start()

    def _work(
        self,
        report: Callable[[], ProcessReport],
        commands: Mapping[bytes, Callable[[], object]],
        gone: Callable[[], object],
        every_seconds: float,
    ) -> None:
        self._connection.setblocking(False)  # a supervisor that is frozen must not block this thread with a full socket
        with selectors.DefaultSelector() as selector, contextlib.suppress(OSError):
            selector.register(self._connection, selectors.EVENT_READ)
            self._obey(commands)  # those that arrived with the setup
            while True:
                self._report_safely(report)
                if selector.select(every_seconds):
                    data = self._connection.recv(_READ_BYTES)
                    if not data:
                        break
                    self._buffer += data
                    self._obey(commands)
        gone()

    def _report_safely(self, report: Callable[[], ProcessReport]) -> None:
        try:
            told = report()
        except Exception as error:
            # A failed report must not end this thread: without it the supervisor would get no reports at all, and
            # this worker would not notice the end of its supervisor.
            events.emit(events.ReportNotMade(error=error))
        else:
            self._report(told)

    def _report(self, report: ProcessReport) -> None:
        # While the supervisor does not read, the rest of the old report is sent before any newer one.
        self._unsent = self._unsent or encode(report)
        with contextlib.suppress(BlockingIOError):
            self._unsent = self._unsent[self._connection.send(self._unsent) :]

    def _obey(self, commands: Mapping[bytes, Callable[[], object]]) -> None:
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            if (act := commands.get(line)) is not None:
                act()
