"""Runs `rota` in a folder that holds an app: as a program of its own, or in this process, which saves its start."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Run

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


class QuickShell(Shell):
    """Runs commands that end by themselves in this process, and all others as programs.

    Also `config` in a folder with a file of the project, because only a program reads that.
    """

    PROGRAMS = ("dev", "scheduler", "shell")
    OF_WORKERS = ("list", "quiet", "wake", "stop", "scale")

    def __init__(self, folder: Path, url: str | None, command: Run) -> None:
        super().__init__(folder, url)
        self._command = command

    def run(self, *words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        stays = words[:1] == ("worker",) and words[1:2] not in [(each,) for each in self.OF_WORKERS]
        reads = words[:1] == ("config",) and (self.folder / "pyproject.toml").exists()
        if not words or words[0] in self.PROGRAMS or words[0].startswith("-") or stays or reads:
            return super().run(*words, text=text)
        with self._environment():
            done = self._command(*words, typed=text or "")
        return subprocess.CompletedProcess(words, done.code, done.out, done.err)

    @contextmanager
    def _environment(self) -> Iterator[None]:
        """The variables of the folder."""
        with pytest.MonkeyPatch.context() as patch:
            for name in [each for each in os.environ if each.startswith("ROTA_")]:
                patch.delenv(name)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            yield
