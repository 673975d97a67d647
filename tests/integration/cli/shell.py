"""Runs `rota` in a folder that holds an app."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

APP = """
import asyncio, os
from pathlib import Path
from rota import Rota

app = Rota()
{extra}

@app.task("note:write")
async def write(name: str, wait: float = 0.0) -> str:
    Path(name + ".started").touch()
    await asyncio.sleep(wait)
    Path(name).write_text("{text}")
    return f"{{name}} by {{os.getpid()}}"
"""

RUN_SECONDS = 90
"""A command takes a second, and on a machine with a load of 20 it took 40."""


class Shell:
    """Runs `rota` in a folder that holds `notes.py`."""

    def __init__(self, folder: Path, url: str | None) -> None:
        self.folder = folder
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("ROTA_")}
        self.environment["ROTA_LANG"] = "en"
        if url is not None:
            self.environment["ROTA_URL"] = url
        self.programs: list[subprocess.Popen[str]] = []
        self.write_app("first")

    def write_app(self, text: str, extra: str = "") -> None:
        (self.folder / "notes.py").write_text(APP.format(text=text, extra=extra))

    def run(self, *words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "rota.cli", *words]
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        program = subprocess.Popen(
            [sys.executable, "-m", "rota.cli", *words],
            cwd=self.folder,
            env=self.environment,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.programs.append(program)
        return program

    def wait_for(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 30
        while not holds():
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            time.sleep(0.02)

    def close(self) -> None:
        """End what still runs."""
        for program in self.programs:
            if program.poll() is None:
                program.kill()
            program.communicate()
