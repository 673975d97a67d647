"""Schedules of an app under `rota worker` and `rota scheduler`: they fire, whichever process leads."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Run
from tests.integration.cli.shell import QuickShell, Shell
from tests.servers.clients import client

APP = """
import os
from rota import Rota

app = Rota()

@app.every("1s")
@app.task("tick")
async def tick() -> None:
    with open("ticks", "a") as file:
        file.write(f"{os.getpid()}\\n")
"""


@pytest.fixture
def shell(tmp_path: Path, redis_url: str, command: Run) -> Iterator[Shell]:
    shell = QuickShell(tmp_path, redis_url, command)
    (tmp_path / "ticking.py").write_text(APP)
    shell.environment["ROTA_HEALTH_DIR"] = str(tmp_path / "health")
    yield shell
    shell.close()


def ticks(shell: Shell) -> list[str]:
    file = shell.folder / "ticks"
    return file.read_text().split() if file.exists() else []


def end(program: subprocess.Popen[str]) -> str:
    program.send_signal(signal.SIGTERM)
    _, said = program.communicate(timeout=30)
    assert program.returncode == 0, said
    return said


def test_worker_alone_fires_the_schedules_of_its_app(shell: Shell) -> None:
    worker = shell.start("worker", "ticking:app", "--no-supervisor")
    shell.wait_for(lambda: len(ticks(shell)) >= 2, "two ticks")
    assert "leads from now on" in end(worker)


def test_supervised_worker_fires_the_schedules_of_its_app_also_when_the_scheduler_process_has_died(
    shell: Shell, redis_url: str
) -> None:
    worker = shell.start("worker", "ticking:app")
    shell.wait_for(lambda: len(ticks(shell)) >= 2, "two ticks")
    health = shell.run("health")
    assert "scheduler" in health.stdout
    assert "it leads" in health.stdout

    with client(redis_url, decode_responses=True) as redis:
        leader = redis.get("rota:scheduler:{scheduler}:leader")
    pid = int(leader.split(":")[1])
    subprocess.run(["kill", "-9", str(pid)], check=True)
    before = len(ticks(shell))
    shell.wait_for(lambda: len(ticks(shell)) >= before + 2, "further ticks")
    said = end(worker)
    assert "leads from now on" in said
    assert f"Scheduler process {pid} was ended by SIGKILL" in said


def test_worker_without_its_scheduler_fires_nothing_until_a_scheduler_runs(shell: Shell, redis_url: str) -> None:
    worker = shell.start("worker", "ticking:app", "--no-scheduler")
    with client(redis_url, decode_responses=True) as redis:
        shell.wait_for(lambda: bool(redis.exists("asynq:servers")), "the worker")
        assert not redis.exists("rota:scheduler:{scheduler}:leader")
        scheduler = shell.start("scheduler", "ticking:app")
        shell.wait_for(lambda: len(ticks(shell)) >= 2, "two ticks")
        end(scheduler)
        assert not redis.exists("rota:scheduler:{scheduler}:leader")
    assert "leads from now on" not in end(worker)


def test_scheduler_alone_fires_the_schedules_of_a_store(shell: Shell, redis_url: str) -> None:
    store = f"sqlite:///{shell.folder}/rota.db"
    scheduler = shell.start("scheduler", "--store", store)
    with client(redis_url, decode_responses=True) as redis:
        shell.wait_for(lambda: bool(redis.exists("rota:scheduler:{scheduler}:leader")), "the lead")
    assert (shell.folder / "rota.db").exists()
    end(scheduler)


def test_wrong_store_ends_the_scheduler(shell: Shell) -> None:
    done = shell.run("scheduler", "--store", "oracle://x")
    assert done.returncode == 2
    assert "there is no store 'oracle'" in done.stderr
