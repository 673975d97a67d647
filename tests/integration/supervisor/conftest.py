"""`rota worker` as a program of its own, on a fresh database, and what its tasks said."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from rota.app import Rota
from tests.servers.clients import client
from tests.servers.process import START_SECONDS, wait_until
from tests.whole_lines import whole_lines

ROOT = Path(__file__).parents[3]
WORKER = (sys.executable, "-m", "rota.cli", "worker", "tests.integration.supervisor.shift:app")
QUICK = {
    "heartbeat": "500ms",
    "lease": "5s",
    "lease_slack": "1s",
    "sweep_interval": "500ms",
    "shutdown_timeout": "2s",
}


@pytest.fixture(autouse=True)
def level_of_rota() -> Iterator[None]:
    """Reset the level of the log, which a supervisor sets: some run in the process of their test."""
    rota = logging.getLogger("rota")
    before = rota.level
    yield
    rota.setLevel(before)


class Event(NamedTuple):
    kind: str
    id: str
    pid: int
    at: float


class Shift:
    """One supervisor with its worker processes."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.redis = client(url, decode_responses=True)
        self.app = Rota(url)
        self.log = folder / "log"
        self.notes = folder / "events"
        self.notes.touch()
        self.launcher: tuple[str, ...] = ()
        """A command that starts ours, with what it inherits from there."""
        self.process: subprocess.Popen[bytes]

    def start(self, *words: str, **settings: object) -> "Shift":
        said = [word for name, value in {**QUICK, **settings}.items() for word in ("--set", f"{name}={value}")]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.launcher, *WORKER, *said, *words],
                cwd=ROOT,
                env={**os.environ, "ROTA_URL": self.url, "SHIFT_EVENTS": str(self.notes)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def ready(self, count: int = 1) -> "Shift":
        """Wait until so many workers have said that they are."""
        self.says("is ready", count)
        return self

    def says(self, words: str, count: int = 1) -> None:
        wait_until(lambda: self.log.read_text().count(words) >= count)

    def enqueue(self, kind: str, count: int = 1, **arguments: object) -> list[str]:
        plans = [self.app.plan(f"shift:{kind}", arguments, max_retry=0) for _ in range(count)]
        return [job.id for job in self.app.enqueue_many_sync(plans)]  # type: ignore[union-attr]

    def events(self, kind: str = "") -> list[Event]:
        rows = [line.split() for line in whole_lines(self.notes)]
        found = [Event(kind, task_id, int(pid), float(at)) for kind, task_id, pid, at in rows]
        return [event for event in found if event.kind.startswith(kind)]

    def wait_for(self, kind: str, count: int, seconds: float = START_SECONDS) -> list[Event]:
        wait_until(lambda: len(self.events(kind)) >= count, seconds)
        return self.events(kind)

    def busiest(self) -> int:
        return Counter(event.pid for event in self.events("start")).most_common(1)[0][0]

    def field(self, task_id: str, name: str) -> str | None:
        return self.redis.hget(f"asynq:{{default}}:t:{task_id}", name)

    def children(self) -> list[int]:
        return children(self.process.pid)

    def grandchildren(self) -> list[int]:
        return [pid for child in self.children() for pid in children(child)]

    def size(self, place: str) -> int:
        key = f"asynq:{{default}}:{place}"
        return self.redis.llen(key) if place in ("pending", "active") else self.redis.zcard(key)

    def stand_still(self, seconds: float) -> None:
        """Freeze the whole machine for so long."""
        pids = [*self.children(), self.process.pid]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self, seconds: float = 20) -> int:
        self.send(signal.SIGTERM)
        return self.process.wait(seconds)

    def close(self) -> None:
        if self.process.poll() is None:
            self.send(signal.SIGTERM)
            self.send(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.app.close()
        self.redis.close()


@pytest.fixture
def shift(redis_url: str, tmp_path: Path) -> Iterator[Shift]:
    shift = Shift(redis_url, tmp_path)
    yield shift
    shift.close()
    sys.stdout.write(shift.log.read_text())


def children(pid: int) -> list[int]:
    # By the thread that started them, which need not be the first one.
    return [int(word) for path in Path(f"/proc/{pid}/task").glob("*/children") for word in path.read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False
