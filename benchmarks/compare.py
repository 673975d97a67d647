"""Compares the worker of several checkouts: `python -m benchmarks.compare TREE TREE --slots 200`.

Each checkout has its own environment (`make setup`), and all of them run the benchmark code of this one. In every round
each of them works off the same preloaded tasks on the same server, one after the other, and each round begins with
another one. So other load on the machine meets all of them. The table has the medians of the rounds: tasks/s, and the
CPU time of the worker and of the server for each task, which other processes disturb less than the throughput. Of the
CPU time it has the least of all rounds too, which they disturb least.
"""

import argparse
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.board import Boards
from benchmarks.contender import BY_NAME
from benchmarks.process import Child, ChildFailed
from benchmarks.server import Server

START_SECONDS = 30
STILL_SECONDS = 30
WARM = 0.1
"""This share of the tasks is run before the CPU time is counted, because a worker has to import and connect first."""


def cpu_seconds(child: Child) -> float:
    """CPU time of all threads of a worker."""
    total = 0
    for path in Path(f"/proc/{child.pid}/task").glob("*/schedstat"):
        with suppress(OSError):
            total += int(path.read_text().split()[0])
    return total / 1e9


@contextmanager
def workers(tree: Path, address: str, *, slots: int, processes: int) -> Iterator[tuple[list[Child], Boards]]:
    """Start the worker processes of one checkout."""
    command = [str(tree / ".venv/bin/python"), "-P", "-m", "benchmarks.work", "rota"]
    command += ["--url", f"redis://{address}/0", "--slots", str(slots)]
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="bench-board-"))
        shared = stack.enter_context(TemporaryDirectory(prefix="bench-code-"))
        (Path(shared) / "benchmarks").symlink_to(Path(__file__).parent.absolute())
        path = f"{shared}{os.pathsep}{tree}"
        environment = {"BENCH_BOARD": folder, "BENCH_GATE": str(processes), "PYTHONPATH": path}
        children = [stack.enter_context(Child(command, environment)) for _ in range(processes)]
        for child in children:
            child.expect("ready", START_SECONDS)
        yield children, Boards(Path(folder))


def measure(server: Server, tree: Path, *, tasks: int, slots: int, processes: int) -> tuple[float, float, float]:
    """Work off preloaded tasks. Returns tasks/s, and the microseconds of CPU of workers and server for each task."""
    server.flush()
    with Child(BY_NAME["rota"].produce("load", server.address, tasks=tasks)) as producer:
        producer.result(60)
    with workers(tree, server.address, slots=slots, processes=processes) as (children, boards):
        begun = wait(boards, int(tasks * WARM))
        begun_cpu, begun_server = sum(map(cpu_seconds, children)), server.cpu_seconds()
        done = wait(boards, tasks)
        time.sleep(0.2)  # the last outcomes are still to be recorded
        used, served = sum(map(cpu_seconds, children)) - begun_cpu, server.cpu_seconds() - begun_server
        each = 1e6 / (done - begun)
        return (done - 1) / boards.span_seconds(), used * each, served * each


def wait(boards: Boards, wanted: int) -> int:
    """Wait until so many tasks are handled."""
    until = time.monotonic() + STILL_SECONDS
    while (count := boards.count()) < wanted:
        if time.monotonic() > until:
            raise ChildFailed(f"{count} of {wanted} tasks were handled in {STILL_SECONDS} s")
        time.sleep(0.005)
    return count


def line(tree: Path, rate: float, worker: float, server: float) -> str:
    """The figures of one run as text."""
    return f"{tree.resolve().name:24}{rate:10,.0f} tasks/s{worker:8.1f} us CPU of workers{server:8.1f} of server"


def main() -> None:
    """Read the command line, measure in turn, and print a line for each run and the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trees", nargs="+", type=Path)
    parser.add_argument("--server", default="redis")
    parser.add_argument("--slots", type=int, default=200)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=60_000)
    parser.add_argument("--ends", choices=("plain", "kept", "retried"), default="plain", help="how each task ends")
    o = parser.parse_args()
    os.environ["BENCH_ENDS"] = o.ends  # the children inherit it
    found: defaultdict[Path, list[tuple[float, float, float]]] = defaultdict(list)
    with Server(o.server) as server:
        for number in range(o.rounds):
            for turn in range(len(o.trees)):
                tree = o.trees[(number + turn) % len(o.trees)]
                run = measure(server, tree.absolute(), tasks=o.tasks, slots=o.slots, processes=o.processes)
                found[tree].append(run)
                print(f"{number + 1:3} {line(tree, *run)}", flush=True)
    print(f"\nmedian of {o.rounds} rounds, {o.processes} process(es) of {o.slots} slots, tasks that end {o.ends}")
    for tree, runs in found.items():
        rates, *costs = zip(*runs, strict=True)
        least = " and ".join(f"{min(each):.1f}" for each in costs)
        print(f"    {line(tree, statistics.median(rates), *map(statistics.median, costs))}; least {least}")


if __name__ == "__main__":
    main()
