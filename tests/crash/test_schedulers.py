"""Schedulers that are killed and frozen at each step, and at random: each planned time is enqueued once."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from rota.core.faults import VARIABLE
from tests.crash.fault_points import all_points, points
from tests.crash.workers import ROOT

pytestmark = pytest.mark.slow

STEPS = sorted(point for point, _ in points(of_scheduler=True))
AT_ONCE = 4
PATIENCE_SECONDS = 60.0


class Installation:
    """Schedulers with the same schedules, under a prefix of their own, and the tasks that they enqueue."""

    def __init__(self, url: str, prefix: str, schedules: int) -> None:
        self.url, self.prefix, self.schedules = url, prefix, schedules
        self.client = redis.Redis.from_url(url, decode_responses=True)
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, faults: str = "") -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", "tests.crash.scheduler_program", self.url, self.prefix, str(self.schedules)]
        started = subprocess.Popen(words, cwd=ROOT, env={**os.environ, VARIABLE: faults})
        self.processes.append(started)
        return started

    def times(self) -> dict[str, list[int]]:
        """The planned times of the tasks of each schedule, in seconds."""
        found: dict[str, list[int]] = {}
        for task_id in self.client.lrange(f"{self.prefix}:{{default}}:pending", 0, -1):
            name, _, milliseconds = task_id.rpartition("-")
            found.setdefault(name, []).append(int(milliseconds) // 1000)
        return {name: sorted(times) for name, times in found.items()}

    def until(self, count: int) -> None:
        """Wait until each schedule has so many tasks."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (found := self.times()) is not None:
            if len(found) == self.schedules and min(map(len, found.values())) >= count:
                return
            assert time.monotonic() < deadline, found
            time.sleep(0.05)

    def fewest(self) -> int:
        found = self.times()
        return min(map(len, found.values())) if len(found) == self.schedules else 0

    def verdict(self) -> None:
        """Each planned time from the first to the last one was enqueued once."""
        for name, times in self.times().items():
            doubled = [each for each, number in Counter(times).items() if number > 1]
            missing = sorted(set(range(times[0], times[-1] + 1)) - set(times))
            assert (name, doubled, missing) == (name, [], [])

    def stop(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()
        self.client.close()


@contextmanager
def installation(url: str, prefix: str, schedules: int) -> Iterator[Installation]:
    made = Installation(url, prefix, schedules)
    try:
        yield made
    finally:
        made.stop()


def until_marked(mark: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not mark.exists():
        assert time.monotonic() < deadline, f"{mark} was not reached"
        time.sleep(0.01)


def killed_at(url: str, point: str, folder: Path) -> None:
    mark = folder / f"kill-{point.replace(':', '-')}"
    with installation(url, f"kill-{point}", 3) as schedulers:
        schedulers.start(f"{point}=kill:{mark}").wait(PATIENCE_SECONDS)
        schedulers.start()
        schedulers.until(3)
        schedulers.verdict()


def frozen_at(url: str, point: str, folder: Path) -> None:
    """The leader freezes; another one leads meanwhile, and its tasks end and are gone before the first one thaws."""
    mark = folder / f"freeze-{point.replace(':', '-')}"
    with installation(url, f"freeze-{point}", 3) as schedulers:
        frozen = schedulers.start(f"{point}=freeze:{mark}")
        until_marked(mark)
        schedulers.start()
        schedulers.until(3)
        frozen.send_signal(signal.SIGCONT)
        schedulers.until(schedulers.fewest() + 2)
        schedulers.verdict()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("act", [killed_at, frozen_at])
def test_step_at_which_a_leader_dies_or_freezes_does_not_matter(redis_url: str, tmp_path: Path, act: object) -> None:
    # Nearly all of their time is waiting, so they wait together.
    with ThreadPoolExecutor(AT_ONCE) as pool:
        played = {point: pool.submit(act, redis_url, point, tmp_path) for point in STEPS}  # type: ignore[arg-type]
    assert {point: error for point, future in played.items() if (error := future.exception()) is not None} == {}


@pytest.mark.timeout(240)
def test_each_planned_time_is_enqueued_once_by_schedulers_that_die_and_freeze_at_random(redis_url: str) -> None:
    chance = random.Random(10)
    with installation(redis_url, "chaos", 40) as schedulers:
        for _ in range(3):
            schedulers.start()
        schedulers.until(2)
        ends = time.monotonic() + 50
        while time.monotonic() < ends:
            victim = chance.choice(schedulers.processes)
            if chance.random() < 0.5:
                victim.kill()
                victim.wait()
                schedulers.processes.remove(victim)
                schedulers.start()
            else:
                victim.send_signal(signal.SIGSTOP)
                time.sleep(chance.uniform(0.5, 6.5))
                victim.send_signal(signal.SIGCONT)
            time.sleep(chance.uniform(0.2, 2.0))
        schedulers.until(schedulers.fewest() + 2)
        schedulers.verdict()


def test_every_point_of_a_scheduler_is_in_the_docs() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text()
    assert [point for point in STEPS if f"`{point}`" not in text] == []
    assert len(STEPS) < len({point for point, _ in all_points()})
