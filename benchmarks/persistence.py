"""What a crash of Redis costs in accepted tasks, by its persistence, and by whether the producer waits for a replica.

python -m benchmarks.persistence [--rounds 3] [--seed 1]

A producer enqueues at full speed and notes each task whose enqueue has returned. Redis is killed (SIGKILL) at a random
moment and started again from its files; in the second table its replica takes over instead, which was frozen a moment
before. Counted is what was acknowledged and is not there.

SIGKILL ends the process and leaves what it has given to the kernel: to the page cache, and to the sockets of replicas.
A power cut or a kernel crash loses that too. No program can measure that here; the column "in the last second" says how
much it could be with `everysec`.
"""

import argparse
import asyncio
import contextlib
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

import redis
import uvloop

from rota.broker import Broker, BrokerOptions
from rota.client import Client
from rota.errors import BrokerError, NotReplicated
from rota.tasks.job import Plan

MODES = {
    "nothing": ("--save", "", "--appendonly", "no"),
    "RDB, Redis's own rule (a minute at best)": ("--save", "3600 1 300 100 60 10000", "--appendonly", "no"),
    "RDB, every second": ("--save", "1 1", "--appendonly", "no"),
    "AOF, everysec": ("--save", "", "--appendonly", "yes", "--appendfsync", "everysec"),
    "AOF, always": ("--save", "", "--appendonly", "yes", "--appendfsync", "always"),
}
PRODUCERS = 50
HASTY = BrokerOptions(retry_for=timedelta(0), response_timeout=timedelta(seconds=5))
SHORTEST_S, LONGEST_S = 2.0, 4.0


class Server:
    """A redis-server in a folder of its own, which can be killed and started again."""

    def __init__(self, *words: str) -> None:
        self._folder = tempfile.mkdtemp(prefix="bench-")
        self._socket = f"{self._folder}/redis.sock"
        self._words = words
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{self._socket}"

    def start(self, port: int = 0) -> None:
        words = ["--port", str(port), "--unixsocket", self._socket, "--dir", self._folder, "--logfile", "log"]
        self._process = subprocess.Popen(["redis-server", *words, *self._words], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(redis.RedisError, OSError), self.connect() as client:
                if client.ping() and not client.info("persistence")["loading"]:
                    return
            time.sleep(0.02)
        raise SystemExit("redis-server did not start")

    def connect(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=self._socket)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def missing(self, ids: Iterable[str]) -> int:
        with self.connect() as client, client.pipeline(transaction=False) as pipe:
            for task_id in ids:
                pipe.exists(f"asynq:{{default}}:t:{task_id}")
            return pipe.execute().count(0)

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


@dataclass
class Producer:
    """Enqueues until the broker is gone. `acknowledged` maps each ID to when its enqueue returned."""

    client: Client
    acknowledged: dict[str, float] = field(default_factory=dict)
    told: int = 0
    ended: bool = False

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(PRODUCERS):
                group.create_task(self._produce())

    async def _produce(self) -> None:
        plan: Plan[object] = Plan("bench:task", b'{"n": 1}')
        while not self.ended:
            try:
                job = await self.client.enqueue(plan)
            except NotReplicated:
                self.told += 1
            except BrokerError:
                return
            else:
                self.acknowledged[job.id] = time.monotonic()

    def within(self, seconds: float, before: float) -> int:
        return sum(at > before - seconds for at in self.acknowledged.values())


@dataclass
class Outcome:
    per_second: float
    acknowledged: int
    missing: int
    told: int
    last_second: int


async def crash(mode: str, seconds: float) -> Outcome:
    server = Server(*MODES[mode])
    try:
        server.start()
        async with Broker.from_url(server.url, options=HASTY) as broker:
            producer = Producer(Client(broker))
            working, started = asyncio.create_task(producer.run()), time.monotonic()
            await asyncio.sleep(seconds)
            server.kill()
            ended = time.monotonic()
            await working
        server.start()
        missing = server.missing(producer.acknowledged)
    finally:
        server.remove()
    number = len(producer.acknowledged)
    return Outcome(number / (ended - started), number, missing, 0, producer.within(1, ended))


async def fail_over(waits: bool, seconds: float, lag_seconds: float) -> Outcome:
    port = random.randrange(20000, 30000)
    master = Server("--save", "", "--repl-diskless-sync-delay", "0")
    replica = Server("--save", "", "--replicaof", "127.0.0.1", str(port))
    try:
        master.start(port)
        replica.start()
        while not in_step(replica):
            await asyncio.sleep(0.02)
        async with Broker.from_url(master.url, options=HASTY) as broker:
            client = Client(broker)
            if waits:
                client = client.sending(wait_replicas=1, wait_replicas_timeout="50ms")
            producer = Producer(client)
            working, started = asyncio.create_task(producer.run()), time.monotonic()
            await asyncio.sleep(seconds)
            replica.signal(19)
            await asyncio.sleep(lag_seconds)
            master.kill()
            ended = time.monotonic()
            producer.ended = True
            await working
            await client.aclose()
        replica.signal(18)
        with replica.connect() as admin:
            while admin.info("replication")["master_link_status"] == "up":
                await asyncio.sleep(0.02)
            admin.execute_command("REPLICAOF", "NO", "ONE")
        missing = replica.missing(producer.acknowledged)
    finally:
        master.remove()
        replica.remove()
    number = len(producer.acknowledged)
    return Outcome(number / (ended - started), number, missing, producer.told, producer.within(1, ended))


def in_step(replica: Server) -> bool:
    with replica.connect() as admin:
        return bool(admin.info("replication")["master_link_status"] == "up")


def ratio(outcomes: list[Outcome], base: list[Outcome]) -> str:
    """Compare the best rounds: what else the machine did disturbs them least."""
    return f"{max(each.per_second for each in outcomes) / max(each.per_second for each in base):.2f}"


async def measure(rounds: int, seed: int) -> None:
    random.seed(seed)
    crashes: dict[str, list[Outcome]] = {mode: [] for mode in MODES}
    overs: dict[bool, list[Outcome]] = {False: [], True: []}
    for _ in range(rounds):
        seconds, lag = random.uniform(SHORTEST_S, LONGEST_S), random.uniform(1, 2)
        for mode, outcomes in crashes.items():
            outcomes.append(await crash(mode, seconds))
        for waits, outcomes in overs.items():
            outcomes.append(await fail_over(waits, seconds, lag))
    print(f"seed {seed}, {rounds} rounds, {PRODUCERS} enqueues under way at once\n")
    print("| Persistence | Enqueues/s, as a ratio | Acknowledged | Missing after SIGKILL | In the last second |")
    print("| --- | --- | --- | --- | --- |")
    for mode, outcomes in crashes.items():
        cells = (total(outcomes, name) for name in ("acknowledged", "missing", "last_second"))
        print("|", " | ".join((mode, ratio(outcomes, crashes["nothing"]), *cells)), "|")
    print("\n| Fail-over to a lagging replica | Enqueues/s, as a ratio | Acknowledged | Missing | Told as not copied |")
    print("| --- | --- | --- | --- | --- |")
    for waits, outcomes in overs.items():
        name = "`wait_replicas=1`" if waits else "without `wait_replicas`"
        cells = (total(outcomes, each) for each in ("acknowledged", "missing", "told"))
        print("|", " | ".join((name, ratio(outcomes, overs[False]), *cells)), "|")


def total(outcomes: list[Outcome], name: str) -> str:
    return f"{sum(getattr(each, name) for each in outcomes):,}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.persistence")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    options = parser.parse_args()
    uvloop.run(measure(options.rounds, options.seed))
