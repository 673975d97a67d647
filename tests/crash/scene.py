"""A scenario: a store, a ledger, producers and workers, and in the end the checker's word."""

import itertools
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import redis

from rota.app import Rota
from rota.tasks.job import Plan
from tests.crash import keyspace
from tests.crash.checker import Verdict, check
from tests.crash.go_workers import GoWorkers
from tests.crash.ledger import Ledger, Run
from tests.crash.probe import Probe
from tests.crash.producer import accept
from tests.crash.workers import ROOT, Workers
from tests.servers.process import Server, Store, wait_until

PATIENCE_SECONDS = 60.0
"""So long a machine may take for what takes a moment."""
MOST_BYTES_LEFT = 16 * 1024
"""Counters, lists of servers and queues."""
LARGEST_SHOWN = 8
KEPT = re.compile(
    r"asynq:(servers|workers|\{[^}]*\}:(t:|archived$|completed$))"
    r"|rota:(about:|\{asynq:servers\}:types|\{[^}]*\}:minute:)"
)
"""Records of servers, gone ten seconds after their last beat; the lists of servers, which keep a dead one for an hour
(`listed.lua`), and a soak kills hundreds; counts by the minute, whose names are bounded; and tasks that are kept, which
the checker has seen."""
WAITING = ("pending", "scheduled", "retry", "active")


