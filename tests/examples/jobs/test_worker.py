"""The apps in a real worker: with a pool process and a command, and with schedules."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from rota import Rota
from rota.errors import SchedulerAway
from rota.tasks.options import EnqueueOptions
from scripts.tree import ROOT
from tests.servers.process import wait_until

pytestmark = pytest.mark.slow
Configure = Callable[..., dict[str, str]]


@pytest.fixture
def shop(tmp_path: Path) -> dict[str, object]:
    """Settings with a database and a folder for its backups."""
    with closing(sqlite3.connect(tmp_path / "shop.sqlite3")) as connection, connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
    return {
        "databases": {"shop": f"sqlite:///{tmp_path}/shop.sqlite3"},
        "folders": {"backups": tmp_path / "backups"},
    }


@contextmanager
def worker(app: str, redis_url: str, settings: dict[str, str], folder: Path) -> Iterator[None]:
    """`rota worker` while the block runs. Its log is shown if the block fails."""
    environment = {**os.environ, **settings, "ROTA_URL": redis_url, "PYTHONPATH": str(ROOT)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "rota.cli", "worker", app], cwd=folder, env=environment, stdout=log, stderr=log
        )
    try:
        yield
    except BaseException:
        sys.stderr.write((folder / "log").read_text())
        raise
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


async def test_worker_runs_jobs_in_its_process_in_a_pool_and_as_a_command(
    redis_url: str, configure: Configure, shop: dict[str, object], tmp_path: Path
) -> None:
    hello = {"argv": ["/bin/echo", "hello {name}"], "arguments": {"name": "[a-z]+"}}
    settings = configure(**shop, commands={"hello": hello})
    with worker("examples.jobs:app", redis_url, settings, tmp_path):
        async with Rota(redis_url) as app:
            words = EnqueueOptions(queue="low", max_retry=0, retention="10m")
            backup = await app.enqueue("backup:database", {"database": "shop", "folder": "backups"}, **words)
            greeting = await app.enqueue("command:run", {"command": "hello", "arguments": {"name": "ann"}}, **words)
            refused = await app.enqueue("command:run", {"command": "rm"}, **words)

            name = await backup.result(timeout="60s")
            assert (tmp_path / "backups" / str(name)).exists()
            assert await greeting.result(timeout="60s") == {"output": "hello ann\n", "dropped": 0}
            with pytest.raises(Exception, match="no command 'rm'"):
                await refused.result(timeout="60s")


async def _ran(app: Rota, schedule: str) -> bool:
    try:
        await app.schedule_handle(schedule).run()
    except SchedulerAway:  # the worker has just started
        return False
    return True


async def test_worker_fires_the_schedules_that_the_settings_ask_for(
    redis_url: str, configure: Configure, shop: dict[str, object], tmp_path: Path
) -> None:
    with worker("examples.jobs.schedules:app", redis_url, configure(**shop), tmp_path):
        async with Rota(redis_url) as app, asyncio.timeout(60):
            while not await _ran(app, "backup of shop"):
                await asyncio.sleep(0.05)
        made = tmp_path / "backups"
        await asyncio.to_thread(wait_until, lambda: list(made.glob("shop-*.sqlite3")), 60)
