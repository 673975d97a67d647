"""All faults mixed at random for a while, and the checker's word at the end: `python -m tests.crash.soak --minutes 20`.

The seed is printed; the same seed makes the same choices. The result is written into `docs/reliability.md`.
"""

# ruff: noqa: T201
import argparse
import random
import signal
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from tests.crash import page
from tests.crash.checker import Verdict
from tests.crash.scene import Scene
from tests.crash.workers import Workers
from tests.servers.process import Server

SETTINGS = {"concurrency": "30", "shutdown_timeout": "2s"}
GROUPS = 2
PAUSE_SECONDS = (1.0, 4.0)


class Soak:
    """A fleet of supervised workers, producers all along, and one fault after the other."""

    def __init__(self, scene: Scene, seed: int) -> None:
        self._scene = scene
        self._chance = random.Random(seed)
        self._seed = seed
        self._fleet: list[Workers] = []
        self._frozen: list[tuple[float, Workers, int]] = []
        self.faults: Counter[str] = Counter()
        self._acts = {
            "child killed": (5, self._kill_child),
            "group killed": (2, self._kill_group),
            "supervisor killed": (2, self._kill_supervisor),
            "child frozen": (3, self._freeze),
            "deploy": (4, self._deploy),
            "connections killed": (4, self._kill_clients),
            "server restarted": (2, self._restart_server),
            "server silent": (2, self._silence_server),
        }

    def run(self, minutes: float) -> Verdict:
        """Go on for so long, then let everything end and check."""
        until = time.monotonic() + minutes * 60
        self._fleet = [self._start() for _ in range(GROUPS)]
        producers = [self._scene.produce(0.15, f"{self._seed}-{n}") for n in range(2)]
        while time.monotonic() < until:
            time.sleep(self._chance.uniform(*PAUSE_SECONDS))
            self._thaw(time.monotonic())
            self._replace_dead()
            names = list(self._acts)
            name = self._chance.choices(names, [self._acts[each][0] for each in names])[0]
            if self._acts[name][1]():
                self.faults[name] += 1
                print(f"{time.strftime('%H:%M:%S')} {name}", flush=True)
        for producer in producers:
            producer.terminate()
            producer.wait()
        self._thaw(float("inf"))
        self._replace_dead()
        self._scene.drained(180)
        with self._scene.client() as client:  # what is kept for two seconds
            self._scene.until(lambda: not client.exists("asynq:{default}:completed"))
        return self._scene.verdict()

    def _start(self) -> Workers:
        return self._scene.start(processes=2, settings=SETTINGS)

    def _replace_dead(self) -> None:
        alive = [workers for workers in self._fleet if workers.process.poll() is None]
        self._scene.workers = list(alive)
        self._fleet = alive + [self._start() for _ in range(GROUPS - len(alive))]

    def _victim(self) -> tuple[Workers, int] | None:
        frozen = {pid for _, _, pid in self._frozen}
        found = [(workers, pid) for workers in self._fleet for pid in workers.children() if pid not in frozen]
        return self._chance.choice(found) if found else None

    def _kill_child(self) -> bool:
        if (victim := self._victim()) is not None:
            with suppress(ProcessLookupError):
                victim[0].kill_child(victim[1])
        return victim is not None

    def _kill_group(self) -> bool:
        workers = self._chance.choice(self._fleet)
        with suppress(ProcessLookupError):
            workers.kill()
        return True

    def _kill_supervisor(self) -> bool:
        workers = self._chance.choice(self._fleet)
        children = workers.children()
        workers.send(signal.SIGKILL, workers.pid)
        workers.process.wait()
        # Its children stop by themselves. One that is frozen cannot, so it is let go.
        for _, owner, pid in self._frozen:
            if owner is workers:
                self._wake(owner, pid)
        self._frozen = [each for each in self._frozen if each[1] is not workers]
        self._scene.until(lambda: not any(Path(f"/proc/{pid}").exists() and not _zombie(pid) for pid in children), 30)
        return True

    def _freeze(self) -> bool:
        if (victim := self._victim()) is None:
            return False
        with suppress(ProcessLookupError):
            victim[0].freeze(victim[1])
            self._frozen.append((time.monotonic() + self._chance.uniform(1, 10), *victim))
        return True

    def _thaw(self, now: float) -> None:
        for at, workers, pid in self._frozen:
            if at <= now:
                self._wake(workers, pid)
        self._frozen = [each for each in self._frozen if each[0] > now]

    @staticmethod
    def _wake(workers: Workers, pid: int) -> None:
        with suppress(ProcessLookupError):
            workers.thaw(pid)

    def _deploy(self) -> bool:
        old = self._chance.choice(self._fleet)
        if any(workers is old for _, workers, _ in self._frozen):
            return False
        self._fleet.append(self._start())
        self._fleet.remove(old)
        code = old.stop(60)
        if code:
            print(f"a deploy ended with code {code}: {old.log}", flush=True)
        return True

    def _kill_clients(self) -> bool:
        with self._scene.client() as client:
            for kind in ("normal", "pubsub"):
                client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        return True

    def _restart_server(self) -> bool:
        self._scene.server.kill()
        time.sleep(self._chance.uniform(0, 2))
        self._scene.server.start()
        return True

    def _silence_server(self) -> bool:
        self._scene.server.freeze()
        time.sleep(self._chance.uniform(0.5, 4))
        self._scene.server.thaw()
        return True


def _zombie(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def row(soak: Soak, verdict: Verdict, minutes: float, seed: int, fsync: str) -> str:
    """The row of the table for this run."""
    faults = ", ".join(f"{number} × {name}" for name, number in soak.faults.most_common())
    day = time.strftime("%Y-%m-%d", time.gmtime())
    return (
        f"| {day} | `make soak MINUTES={minutes:g} SEED={seed}` ({fsync}) | {faults} | {verdict.accepted} "
        f"| {verdict.done} | {verdict.runs} | {verdict.died} | {verdict.again} | {len(verdict.lost)} "
        f"| {len(verdict.doubled)} |"
    )


def write(line: str) -> None:
    """Put the row at the top of the table in the docs, and keep the four before it."""
    head, rule, *rows = page.read("soak")
    page.write("soak", [head, rule, line, *rows[:4]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--fsync", choices=("always", "everysec"), default="everysec")
    words = parser.parse_args()
    print(f"seed {words.seed}: make soak MINUTES={words.minutes:g} SEED={words.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="rota-soak-"))
    print(f"ledger and logs are in {folder}", flush=True)
    server = Server(config={"appendonly": "yes", "appendfsync": words.fsync}).start()
    scene = Scene(f"soak of {words.minutes:g} minutes, seed {words.seed}", folder, server)
    soak = Soak(scene, words.seed)
    try:
        verdict = soak.run(words.minutes)
    finally:
        scene.close()
        server.stop()
    line = row(soak, verdict, words.minutes, words.seed, f"appendfsync {words.fsync}")
    write(line)
    print(line)


if __name__ == "__main__":
    main()
