"""Measures each scheduler from outside: how many tasks are in its queue, looked at each millisecond.

A task counts as late by the time after the whole second at which it was due. Celery's and Taskiq's intervals begin at
their start and not at a whole second, so theirs count from the first task on, and show how far they drift.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.install import ENVIRONMENT
from benchmarks.process import ROOT
from benchmarks.schedules.own import Lateness, cpu_seconds, resident_mb
from benchmarks.server import Server
from interop.build import binaries

EACH = 100
LOOK_SECONDS = 0.001
START_SECONDS = 20.0
GIVE_UP_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Peer:
    """One scheduler. `whole_seconds` is whether an entry of each second fires at the whole second."""

    label: str
    queue: str
    command: Callable[[str, str, int, float], Sequence[str]]
    whole_seconds: bool = True
    whole_minutes: bool = False
    """Whether an entry for one moment can only name a minute."""


@dataclass(slots=True)
class PeerResult:
    """The measurement of one peer, or the reason why there is none."""

    label: str
    lateness: Lateness | None = None
    expected: int = 0
    bursts: dict[int, tuple[int, float]] = field(default_factory=dict[int, tuple[int, float]])
    """By the number of entries that were due: how many came, and the seconds until the last one."""
    idle: tuple[float, float] | None = None
    problem: str = ""

    def __str__(self) -> str:
        late = "" if self.lateness is None else self.lateness.row()
        return f"{late} bursts {self.bursts} idle {self.idle} {self.problem}"


def _program(name: str, interpreter: str) -> Callable[[str, str, int, float], Sequence[str]]:
    module = f"benchmarks.schedules.programs.{name}"
    return lambda url, how, count, moment: [interpreter, "-m", module, url, how, str(count), str(moment)]


def _asynq(url: str, how: str, count: int, moment: float) -> Sequence[str]:
    at = time.gmtime(moment)
    spec = {"each": "@every 1s", "once": f"{at.tm_min} {at.tm_hour} * * *", "idle": "@yearly"}[how]
    return [str(binaries() / "scheduler"), "-redis", url, "-spec", spec, "-entries", str(count)]


_PEERS_PYTHON = str(ENVIRONMENT / "bin" / "python")
PEERS = {
    "rota": Peer("Rota", "asynq:{default}:pending", _program("rota", sys.executable)),
    "go": Peer("Asynq", "asynq:{low}:pending", _asynq, whole_minutes=True),
    "celery": Peer("Celery beat", "celery", _program("celery", _PEERS_PYTHON), False, whole_minutes=True),
    "apscheduler": Peer("APScheduler 3", "apscheduler", _program("apscheduler", _PEERS_PYTHON)),
    "taskiq": Peer("Taskiq", "taskiq", _program("taskiq", _PEERS_PYTHON), False),
}


def measured(name: str, seconds: float, bursts: Sequence[int], idle: int) -> PeerResult:
    """Measure one scheduler."""
    peer = PEERS[name]
    result = PeerResult(peer.label)
    try:
        result.lateness = _lateness(peer, seconds)
        result.expected = round(seconds) * EACH
        for count in bursts:
            result.bursts[count] = _burst(peer, count)
        result.idle = _resting(peer, idle, seconds)
    except (OSError, TimeoutError, RuntimeError) as error:
        result.problem = str(error)
    return result


@contextlib.contextmanager
def _running(peer: Peer, server: Server, how: str, count: int, moment: float = 0) -> Iterator[int]:
    command = peer.command(f"redis://{server.address}/0", how, count, moment)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TZ": "UTC"}
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=errors, stdin=subprocess.PIPE
        )
        try:
            yield process.pid
            if process.poll() is not None:
                errors.seek(0)
                said = [line.strip() for line in errors if line.strip()] or [""]
                raise RuntimeError(f"its program ended with {process.returncode}: {said[-1]}")
        finally:
            process.kill()
            process.wait()


def _arrivals(client: Any, queue: str, until: Callable[[int], bool]) -> list[float]:
    """The time at which each task was first seen, on the wall clock."""
    found: list[float] = []
    before = client.llen(queue)
    while not until(len(found)):
        now, length = time.time(), client.llen(queue)
        found += [now] * (length - before)
        before = length
        time.sleep(LOOK_SECONDS)
    return found


def _lateness(peer: Peer, seconds: float) -> Lateness:
    with Server("redis") as server, server.connect() as client, _running(peer, server, "each", EACH):
        deadline = time.monotonic() + START_SECONDS
        while client.llen(peer.queue) < 3 * EACH:
            if time.monotonic() > deadline:
                raise TimeoutError(f"fewer than {3 * EACH} tasks within {START_SECONDS:.0f} s")
            time.sleep(0.01)
        time.sleep(1.5 - time.time() % 1)  # between two whole seconds
        ends = time.monotonic() + seconds
        found = _arrivals(client, peer.queue, lambda count: time.monotonic() >= ends)
    return Lateness(peer.label, sorted(_late_ms(found, whole_seconds=peer.whole_seconds)))


def _late_ms(found: Sequence[float], *, whole_seconds: bool) -> Iterator[float]:
    if whole_seconds:
        yield from (at % 1 * 1000 for at in found)
        return
    for number, at in enumerate(found):
        yield (at - found[0] - number // EACH) * 1000


def _burst(peer: Peer, count: int) -> tuple[int, float]:
    moment = int(time.time() + 10 + count / 500)
    if peer.whole_minutes:
        moment += -moment % 60
    with Server("redis") as server, server.connect() as client, _running(peer, server, "once", count, moment):
        while time.time() < moment - 0.5:
            time.sleep(0.01)
        last = [time.monotonic() + 0.5, 0.0]

        def over(seen: int) -> bool:
            now = time.monotonic()
            if seen != last[1]:
                last[:] = [now, float(seen)]
            return seen >= count or now - last[0] > (5 if seen else GIVE_UP_SECONDS)

        found = _arrivals(client, peer.queue, over)
    return len(found), found[-1] - moment if found else float("nan")


def _resting(peer: Peer, count: int, seconds: float) -> tuple[float, float]:
    with Server("redis") as server, _running(peer, server, "idle", count) as pid:
        time.sleep(START_SECONDS)
        before, began = cpu_seconds(pid), time.monotonic()
        time.sleep(seconds)
        return (cpu_seconds(pid) - before) / (time.monotonic() - began), resident_mb(pid)
