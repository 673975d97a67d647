"""The worker's end of the pair of sockets to its supervisor.

A thread of its own reports and listens, so that code which blocks the event loop hides neither. Only code that never
lets the interpreter go does: then the supervisor sees that reports are missing, and keeps the leases instead.
"""

import asyncio
import contextlib
import logging
import os
import selectors
import socket
import threading
from collections.abc import Callable

from rota.supervisor.messages import QUIET, Message, ProcessReport, ProcessSetup, decode, encode

_READ_BYTES = 65536

logger = logging.getLogger("rota.worker")


class Lifeline:
    """Speaks with the supervisor. Reading the setup blocks; `start` leaves the rest to a thread."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""
        self._unsent = b""

    @classmethod
    def on_standard_input(cls) -> "Lifeline":
        """Take over standard input. Programs that a task starts get an empty one in its place."""
        descriptor = os.dup(0)  # not inherited by anybody
        with open(os.devnull) as nothing:
            os.dup2(nothing.fileno(), 0)
        return cls(socket.socket(fileno=descriptor))

    def read_setup(self) -> ProcessSetup:
        """Wait for the first line. EOFError if the supervisor has gone."""
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
        """Send one line, whole, before the thread is started."""
        self._connection.sendall(encode(message))

    def start(
        self,
        report: Callable[[], ProcessReport],
        quiet: Callable[[], object],
        gone: Callable[[], object],
        every_seconds: float,
    ) -> None:
        """Report every so often; call `quiet` or `gone` in the running loop when the supervisor says so, or is gone."""
        loop = asyncio.get_running_loop()

        def tell(act: Callable[[], object]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: this worker has ended
                loop.call_soon_threadsafe(act)

        work = threading.Thread(
            target=self._work, args=(report, lambda: tell(quiet), lambda: tell(gone), every_seconds), daemon=True
        )
        work.name = "rota-lifeline"
        work.start()

    def _work(
        self,
        report: Callable[[], ProcessReport],
        quiet: Callable[[], object],
        gone: Callable[[], object],
        every_seconds: float,
    ) -> None:
        self._connection.setblocking(False)
        with selectors.DefaultSelector() as selector, contextlib.suppress(OSError):
            selector.register(self._connection, selectors.EVENT_READ)
            self._obey(quiet)
            while True:
                self._report_safely(report)
                if selector.select(every_seconds):
                    data = self._connection.recv(_READ_BYTES)
                    if not data:
                        break
                    self._buffer += data
                    self._obey(quiet)
        gone()

    def _report_safely(self, report: Callable[[], ProcessReport]) -> None:
        try:
            told = report()
        except Exception:
            # This thread is what a supervisor hears of us, and what hears of its end: it outlives a report that fails.
            logger.exception("What this worker process has to report could not be read; it goes on.")
        else:
            self._report(told)

    def _report(self, report: ProcessReport) -> None:
        # A supervisor that does not read gets no newer report before it has read the older one.
        self._unsent = self._unsent or encode(report)
        with contextlib.suppress(BlockingIOError):
            self._unsent = self._unsent[self._connection.send(self._unsent) :]

    def _obey(self, quiet: Callable[[], object]) -> None:
        *lines, self._buffer = self._buffer.split(b"\n")
        if QUIET.strip() in lines:
            quiet()
