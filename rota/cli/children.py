"""Several worker processes from one command: started together, stopped together.

A process that ends without being asked ends the others too, and the command with it, so that whoever watches the
command sees it and starts it anew.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Sequence

from rota.cli.parent import while_parent_lives

logger = logging.getLogger("rota.worker")


class Children:
    """Worker processes. Their standard input is a pipe from here: when it closes they know that we are gone."""

    def __init__(self, command: Sequence[str], count: int, *, environment: dict[str, str] | None = None) -> None:
        self._command = command
        self._count = count
        self._environment = {**os.environ, **(environment or {})}
        self._processes: list[asyncio.subprocess.Process] = []
        self._asked = False

    async def start(self) -> None:
        """Start all of them."""
        for _ in range(self._count):
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                env=self._environment,
                start_new_session=True,  # Ctrl-C comes to them through us only, once for each time it is pressed
            )
            self._processes.append(process)

    def send(self, number: signal.Signals) -> None:
        """Pass a signal on to those that still run."""
        self._asked = self._asked or number in (signal.SIGINT, signal.SIGTERM)
        for process in self._processes:
            if process.returncode is None:
                process.send_signal(number)

    async def wait(self) -> int:
        """Wait for the end of all; return the first exit code that tells of a failure, else 0."""
        waits = {asyncio.create_task(process.wait()): process.pid for process in self._processes}
        pending = set(waits)
        failures: list[int] = []
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for wait in done:
                failures += self._failure(waits[wait], wait.result())
            if pending and not self._asked:
                self.send(signal.SIGTERM)
        return next(iter(failures), 0)

    def _failure(self, pid: int, code: int) -> list[int]:
        # A process that has not come to its signal handlers yet is ended by the signal itself.
        if code == 0 or (self._asked and -code in (signal.SIGINT, signal.SIGTERM)):
            return []
        logger.error("Worker process %d ended with code %d; all stop.", pid, code)
        return [code if code > 0 else 128 - code]


async def supervise(children: Children, *, follow_parent: bool = False) -> int:
    """Run the children until they have ended, passing our signals on to them. Returns the exit code."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTSTP):
        loop.add_signal_handler(number, children.send, number)
    await children.start()
    async with contextlib.AsyncExitStack() as stack:
        if follow_parent:
            await stack.enter_async_context(while_parent_lives(lambda: children.send(signal.SIGTERM)))
        return await children.wait()


def worker_command(*arguments: str) -> list[str]:
    """Return the command line of a worker."""
    return [sys.executable, "-m", "rota.cli", "worker", *arguments]
