"""Further modules of an app: named on the command line, discovered, and found again by children and reloads."""

import json
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Run
from tests.integration.cli.shell import QuickShell, Shell

TASKS = """
import os
from notes import app

@app.task("{type}")
def run() -> str:
    return "{type} ran"
"""
ROUTER = """
from rota import Tasks

tasks = Tasks()

@tasks.task("run")
def run() -> None: ...
"""


def write_module(shell: Shell, name: str, type: str) -> None:
    path = shell.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(TASKS.format(type=type))


@pytest.fixture
def shell(tmp_path: Path, redis_url: str, command: Run) -> Iterator[Shell]:
    shell = QuickShell(tmp_path, redis_url, command)
    write_module(shell, "extra.py", "extra:run")
    write_module(shell, "pack/tasks.py", "pack:run")
    write_module(shell, "pack/mail/tasks.py", "mail:run")
    (tmp_path / "empty").mkdir()
    yield shell
    shell.close()


def said_until(program: "subprocess.Popen[str]", words: str) -> None:
    """Read what it says until the words come."""
    assert program.stderr is not None
    for line in program.stderr:
        if words in line:
            return
    raise AssertionError(f"it ended without {words!r}")


def ran(shell: Shell, type: str) -> bool:
    return shell.run("enqueue", type, "--wait", "20s").stdout.strip() == json.dumps(f"{type} ran")


@pytest.mark.parametrize("supervised", ["--supervisor", "--no-supervisor"])
def test_worker_runs_tasks_of_named_and_discovered_modules(shell: Shell, supervised: str) -> None:
    worker = shell.start("worker", "notes:app", "extra", "--discover", "pack", supervised)

    assert ran(shell, "extra:run")
    assert ran(shell, "pack:run")
    assert ran(shell, "mail:run")
    worker.send_signal(signal.SIGINT)
    _, said = worker.communicate(timeout=30)
    assert "notes:app,extra,pack.**.tasks" in said
    assert "extra:run, mail:run, note:write, pack:run" in said


def test_setting_names_the_modules_for_each_command(shell: Shell) -> None:
    (shell.folder / "pyproject.toml").write_text('[tool.rota]\napp = "notes:app, pack.**.tasks"\n')
    run = partial(Shell.run, shell)  # only a program reads the file of the project

    assert "does not handle" not in run("enqueue", "mail:run").stderr
    assert "does not handle the type 'extra:run'" in run("enqueue", "extra:run", "--discover", "pack.mail").stderr
    assert run("config", "notes", "extra", "--discover", "pack").returncode == 0
    assert "no module named 'tasks' in the package empty" in run("config", "--discover", "empty").stderr


@pytest.mark.parametrize(
    ("words", "module"),
    [
        (["worker"], "pack.mail.tasks"),
        (["worker"], "notes"),
        (["worker", "--no-supervisor"], "pack.mail.tasks"),
        (["dev", "--no-reload"], "pack.mail.tasks"),
        (["doctor"], "pack.mail.tasks"),
    ],
)
def test_failure_of_one_module_names_the_module_and_ends_the_command(
    shell: Shell, words: list[str], module: str
) -> None:
    file = f"{module.replace('.', '/')}.py"
    (shell.folder / file).write_text("x = 1\ny = z\n")

    ended = shell.run(words[0], "notes:app", "--discover", "pack", *words[1:])

    assert ended.returncode == 1
    assert f"The module {module} cannot be imported: NameError" in ended.stderr
    assert f"{file}:2: y = z" in ended.stderr


def test_reload_finds_a_module_that_was_added_since(shell: Shell) -> None:
    dev = shell.start("dev", "notes:app", "--discover", "pack")
    said_until(dev, "is ready")
    assert ran(shell, "mail:run")

    write_module(shell, "pack/new/tasks.py", "new:run")

    said_until(dev, "starting anew")
    said_until(dev, "is ready")
    assert ran(shell, "new:run")
    dev.send_signal(signal.SIGINT)
    dev.communicate(timeout=30)
    assert dev.returncode == 0


@pytest.mark.parametrize("banner", ["--banner", "--no-banner"])
def test_worker_warns_of_a_router_that_no_app_includes(shell: Shell, banner: str) -> None:
    (shell.folder / "pack/mail/tasks.py").write_text(ROUTER)

    ended = shell.run("worker", "notes:app", "--discover", "pack", "--burst", banner)

    assert ended.returncode == 0
    said = " ".join(ended.stderr.split())
    assert "No app includes the router made in pack/mail/tasks.py:4, so its 1 function cannot run here" in said
