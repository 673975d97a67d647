"""The program that `rota dev shop:app -- uvicorn web:app` runs beside the worker, on the same server."""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from rota.errors import ConfigError

STOP_SECONDS = 10.0
"""How long the program may take to end after TERM, before it is killed."""


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
