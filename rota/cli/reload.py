"""A worker that is started anew whenever the code changes."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from rich.console import Console

from rota.cli.second_program import SecondProgram


class Reloader:
    """Runs a worker command again and again, until asked to stop.

    A worker that ended by itself, for example because the code does not import, is started again after the next change.
    The command's standard input is a pipe from here: when it closes, the worker knows that we are gone.
    """

    def __init__(
        self,
        command: list[str],
        environment: dict[str, str],
        console: Console,
        second: SecondProgram | None = None,
    ) -> None:
        self._command = command
        self._environment = environment
        self._console = console
        self._second = second
        self._worker: asyncio.subprocess.Process | None = None
        self._stopped = asyncio.Event()

    async def run(self, folder: Path | None) -> int:
        """Run until Ctrl-C, or without a folder to watch until the worker ends. Returns its exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._stop, signal.SIGTERM)  # the terminal was closed
        async with self._second or contextlib.nullcontext():
            return await self._run(folder)

    async def _run(self, folder: Path | None) -> int:
        if folder is None:
            return await self._run_once(None)
        changes = _changes(folder, self._stopped)
        while True:
            change = asyncio.ensure_future(anext(changes, None))
            code = await self._run_once(change)
            if not self._stopped.is_set() and not change.done():
                self._console.print(f"[yellow]the worker ended with code {code}; it starts again after a change[/]")
            name = await change
            if self._stopped.is_set() or name is None:
                return code
            self._console.print(f"[cyan]{name} changed; starting anew[/]")

    async def _run_once(self, change: asyncio.Future[Any] | None) -> int:
        """Run the worker until it ends by itself, is told to, or the code changes. Returns its exit code."""
        worker = self._worker = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            env=self._environment,
            start_new_session=True,  # Ctrl-C comes to it through us only, once for each time it is pressed
        )
        ended = asyncio.create_task(worker.wait())
        await asyncio.wait({ended} | ({change} if change else set()), return_when=asyncio.FIRST_COMPLETED)
        if not self._stopped.is_set() and not ended.done():
            worker.terminate()
        code = await ended
        # A worker that has not come to its signal handlers yet is ended by the signal itself.
        return 0 if -code in (signal.SIGINT, signal.SIGTERM) else code

    def _stop(self, number: signal.Signals) -> None:
        self._stopped.set()
        if self._worker is not None and self._worker.returncode is None:
            self._worker.send_signal(number)
        if self._second is not None:
            self._second.send(number)


def can_watch() -> bool:
    """Return whether watchfiles is installed, the library that notices changed files."""
    try:
        import watchfiles  # noqa: F401 # pyright: ignore[reportUnusedImport]
    except ImportError:
        return False
    return True


async def _changes(folder: Path, stopped: asyncio.Event) -> AsyncIterator[str]:
    """Yield the name of a Python file whenever some have changed."""
    # It names a type of anyio, which it does not need to be installed.
    from watchfiles import PythonFilter, awatch  # pyright: ignore[reportUnknownVariableType]

    async for changed in awatch(folder, watch_filter=PythonFilter(), stop_event=stopped):
        yield sorted(Path(name).name for _, name in changed)[0]
