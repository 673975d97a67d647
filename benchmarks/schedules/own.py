"""Measures Rota's scheduler. The lateness of a run is the time from its planned time to the enqueue of its task."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.process import ROOT
from benchmarks.server import Server

TICKS = os.sysconf("SC_CLK_TCK")
PENDING = "asynq:{default}:pending"
LEADER = "rota:scheduler:{scheduler}:leader"
FOREIGN_KEYS = 600_000
WITHIN_MS = 50
PATIENCE_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Lateness:
    """The lateness of many runs, in milliseconds, in rising order."""

    label: str
    values: Sequence[float]

    def quantile(self, share: float) -> float:
        return self.values[min(int(len(self.values) * share), len(self.values) - 1)]

    def row(self) -> str:
        within = 100 * sum(value <= WITHIN_MS for value in self.values) / len(self.values)
        return (
            f"| {self.label} | {len(self.values)} | {self.quantile(0.5):.1f} | {self.quantile(0.99):.1f} | "
            f"{self.quantile(0.999):.1f} | {self.values[-1]:.1f} | {within:.2f} % |"
        )


@contextlib.contextmanager
def scheduler(url: str, how: str, count: int, moment: float = 0, store: str = "") -> Iterator[int]:
    """Run Rota's program of `programs/`, and give its process ID."""
    words = [sys.executable, "-m", "benchmarks.schedules.programs.rota", url, how, str(count), str(moment)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **({"BENCH_STORE": store} if store else {})}
    process = subprocess.Popen(words, cwd=ROOT, env=environment)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def enqueued(client: Any) -> dict[str, float]:
    """The time at which each pending task was enqueued, in seconds."""
    ids = [id.decode() for id in client.lrange(PENDING, 0, -1)]
    pipeline = client.pipeline(transaction=False)
    for id in ids:
        pipeline.hget(f"asynq:{{default}}:t:{id}", "pending_since")
    return {id: int(since) / 1e9 for id, since in zip(ids, pipeline.execute(), strict=True)}


def late(found: dict[str, float]) -> list[float]:
    """The lateness of each run, in milliseconds, in rising order."""
    return sorted((at - int(id.rpartition("-")[2]) / 1000) * 1000 for id, at in found.items())


def until(client: Any, count: int) -> None:
    """Wait until the queue has this many tasks."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while client.llen(PENDING) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the scheduler has not enqueued {count} tasks within {PATIENCE_SECONDS:.0f} s")
        time.sleep(0.02)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def lateness(
    seconds: float, how: str, label: str, *, foreign_keys: int = 0, idle: int = 0, store: str = ""
) -> Lateness:
    """100 schedules that fire each second, perhaps beside many foreign keys and idle schedules, or with a store."""
    with Server("redis") as server, server.connect() as client:
        for start in range(0, foreign_keys, 1000):
            client.mset({f"foreign:{number}": b"x" * 20 for number in range(start, start + 1000)})
        with scheduler(f"redis://{server.address}/0", how, 100, idle, store):
            until(client, 300)
            client.delete(PENDING)
            time.sleep(seconds)
            return Lateness(label, late(enqueued(client)))


def burst(count: int) -> tuple[float, float]:
    """Many schedules that are due at one moment: the seconds until half of them, and all, are enqueued."""
    with Server("redis") as server:
        moment = int(time.time()) + 8 + count / 2000
        with scheduler(f"redis://{server.address}/0", "once", count, moment), server.connect() as client:
            until(client, count)
            found = late(enqueued(client))
    return found[count // 2] / 1000, found[-1] / 1000


def resting(count: int, seconds: float) -> tuple[float, float]:
    """Many schedules of which none is due: the share of a core, and the resident memory in MB."""
    with Server("redis") as server, scheduler(f"redis://{server.address}/0", "idle", count) as pid:
        with server.connect() as client:
            while client.hlen("rota:scheduler:{15}:last") == 0:
                time.sleep(0.1)
        time.sleep(15)
        before, began = cpu_seconds(pid), time.monotonic()
        time.sleep(seconds)
        return (cpu_seconds(pid) - before) / (time.monotonic() - began), resident_mb(pid)


def takeovers(times: int) -> list[float]:
    """Kill the scheduler that leads, of three: the seconds until another one has enqueued a task."""
    found: list[float] = []
    with Server("redis") as server, server.connect() as client, contextlib.ExitStack() as stack:
        url = f"redis://{server.address}/0"
        for _ in range(3):
            stack.enter_context(scheduler(url, "spread", 100))
        until(client, 100)
        for _ in range(times):
            pid = int((client.get(LEADER) or b"").split(b":")[-2])
            os.kill(pid, signal.SIGKILL)
            killed_at = time.monotonic()
            time.sleep(0.1)  # what was under way to the server has arrived
            until(client, client.llen(PENDING) + 1)
            found.append(time.monotonic() - killed_at)
            stack.enter_context(scheduler(url, "spread", 100))
            until(client, client.llen(PENDING) + 200)
    return sorted(found)
