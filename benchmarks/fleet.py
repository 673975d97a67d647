"""Workers of one contender, started together and stopped together."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.board import Boards
from benchmarks.contender import Contender
from benchmarks.process import Child

START_SECONDS = 30


@dataclass(frozen=True)
class Fleet:
    """Running workers and the boards they count on."""

    children: list[Child]
    boards: Boards

    def resident_bytes(self) -> int:
        """Memory of all processes."""
        return sum(child.resident_bytes() for child in self.children)


@contextlib.contextmanager
def fleet(
    contender: Contender,
    address: str,
    *,
    slots: int,
    processes: int = 1,
    workers: int = 1,
    queues: int = 1,
    gated: bool = True,
) -> Iterator[Fleet]:
    """Start `processes` processes of `workers` workers and give them when all have said that they are ready."""
    folder = Path(tempfile.mkdtemp(prefix="bench-board-"))
    environment = {"BENCH_BOARD": str(folder), "BENCH_GATE": str(processes if gated else 1)}
    command = contender.work(address, slots=slots, workers=workers, queues=queues)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        children = [stack.enter_context(Child(command, environment)) for _ in range(processes)]
        for child in children:
            child.expect("ready", START_SECONDS)
        yield Fleet(children, Boards(folder))
