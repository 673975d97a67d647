"""Counts handled tasks in memory that the runner shares, so that counting costs no Redis call.

Each worker process maps one file of 64-bit numbers: count, clock of the first
and of the last task, and the start of the latest tasks by number. `go/board.go`
has the same layout. Only the standard library: this runs in every environment.
"""

import mmap
import os
import threading
import time
from pathlib import Path

COUNT, FIRST, LAST = range(3)
STARTS, KEPT = 8, 4096
SIZE = 8 * (STARTS + KEPT)
GATE_PATIENCE_SECONDS = 20


class Board:
    """The worker's side: `mark` is the first thing that every handler does."""

    def __init__(self, directory: Path, gated: int) -> None:
        self._path = directory / f"{os.getpid()}.board"
        self._gated = gated
        self._lock = threading.Lock()
        self._count = 0
        hidden = self._path.with_suffix(".new")
        hidden.write_bytes(bytes(SIZE))
        with hidden.open("r+b") as file:
            self._cells = memoryview(mmap.mmap(file.fileno(), SIZE)).cast("q")

    def mark(self, number: int) -> None:
        """Count one task; the first one waits until each process has one."""
        now = time.monotonic_ns()
        with self._lock:
            if not self._count:
                self._arrive()
            self._count += 1
            cells = self._cells
            cells[STARTS + number % KEPT] = now
            cells[LAST] = now
            cells[COUNT] = self._count

    def _arrive(self) -> None:
        self._path.with_suffix(".new").rename(self._path)
        deadline = time.monotonic() + GATE_PATIENCE_SECONDS
        while len(list(self._path.parent.glob("*.board"))) < self._gated and time.monotonic() < deadline:
            time.sleep(0.001)
        self._cells[FIRST] = time.monotonic_ns()


class Boards:
    """The runner's side: all boards of one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._cells: dict[Path, memoryview] = {}

    def _all(self) -> list[memoryview]:
        for path in self.directory.glob("*.board"):
            if path not in self._cells:
                with path.open("r+b") as file:
                    self._cells[path] = memoryview(mmap.mmap(file.fileno(), SIZE)).cast("q")
        return list(self._cells.values())

    def count(self) -> int:
        """How many tasks all processes have handled."""
        return sum(cells[COUNT] for cells in self._all())

    def span_seconds(self) -> float:
        """From the first handled task to the last one so far."""
        boards = [cells for cells in self._all() if cells[COUNT]]
        return (max(c[LAST] for c in boards) - min(c[FIRST] for c in boards)) / 1e9 if boards else 0.0

    def start_of(self, number: int) -> int:
        """The clock at which task `number` started, 0 while it hasn't."""
        return max((cells[STARTS + number % KEPT] for cells in self._all()), default=0)


_board: Board | None = None
_making = threading.Lock()


def mark(number: int) -> None:
    """Count one task on this process's board."""
    (_board or prepare()).mark(number)


def prepare() -> Board:
    """Make this process's board, in the folder BENCH_BOARD, before the first task needs it."""
    global _board
    with _making:
        if _board is None:
            _board = Board(Path(os.environ["BENCH_BOARD"]), int(os.environ.get("BENCH_GATE", "1")))
        return _board


def _forget() -> None:
    global _board
    _board = None


os.register_at_fork(after_in_child=_forget)
