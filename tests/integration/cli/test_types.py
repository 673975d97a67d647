"""`rota types`: shows what live workers handle, without importing their app."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Run
from tests.integration.cli.shell import QuickShell, Shell

MORE = """
@app.handler("raw:")
async def raw(ctx, payload: bytes) -> None:
    \"\"\"Take any \\x1b[31m payload.\"\"\"

from rota import Retry

@app.task("far:away", queue="far", retry=Retry(max=3, backoff="linear", base="5s", never=[KeyError]))
async def away() -> None: ...
"""


@pytest.fixture
def shell(tmp_path: Path, redis_url: str, command: Run) -> Iterator[Shell]:
    shell = QuickShell(tmp_path, redis_url, command)
    shell.write_app("first", MORE)
    yield shell
    shell.close()


def test_types_of_live_workers_are_listed_and_shown_without_their_app(shell: Shell) -> None:
    shell.start("worker", "notes:app", "--queues", "default=1,low=1")
    shell.wait_for(lambda: "note:write" in shell.run("types").stdout, "the worker to publish its types")
    (shell.folder / "notes.py").unlink()

    listed = shell.run("types")
    assert listed.returncode == 0
    assert [line.split() for line in listed.stdout.splitlines()] == [
        ["type", "queue", "run", "servers", "description"],
        ["far:away", "far", "loop", "1"],
        ["note:write", "default", "loop", "1"],
        ["raw:", "default", "loop", "1", "Take", "any", "\\x1b[31m", "payload."],
    ]
    assert listed.stderr == ""

    [far, write, raw] = json.loads(shell.run("types", "--json").stdout)
    assert (write["type"], write["queues"]) == ("note:write", ["default", "low"])
    [version] = write["versions"]
    assert version["schema"]["required"] == ["name"]
    assert version["schema"]["properties"]["wait"]["default"] == 0.0
    assert version["defaults"]["timeout"] == 1800.0
    assert version["source"] == "notes:write"
    assert len(version["servers"]) == 1
    assert raw["versions"][0]["is_raw"]
    assert far["versions"][0]["defaults"]["retry"]["base"] == 5.0

    shown = shell.run("types", "note:write:7").stdout  # a type, also by the name of a task
    for fact in ("note:write: served in the queues default, low", "source    notes:write", "timeout   30m", '"wait"'):
        assert fact in shown

    shown = shell.run("types", "far:away").stdout
    for fact in (
        "max_retry 3\n",
        "retry     backoff linear, base 5s, never KeyError\n",
        "warning   No live worker takes this type from the queue 'far'.",
    ):
        assert fact in shown

    asked = shell.run("types", "note:wirte")
    assert asked.returncode == 1
    assert "'note:wirte'. Did you mean 'note:write'?" in asked.stderr


def test_without_a_worker_there_is_nothing_to_show(shell: Shell) -> None:
    listed = shell.run("types")

    assert (listed.returncode, listed.stdout) == (0, "")
    assert listed.stderr == "No live worker publishes task types.\n"
    assert json.loads(shell.run("types", "--json").stdout) == []
