"""Restarts a worker when its code changes, and runs a second program beside it.

`rota dev shop:app -- uvicorn web:app` runs both on the same server.
"""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from rota.errors import ConfigError


class SecondProgram:
    """Runs the program while the block lasts. It is not restarted on changes, because it may have its own reloader."""

    def __init__(self, words: Sequence[str], environment: dict[str, str], console: Console) -> None:
        if shutil.which(words[0], path=environment.get("PATH")) is None:
            raise ConfigError(f"There is no program {words[0]!r} to run after the --. Is it installed here?")
        self._words = words
        self._environment = environment
        self._console = console
        self._stopping = False
        self._process: asyncio.subprocess.Process
        self._watching: asyncio.Task[None]

    async def __aenter__(self) -> "SecondProgram":
        # In its own session, so that the program gets each Ctrl-C once, through `send`.
        self._process = await asyncio.create_subprocess_exec(
            *self._words, env=self._environment, start_new_session=True
        )
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        if self._process.returncode is None:
            self.send(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._console.print(f"[yellow]{self._name} does not end: it is killed[/]")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # and the child processes it has left behind
        await self._watching

    def send(self, number: signal.Signals) -> None:
        """Pass a signal on. After the first one, the end of the program is expected and not printed."""
        self._stopping = True
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    @property
    def _name(self) -> str:
        return escape(self._words[0])

    async def _watch(self) -> None:
        code = await self._process.wait()
        if not self._stopping:
            self._console.print(f"[yellow]{self._name} ended with code {code}; the worker goes on[/]")


class Reloader:
    """Runs a worker command and restarts it after each change, until it is stopped.

    A worker that ended by itself, for example because its code cannot be imported, is restarted after the next change.
    The standard input of the command is a pipe from this process. When the pipe closes, the worker knows that this
    process is gone.
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
        self._asked: signal.Signals | None = None

    async def run(self, folder: Path | None) -> int:
        """Run until Ctrl-C, or without a folder to watch, until the worker ends. Returns the worker's exit code."""
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
        """Run the worker until it ends, is stopped, or the code changes. Returns its exit code."""
        worker = self._worker = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            env=self._environment,
            start_new_session=True,  # so that the worker gets each Ctrl-C once, from this process
        )
        if self._asked is not None:  # while the worker was being started
            worker.send_signal(self._asked)
        ended = asyncio.create_task(worker.wait())
        await asyncio.wait({ended} | ({change} if change else set()), return_when=asyncio.FIRST_COMPLETED)
        if not self._stopped.is_set() and not ended.done():
            worker.terminate()
        code = await ended
        # A worker that has not installed its signal handlers yet is ended by the signal itself.
        return 0 if -code in (signal.SIGINT, signal.SIGTERM) else code

    def _stop(self, number: signal.Signals) -> None:
        self._stopped.set()
        self._asked = number
        if self._worker is not None and self._worker.returncode is None:
            self._worker.send_signal(number)
        if self._second is not None:
            self._second.send(number)


def can_watch() -> bool:
    """Whether watchfiles, the library that notices changed files, is installed."""
    try:
        import watchfiles  # noqa: F401 # pyright: ignore[reportUnusedImport]
    except ImportError:
        return False
    return True


async def _changes(folder: Path, stopped: asyncio.Event) -> AsyncIterator[str]:
    """Yield the name of a Python file, or of a new folder with some, whenever some have changed."""
    # The signature of awatch names a type of trio, which is usually not installed, so pyright cannot resolve it.
    from watchfiles import Change, DefaultFilter, PythonFilter, awatch  # pyright: ignore[reportUnknownVariableType]

    is_code, is_watched = PythonFilter(), DefaultFilter()

    def matters(change: Change, path: str) -> bool:
        if is_code(change, path):
            return True
        # A new folder is watched only after its creation. Files that are written before have no event of their own.
        return change is Change.added and is_watched(change, path) and any(Path(path).rglob("*.py"))

    async for changed in awatch(folder, watch_filter=matters, stop_event=stopped):
        yield sorted(Path(name).name for _, name in changed)[0]


STOP_SECONDS = 10.0
"""How long the program may take to end after TERM, before it is killed."""
