"""The app in a real worker: `rota worker examples.jobs:app`, with a pool process and a command."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from rota import Rota
from rota.tasks.options import EnqueueOptions
from scripts.tree import ROOT

pytestmark = pytest.mark.slow
Configure = Callable[..., dict[str, str]]


async def test_worker_runs_jobs_in_its_process_in_a_pool_and_as_a_command(
    redis_url: str, configure: Configure, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.sqlite3")) as connection, connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
    settings = configure(
        databases={"shop": f"sqlite:///{tmp_path}/shop.sqlite3"},
        folders={"backups": tmp_path / "backups"},
        commands={"hello": {"argv": ["/bin/echo", "hello {name}"], "arguments": {"name": "[a-z]+"}}},
    )
    environment = {**os.environ, **settings, "ROTA_URL": redis_url, "PYTHONPATH": str(ROOT)}
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "rota.cli", "worker", "examples.jobs:app"],
            cwd=tmp_path,
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        async with Rota(redis_url) as app:
            words = EnqueueOptions(queue="low", max_retry=0, retention="10m")
            backup = await app.enqueue("backup:database", {"database": "shop", "folder": "backups"}, **words)
            hello = await app.enqueue("command:run", {"command": "hello", "arguments": {"name": "ann"}}, **words)
            refused = await app.enqueue("command:run", {"command": "rm"}, **words)

            name = await backup.result(timeout="60s")
            assert (tmp_path / "backups" / str(name)).exists()
            assert await hello.result(timeout="60s") == {"output": "hello ann\n", "dropped": 0}
            with pytest.raises(Exception, match="no command 'rm'"):
                await refused.result(timeout="60s")
    except BaseException:
        sys.stderr.write((tmp_path / "log").read_text())
        raise
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(60)
