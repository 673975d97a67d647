"""Child processes of the runner: each in its own group, each wait bounded, ended by its own id."""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import Empty, Queue
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parent.parent


class ChildFailed(Exception):
    """A child process ended, or said nothing, before it gave its result."""


class Child:
    """A process with its lines of output; what it writes to stderr is shown only when it fails."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._command = command
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in stop
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            bufsize=1,
            start_new_session=True,
        )
        self._lines: Queue[str | None] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def pid(self) -> int:
        """The process id, also that of its group."""
        return self._process.pid

    def _read(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError):
            for line in self._process.stdout:
                self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def line(self, timeout_seconds: float) -> str:
        """The next line of its output."""
        try:
            line = self._lines.get(timeout=timeout_seconds)
        except Empty:
            raise ChildFailed(f"{self._name()} said nothing for {timeout_seconds:.0f} s{self._complaint()}") from None
        if line is None:
            raise ChildFailed(f"{self._name()} ended{self._complaint()}")
        return line

    def expect(self, word: str, timeout_seconds: float) -> None:
        """Read lines until one is `word`: libraries may print banners before it."""
        while self.line(timeout_seconds) != word:
            pass

    def result(self, timeout_seconds: float) -> Any:
        """The JSON object it prints at its end."""
        while not (line := self.line(timeout_seconds)).startswith("{"):
            pass
        return json.loads(line)

    def write(self, line: str) -> None:
        """Give it a line of input."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")

    def stop(self) -> None:
        """Kill it and what it started. Nothing here needs a graceful end: the server is flushed between runs."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(10)
        self._errors.close()

    def resident_bytes(self) -> int:
        """Resident memory of it and its descendants."""
        return sum(_resident(pid) for pid in _family(self.pid))

    def _name(self) -> str:
        return " ".join(Path(word).name if "/" in word else word for word in self._command[:5])

    def _complaint(self) -> str:
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()]
        return ": " + lines[-1] if lines else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(one for child in children for one in _family(int(child)))]


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
