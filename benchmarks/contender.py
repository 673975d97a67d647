"""Who takes part, and the commands that run each."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.install import ENVIRONMENT, InstallFailed, go_command

HERE = Path(__file__).parent
GO_PROGRAM = HERE / "bin" / "asynq"
PEERS_PYTHON = ENVIRONMENT / "bin" / "python"


@dataclass(frozen=True)
class Contender:
    """A task queue: `tasks` is what it is preloaded with, some seconds of its work."""

    name: str
    label: str
    tasks: int
    guarantee: str
    packages: Sequence[str] = ()
    many_in_process: bool = True

    def produce(self, mode: str, address: str, *, seconds: float = 1, tasks: int = 0) -> list[str]:
        """The command that enqueues."""
        if self.name == "go":
            return [str(GO_PROGRAM), mode, "-addr", address, "-seconds", str(seconds), "-tasks", str(tasks)]
        limits = ["--seconds", str(seconds), "--tasks", str(tasks)]
        return [*self._python("produce"), mode, "--url", f"redis://{address}/0", *limits]

    def work(self, address: str, *, slots: int, workers: int = 1, queues: int = 1) -> list[str]:
        """The command that runs workers in one process."""
        if self.name == "go":
            limits = ["-slots", str(slots), "-workers", str(workers), "-queues", str(queues)]
            return [str(GO_PROGRAM), "work", "-addr", address, *limits]
        limits = ["--slots", str(slots), "--workers", str(workers), "--queues", str(queues)]
        return [*self._python("work"), "--url", f"redis://{address}/0", *limits]

    def _python(self, module: str) -> list[str]:
        return [self.interpreter, "-m", f"benchmarks.{module}", self.name]

    @property
    def interpreter(self) -> str:
        """Rota runs where the runner runs; the peers in their own environment, because dependencies clash."""
        return sys.executable if self.name == "rota" else str(PEERS_PYTHON)


CONTENDERS = (
    Contender("go", "Go Asynq", 40_000, "at least once (lease)"),
    Contender("rota", "Rota", 150_000, "at least once (lease, attempt token)", ("rota", "redis", "hiredis", "uvloop")),
    Contender("celery", "Celery", 5_000, "at least once (late ack)", ("celery", "kombu"), many_in_process=False),
    Contender("dramatiq", "Dramatiq", 15_000, "at least once (ack)", ("dramatiq",), many_in_process=False),
    Contender("taskiq", "Taskiq", 12_000, "at least once (stream ack)", ("taskiq", "taskiq-redis")),
    Contender("saq", "SAQ", 8_000, "at least once (sweep)", ("saq",)),
    Contender("streaq", "streaQ", 6_000, "at least once (stream ack)", ("streaq", "coredis")),
    Contender("arq", "arq", 2_000, "at least once (removed after the run)", ("arq",)),
    Contender("rq", "RQ", 1_000, "abandoned jobs are failed, not rerun", ("rq",), many_in_process=False),
    Contender("huey", "Huey", 15_000, "at most once", ("huey",)),
)
BY_NAME = {one.name: one for one in CONTENDERS}


class ContenderMissing(Exception):
    """What it needs isn't installed here."""


_VERSIONS = """
import importlib.metadata as m, json, sys
print(json.dumps({name: m.version(name) for name in sys.argv[1:]}))
"""


def versions(contender: Contender) -> dict[str, str]:
    """The versions of its packages, and the proof that it is installed."""
    if contender.name == "go":
        return _go_versions()
    if not Path(contender.interpreter).exists():
        raise ContenderMissing("not installed")
    asked = subprocess.run(
        [contender.interpreter, "-c", _VERSIONS, *contender.packages], capture_output=True, text=True, timeout=30
    )
    if asked.returncode:
        raise ContenderMissing("not installed: " + asked.stderr.strip().splitlines()[-1])
    found: dict[str, str] = json.loads(asked.stdout)
    return found


def _go_versions() -> dict[str, str]:
    try:
        go = go_command()
        subprocess.run(
            [go, "build", "-o", str(GO_PROGRAM), "."], cwd=HERE / "go", capture_output=True, timeout=300, check=True
        )
        about = subprocess.run([go, "version", "-m", str(GO_PROGRAM)], capture_output=True, text=True, timeout=30)
    except (InstallFailed, OSError, subprocess.SubprocessError) as error:
        raise ContenderMissing(f"the Go program can't be built: {error}") from error
    words = [line.split() for line in about.stdout.splitlines()]
    modules = {line[1].rsplit("/", 1)[-1]: line[2] for line in words if line[:1] == ["dep"] and "asynq" in line[1]}
    return {"go": words[0][-1], **modules}
