"""The example of routers: tasks of one router enqueue tasks of another, also from a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

from examples.routers.app import app
from scripts.tree import ROOT


def test_tasks_of_two_routers_enqueue_each_other(redis_url: str, tmp_path: Path) -> None:
    environment = {**os.environ, "ROTA_URL": redis_url, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "examples.routers"]

    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=90)

    assert done.stdout.splitlines() == [
        "order:ship in default",
        "receipt of order 7 sent with invoice-7.pdf",
    ], done.stderr


def test_process_of_a_task_imports_the_module_that_includes_its_router() -> None:
    assert app.modules == ["examples.routers.app", "examples.routers.orders"]
