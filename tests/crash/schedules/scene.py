"""A run of schedulers under faults, from the first schedule to the verdict.

1. Start the servers and the schedulers, make the schedules, and wait until one leads.
2. Draw an act every few seconds: a kill, a freeze, an edit, and on several servers the death of a master.
3. Thaw everything, wait until the times up to now are decided, and hold all schedules.
4. Wait until the records of the runs are in the store, stop the schedulers, and check.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import redis

from tests.crash.schedules.checker import Evidence, Span, Verdict, check
from tests.crash.schedules.collector import Collector, look
from tests.crash.schedules.crops import Crops
from tests.crash.schedules.store_reads import stored_runs
from tests.crash.schedules.stores import Stage
from tests.crash.workers import ROOT

SCHEDULERS = 3
QUEUES = 20
FREEZE_SECONDS = (0.5, 7.0)
OF_THE_LEADER = 0.6
"""How often a kill or a freeze hits the scheduler that leads."""
ROWS_REST_SECONDS = 12.0
"""A row of skips is recorded to its end when it has not grown for ten seconds."""
PATIENCE_SECONDS = 300.0
LEADER = "rota:scheduler:{scheduler}:leader"
SHARDS = range(16)


@dataclass(frozen=True, slots=True)
class Order:
    """What to play."""

    seed: int
    seconds: float = 300.0
    schedules: int = 1000
    every: float = 5.0
    """Seconds between two acts, on average."""
    acts: Sequence[str] = ("kill", "freeze", "edit")
    on: str = "standalone"
    missed: str = "mixed"
    each: int = 1
    """Seconds between two times of one schedule, before it is edited."""


class ScheduleScene:
    """Everything of one run."""

    def __init__(self, order: Order, stage: Stage) -> None:
        self.order = order
        self.folder = Path(tempfile.mkdtemp(prefix="rota-schedules-"))
        self.done: Counter[str] = Counter()
        self._chance = random.Random(order.seed)
        self._stage = stage
        self._file = self.folder / "rota.db"
        self._crops = Crops(self._file, self._chance, QUEUES, missed=order.missed, each=order.each)
        self._client: redis.Redis = stage.store.client(decode_responses=False)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._frozen: set[subprocess.Popen[bytes]] = set()
        self._freezes: list[Span] = []
        self._failovers: list[Span] = []
        self._acts: dict[str, Callable[[], None]] = {
            "kill": self._kill,
            "freeze": self._freeze,
            "edit": self._edit,
            "fail-over": self._fail_over,
        }

    def close(self) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()
        self._crops.close()
        self._client.close()

    def run(self) -> Verdict:
        """Play, and judge."""
        for _ in range(SCHEDULERS):
            self._start()
        self._until(lambda: self._leader() is not None, "a scheduler leads")
        # Where a fail-over brings back tasks that were taken, the tasks have to stay.
        collector = None if "fail-over" in self.order.acts else Collector(self._client, self._crops.queues)
        self._crops.make(self.order.schedules)
        ends = time.monotonic() + self.order.seconds
        while time.monotonic() < ends:
            self._pass(min(self._chance.uniform(0.5, 1.5) * self.order.every, ends - time.monotonic()))
            if time.monotonic() < ends:
                act = self._chance.choice(list(self.order.acts))
                self.done[act] += 1
                self._acts[act]()
        return self._judge(collector)

    def _judge(self, collector: Collector | None) -> Verdict:
        while self._frozen:
            time.sleep(0.05)
        until = float(int(time.time()))
        self._until(lambda: self._is_decided(int(until)), "all times are decided")
        self._crops.hold()
        self._pass(ROWS_REST_SECONDS)
        self._until(self._is_recorded, "all runs are recorded")
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(PATIENCE_SECONDS)
        tasks = list(look(self._client, self._crops.queues)) if collector is None else collector.finish()
        evidence = Evidence(
            schedules=list(self._crops.written.values()),
            tasks=tasks,
            runs=list(stored_runs(self._file)),
            until=until,
            freezes=self._freezes,
            failovers=self._failovers,
        )
        verdict = check(evidence)
        if verdict.faults:
            (self.folder / "evidence.json").write_text(json.dumps(asdict(evidence)))
            (self.folder / "faults.txt").write_text("\n".join(verdict.faults))
        return verdict

    def _start(self) -> None:
        words = ["scheduler", "--url", self._stage.store.url, "--store", f"sqlite:///{self._file}"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ROTA_")}
        with (self.folder / f"scheduler-{time.monotonic_ns()}.txt").open("wb") as log:
            self._processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "rota.cli", *words],
                    cwd=self.folder,
                    env={**environment, "PYTHONPATH": str(ROOT)},
                    stdout=log,
                    stderr=log,
                )
            )

    def _leader(self) -> subprocess.Popen[bytes] | None:
        """The process that has the lease."""
        with suppress(redis.RedisError):
            name = (self._client.get(LEADER) or b"").decode()
            return next((each for each in self._processes if f":{each.pid}:" in name), None)
        return None

    def _victim(self) -> subprocess.Popen[bytes] | None:
        able = [each for each in self._processes if each not in self._frozen]
        leader = self._leader()
        if leader in able and self._chance.random() < OF_THE_LEADER:
            return leader
        return self._chance.choice(able) if able else None

    def _kill(self) -> None:
        if (victim := self._victim()) is not None:
            victim.kill()
            victim.wait()
            self._processes.remove(victim)
            self._start()

    def _freeze(self) -> None:
        if (victim := self._victim()) is not None:
            self._frozen.add(victim)
            since = time.time()
            victim.send_signal(signal.SIGSTOP)
            # In a thread of its own, because an edit waits for a frozen scheduler that holds the lock of the store.
            thaw = threading.Timer(self._chance.uniform(*FREEZE_SECONDS), self._thaw, (victim, since))
            thaw.daemon = True
            thaw.start()

    def _thaw(self, process: subprocess.Popen[bytes], since: float) -> None:
        process.send_signal(signal.SIGCONT)
        self._freezes.append(Span(since, time.time()))
        self._frozen.discard(process)

    def _edit(self) -> None:
        self.done["schedules edited"] += self._crops.edit(max(2, self.order.schedules // 20))

    def _fail_over(self) -> None:
        since = time.time()
        self._stage.fail_over(self._chance)
        self._failovers.append(Span(since, time.time()))

    def _pass(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(max(0.0, seconds))

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            with suppress(redis.RedisError):
                if condition():
                    return
            assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS:.0f} s: {what}; logs in {self.folder}"
            self._pass(0.1)

    def _is_decided(self, until: int) -> bool:
        """Whether the schedulers have stored that all times up to a second are decided."""
        last: dict[bytes, bytes] = {}
        for shard in SHARDS:
            last |= self._client.hgetall(f"rota:scheduler:{{{shard}}}:last")
        return all(
            int(last.get(each.id.encode(), b"0").split()[0]) >= 1000 * (each.last_planned(until) or 0)
            for each in self._crops.written.values()
        )

    def _is_recorded(self) -> bool:
        keys = [f"rota:scheduler:{{{shard}}}:{what}" for shard in SHARDS for what in ("claims", "outbox")]
        return not any(self._client.exists(key) for key in keys)


def played(order: Order, stage: Stage, tell: Callable[[str], object] = print) -> Verdict:
    """Play one run; if it fails, its seed and its folder are named."""
    scene = ScheduleScene(order, stage)
    try:
        verdict = scene.run()
        acts = ", ".join(f"{count} x {name}" for name, count in scene.done.items())
        tell(f"{'FAIL' if verdict.faults else 'ok'} seed {order.seed} on {order.on}: {acts}: {verdict.line()}")
        if verdict.faults:
            tell(f"the evidence is in {scene.folder}")
        return verdict
    except BaseException:
        tell(f"FAIL seed {order.seed} on {order.on}; the logs are in {scene.folder}")
        raise
    finally:
        scene.close()
