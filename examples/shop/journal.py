"""What happened to each task, one JSON object a line, written by all processes and read by the demo.

It outlives a kill: the next demo finds in it what was enqueued and has not ended.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Entry:
    """One event in the life of a task."""

    event: Literal["enqueued", "failed", "done"]
    id: str
    type: str
    arguments: dict[str, Any] = field(default_factory=dict)
    attempt: int = 0
    seconds: float = 0.0
    error: str = ""
    pid: int = field(default_factory=os.getpid)
    at: float = field(default_factory=time.time)


class Journal:
    """A file that only grows. A line is written in one piece, so writers need no lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_to = 0

    def write(self, entry: Entry) -> None:
        """Append one entry."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(asdict(entry), default=str) + "\n"
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)

    def news(self) -> Iterator[Entry]:
        """Yield the entries since the last call."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._read_to)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # still being written; read it next time
                self._read_to += len(line)
                yield Entry(**json.loads(line))

    def clear(self) -> None:
        """Start anew."""
        self.path.unlink(missing_ok=True)
        self._read_to = 0
