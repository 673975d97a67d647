"""The workers of the demo: programs of their own, as they would be in production."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_PATIENCE_SECONDS = 30
SHOP = (
    "examples.shop.app:app",
    "--processes=2",
    "--concurrency=4",  # few, so that both processes get something to do
    "--queues=critical=6,default=3,low=1",
)
JOBS = ("examples.jobs:app", "--processes=1", "--queues=jobs=1")
"""The ready-made jobs, as they are, in a worker of their own."""


@dataclass(slots=True)
class Fleet:
    """A running `rota worker`. What it prints goes to a file."""

    process: asyncio.subprocess.Process
    log: Path

    @classmethod
    async def start(cls, words: Sequence[str], log: Path, environment: dict[str, str]) -> "Fleet":
        """Start the worker. Ctrl-C does not reach it: the demo stops it in its own time."""
        # A demo that is killed leaves no worker behind, because the worker follows it.
        command = [sys.executable, "-m", "rota.cli", "worker", *words, "--follow-parent"]
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        return cls(process, log)

    @property
    def ended(self) -> bool:
        """True once the worker is gone, asked or not."""
        return self.process.returncode is not None

    async def stop(self) -> str:
        """Stop gently. Returns what was wrong about it, or nothing."""
        if not self.ended:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = await asyncio.wait_for(self.process.wait(), _PATIENCE_SECONDS)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
            return f"the worker did not stop within {_PATIENCE_SECONDS} s and was killed; see {self.log}"
        if code in (0, -signal.SIGTERM):  # the signal itself ends a worker that has hardly begun
            return ""
        return f"the worker ended with exit code {code}; see {self.log}"