class Scene:
    """Everything that one scenario needs. `title` names it in the report."""

    def __init__(self, title: str, folder: Path, store: Store) -> None:
        self.title = title
        self.folder = folder
        self.store = store
        self.url = store.url
        self.queues = ["default"]
        """Tasks are spread over them, and all workers serve them."""
        self.ledger = Ledger(folder / "ledger")
        self.note = self.ledger.writer()
        self.app = Rota(self.url, settings={"response_timeout": "5s", "retry_for": "20s"})
        self.workers: list[Workers] = []
        self.go: list[GoWorkers] = []
        self.producers: list[subprocess.Popen[bytes]] = []
        self._probes: dict[str, Probe] = {}
        self._numbers = itertools.count()
        self._gates = itertools.count()
        self._began = time.monotonic()

    # Acting

    def client(self) -> redis.Redis:
        """A plain client, past everything that a scenario does to connections."""
        return self.store.client()

    @property
    def server(self) -> Server:
        """The one server, where a scenario has no more."""
        assert isinstance(self.store, Server)
        return self.store

    def enqueue(self, count: int = 1, type: str = "crash:loop", *, options: Any = None, **order: Any) -> list[str]:
        """Enqueue tasks with IDs of our own; return these."""
        plans = [
            self.app.plan(type, order, **{"task_id": f"t{next(self._numbers)}", "queue": queue, **(options or {})})
            for queue in itertools.islice(itertools.cycle(self.queues), count)
        ]
        return self.send(plans)

    def send(self, plans: list[Plan[Any]]) -> list[str]:
        """Enqueue plans that have IDs; return these."""
        ids = [plan.options.task_id or "" for plan in plans]
        for start in range(0, len(plans), 500):
            some = plans[start : start + 500]
            assert accept(self.app, self.note, some) == len(some)
        return ids

    def start(self, url: str | None = None, *, settings: Mapping[str, str] | None = None, **words: Any) -> Workers:
        """Start workers; `ready` waits for them."""
        said = {"queues": ",".join(f"{queue}=1" for queue in self.queues), **(settings or {})}
        if (broker_url := url or self.url) not in self._probes:
            self._probes[broker_url] = Probe(broker_url, lambda: self.queues, self.note)
        workers = Workers(broker_url, self.ledger, self.note, settings=said, **words)
        self.workers.append(workers)
        return workers

    def start_go(self, **config: Any) -> GoWorkers:
        """Start a Go server, which asks often. It is ready."""
        go = GoWorkers(self.url, self.ledger, self.note, **{"task_check_ms": 50, "delayed_check_ms": 100, **config})
        self.go.append(go)
        return go

    def produce(self, pause: float, seed: object, program: str = "tests.crash.producer") -> subprocess.Popen[bytes]:
        """Let a producer process enqueue tasks of all kinds until it is terminated."""
        words = [self.url, str(self.ledger.folder), "100000000", str(pause), str(seed)]
        producer = subprocess.Popen([sys.executable, "-m", program, *words], cwd=ROOT)
        self.producers.append(producer)
        return producer

    def gate(self) -> Path:
        """What runs wait at that are ordered `gate=...`: they go on once the file is made."""
        return self.folder / f"gate-{next(self._gates)}"

    def fault(self, point: str, act: str) -> tuple[str, Path]:
        """What arms a fault, and its mark."""
        mark = self.folder / f"{point.replace(':', '-')}.{act}"
        return f"{point}={act}:{mark}", mark

    def note_mark(self, mark: Path) -> tuple[int, float]:
        """Wait until a fault has happened, and write the death that it was down."""
        wait_until(lambda: mark.exists() and " " in mark.read_text(), PATIENCE_SECONDS)
        pid, at = mark.read_text().split()
        if mark.suffix == ".kill":
            self.note("death", pid=int(pid), at=float(at))
        return int(pid), float(at)

    def silence(self, seconds: float) -> None:
        """Stop the server for so long, with all its connections open."""
        self.server.freeze()
        time.sleep(seconds)
        self.server.thaw()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Excuse all workers who take nothing: a part of the store does not do what it is asked."""
        self.note("away", url="", silent=True)
        try:
            yield
        finally:
            self.note("back", url="")

    # Waiting

    def repair(self) -> str:
        """Run `rota doctor --repair` on the whole server; return what it says."""
        command = [sys.executable, "-m", "rota.cli", "doctor", "--repair", "--yes", "--url", self.url]
        return subprocess.run(command, capture_output=True, text=True, timeout=60).stderr

    def runs(self) -> list[Run]:
        return self.ledger.read().runs

    def running(self, count: int, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until so many runs have begun and not ended."""
        self.until(lambda: sum(not run.end for run in self.runs()) >= count, seconds)

    def ended(self, count: int, seconds: float = PATIENCE_SECONDS, how: str = "ok") -> None:
        """Wait until so many runs have ended in this way."""
        self.until(lambda: sum(run.end == how for run in self.runs()) >= count, seconds)

    def until(self, condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
        try:
            wait_until(condition, seconds)
        except TimeoutError as error:
            logs = "\n".join(f"--- {each.log.name}\n{each.log.read_text()[-3000:]}" for each in self.workers)
            raise AssertionError(f"{error}; {self.waiting()}\n{logs}") from None

    def waiting(self) -> dict[str, int]:
        """How many tasks are where, in all queues."""
        found = dict.fromkeys(WAITING, 0)
        with self.client() as client:
            for queue in client.smembers("asynq:queues"):
                # All at once: a task that moves from place to place is not to be missed.
                with client.pipeline(transaction=True) as pipe:
                    for name in WAITING:
                        key = f"asynq:{{{queue}}}:{name}"
                        _ = pipe.llen(key) if name in ("pending", "active") else pipe.zcard(key)
                    for name, size in zip(WAITING, pipe.execute(), strict=True):
                        found[name] += size
        return found

    def drained(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until nothing waits and nothing runs."""
        self.until(lambda: not any(self.waiting().values()), seconds)

    def restarts(self, since: float) -> list[float]:
        """Seconds from a death to the start of each run that was not the first of its task."""
        known = set[str]()
        again = list[float]()
        for run in sorted(self.runs(), key=lambda run: run.start):
            if run.task in known:
                again.append(run.start - since)
            known.add(run.task)
        return again

    def crashes(self) -> tuple[int, int]:
        """How often a task took its worker down, and how often one failed."""
        with self.client() as client:
            return int(client.get("rota:{default}:crashed") or 0), int(client.get("asynq:{default}:failed") or 0)

    # Judging

    def verdict(self, *, counters: bool = True, memory: bool = True) -> Verdict:
        """Stop the workers, check, print the line, and fail if anything is wrong."""
        for workers in self.workers:
            workers.terminate()
        for go in self.go:
            go.stop()
        for workers in self.workers:
            workers.process.wait(30)
        self._end_probes()
        with self.store.client(decode_responses=False) as client:
            verdict = check(self.ledger.read(), keyspace.read(client), counters=counters)
        if memory and not verdict.queued:
            sizes = self._sizes_of_keys()
            left = sum(sizes.values())
            if left > MOST_BYTES_LEFT:
                largest = sizes.most_common(LARGEST_SHOWN)
                verdict.faults.append(f"{left} bytes of memory are left over in {len(sizes)} keys, such as {largest}")
        line = verdict.line(self.title, time.monotonic() - self._began)
        REPORT.append(line)
        print(line)  # noqa: T201
        logs = "\n".join(f"--- {each.log.name}\n{each.log.read_text()[-4000:]}" for each in self.workers)
        assert verdict.faults == [], f"{line}\n{verdict.faults[:20]}\n{logs}"
        return verdict

    def _end_probes(self) -> None:
        while self._probes:
            self._probes.popitem()[1].close()

    def close(self) -> None:
        """End what still runs."""
        self._end_probes()
        for process in (*self.producers, *(go.process for go in self.go)):
            process.kill()
            process.wait()
        for workers in self.workers:
            with suppress(ProcessLookupError):
                for pid in [*workers.children(), workers.pid]:
                    if workers.process.poll() is None or pid != workers.pid:
                        workers.send(signal.SIGKILL, pid)
            workers.process.wait()
        self.app.close()
        self.note.close()

    def _sizes_of_keys(self) -> Counter[str]:
        with self.client() as client:
            keys = [key for key in client.scan_iter(count=1000) if not KEPT.match(key)]
            return Counter({key: client.memory_usage(key) or 0 for key in keys})


REPORT: list[str] = []
"""The lines of this test run."""
