"""`rota worker --burst`: what it does before it ends, what it leaves, and its exit code."""

import signal
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from rota import Rota, RotaError
from tests.integration.cli.shell import Shell
from tests.servers.clients import client

APP = """
import asyncio, os
from rota import Rota

app = Rota()

@app.task("burst:one")
async def one(seconds: float = 0.0) -> None:
    await asyncio.sleep(seconds)

@app.task("burst:chain")
async def chain(links: int) -> None:
    await asyncio.sleep(0.2)
    if links:
        await app.enqueue("burst:chain", {"links": links - 1}, queue=f"chain-{links}")

@app.task("burst:limited", concurrency=1)
async def limited() -> None:
    await asyncio.sleep(0.05)

@app.task("burst:fail")
async def fail() -> None:
    raise ValueError

@app.task("burst:die")
def die() -> None:
    os._exit(3)
"""
MODES = pytest.mark.parametrize(
    "mode", [("--processes", "2"), ("--no-supervisor",)], ids=["two processes", "no supervisor"]
)


class Bursts:
    """Runs bursts of the app on a server of their own."""

    def __init__(self, folder: Path, url: str) -> None:
        self.shell = Shell(folder, url)
        (folder / "bursts.py").write_text(APP)
        self.app = Rota(url)
        self.redis = client(url, decode_responses=True)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.shell.run("worker", "bursts:app", "--burst", *words)

    def enqueue(self, type: str, count: int = 1, payload: object = None, **options: object) -> None:
        plans = [self.app.plan(type, payload, **options) for _ in range(count)]  # type: ignore[arg-type]
        assert not any(isinstance(each, RotaError) for each in self.app.enqueue_many_sync(plans))

    def size(self, place: str, queue: str = "default") -> int:
        key = f"asynq:{{{queue}}}:{place}"
        return self.redis.llen(key) if place in ("pending", "active") else self.redis.zcard(key)

    def close(self) -> None:
        self.shell.close()
        self.app.close()
        self.redis.close()


@pytest.fixture
def bursts(tmp_path: Path, redis_url: str) -> Iterator[Bursts]:
    bursts = Bursts(tmp_path, redis_url)
    yield bursts
    bursts.close()


@MODES
def test_a_burst_of_empty_queues_ends_at_once_with_code_0(bursts: Bursts, mode: tuple[str, ...]) -> None:
    done = bursts.run(*mode)

    assert done.returncode == 0
    assert "Nothing is left to run now. The worker stops." in done.stderr
    assert "new one starts" not in done.stderr


@MODES
def test_a_burst_runs_what_is_there_or_due_what_it_puts_off_and_what_its_tasks_enqueue(
    bursts: Bursts, mode: tuple[str, ...]
) -> None:
    bursts.enqueue("burst:one", 300, {"seconds": 0.01})
    bursts.enqueue("burst:one", 2, delay=timedelta(milliseconds=10))
    bursts.enqueue("burst:limited", 12)  # of which the burst itself puts off some
    bursts.enqueue("burst:chain", 1, {"links": 3})

    done = bursts.run(*mode, "--concurrency", "5", "--queues", "default,chain-*")

    assert done.returncode == 0
    assert bursts.size("pending") == bursts.size("active") == bursts.size("scheduled") == 0
    assert int(bursts.redis.get("asynq:{default}:processed") or 0) == 315
    assert [int(bursts.redis.get(f"asynq:{{chain-{link}}}:processed") or 0) for link in (1, 2, 3)] == [1, 1, 1]


@MODES
def test_a_burst_leaves_what_is_for_later_and_what_is_paused(bursts: Bursts, mode: tuple[str, ...]) -> None:
    bursts.enqueue("burst:one", 2, delay="1h")
    bursts.enqueue("burst:fail", 1)
    bursts.enqueue("burst:one", 3, queue="held")
    bursts.redis.set("asynq:{held}:paused", 1)

    done = bursts.run(*mode, "--queues", "default,held")

    assert done.returncode == 0
    assert (bursts.size("scheduled"), bursts.size("retry"), bursts.size("pending", "held")) == (2, 1, 3)
    assert "Nothing is left to run now; 6 tasks for later or in paused queues. The worker stops." in done.stderr


def test_a_task_that_kills_its_process_is_run_until_it_is_in_quarantine(bursts: Bursts) -> None:
    bursts.enqueue("burst:die")
    bursts.enqueue("burst:one", 20)

    done = bursts.run("--processes", "2", "--set", "max_crashes=2")

    assert done.returncode == 0
    assert bursts.size("archived") == 1
    assert bursts.size("pending") == bursts.size("active") == 0


@MODES
def test_a_burst_that_is_stopped_before_it_is_through_ends_with_code_1(bursts: Bursts, mode: tuple[str, ...]) -> None:
    bursts.enqueue("burst:one", 1, {"seconds": 600})
    burst = bursts.shell.start("worker", "bursts:app", "--burst", *mode, "--shutdown-timeout", "0s")
    bursts.shell.wait_for(lambda: bursts.size("active") == 1, "the task to run")

    burst.send_signal(signal.SIGTERM)
    burst.communicate(timeout=30)

    assert burst.returncode == 1
    assert bursts.size("pending") == 1


def test_a_burst_whose_lifespan_fails_ends_instead_of_starting_again_for_ever(bursts: Bursts) -> None:
    text = APP.replace(
        "app = Rota()", "async def start(app):\n    raise OSError\n    yield\n\napp = Rota(lifespan=start)"
    )
    (bursts.shell.folder / "bursts.py").write_text(text)

    assert bursts.run().returncode == 1
