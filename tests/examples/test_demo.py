"""The demo from end to end: its own server, its own worker, every result looked at, nothing lost by a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.tree import ROOT
from tests.whole_lines import whole_lines

pytestmark = pytest.mark.slow


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """The demos that a test started, killed if it failed."""
    demos: list[subprocess.Popen[str]] = []
    yield demos
    for demo in demos:
        if demo.poll() is None:
            demo.kill()
        demo.communicate()


def start(folder: Path, demos: list[subprocess.Popen[str]], *words: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name != "ROTA_URL"}
    demo = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "examples.shop", *words],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"},  # also in its workers
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    demos.append(demo)
    return demo


def journal(folder: Path) -> list[dict[str, object]]:
    path = folder / ".rota" / "demo" / "journal.jsonl"
    return [json.loads(line) for line in whole_lines(path)] if path.exists() else []


def asked_and_done(folder: Path) -> tuple[set[object], set[object]]:
    entries = journal(folder)
    return ({e["id"] for e in entries if e["event"] == "enqueued"}, {e["id"] for e in entries if e["event"] == "done"})


def test_a_short_demo_does_all_of_its_work_and_ends_well(tmp_path: Path, started: list[subprocess.Popen[str]]) -> None:
    demo = start(tmp_path, started, "--for", "8")

    output, _ = demo.communicate(timeout=150)

    assert demo.returncode == 0, output
    results = tmp_path / ".rota" / "demo" / "results"
    assert str(results) in output
    assert len(list((results / "round-0001").glob("*.jpg"))) == 18
    assert len(list((results / "mail").glob("*.eml"))) == 8
    assert "booked at the second attempt" in output
    assert (tmp_path / ".rota").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / ".rota" / "demo").stat().st_mode & 0o777 == 0o700


def test_demo_fires_its_schedules_and_shows_a_failure_that_recovers(
    tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    demo = start(tmp_path, started, "--for", "35")

    output, _ = demo.communicate(timeout=150)

    assert demo.returncode == 0, output
    assert "each planned time once" in output
    assert "recovered at its retry" in output
    assert "found the site down" in output
    assert list((tmp_path / ".rota" / "demo" / "results" / "backups").glob("shop-*.sqlite3"))


def test_a_demo_that_is_killed_loses_nothing(tmp_path: Path, started: list[subprocess.Popen[str]]) -> None:
    first = start(tmp_path, started)
    deadline = time.monotonic() + 40
    while not (asked_and_done(tmp_path)[0] and asked_and_done(tmp_path)[1]):
        assert time.monotonic() < deadline, "the first demo did nothing"
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=60)
    asked, done = asked_and_done(tmp_path)
    assert asked - done, "the kill came too late to leave anything"

    second = start(tmp_path, started, "--for", "8")
    output, _ = second.communicate(timeout=150)

    assert second.returncode == 0, output
    assert "tasks of the last run were kept on disk" in output


def test_ctrl_c_ends_the_demo_well_and_keeps_what_waits(tmp_path: Path, started: list[subprocess.Popen[str]]) -> None:
    demo = start(tmp_path, started)
    deadline = time.monotonic() + 40
    while not asked_and_done(tmp_path)[1]:
        assert time.monotonic() < deadline, "the demo did nothing"
        time.sleep(0.02)
    demo.send_signal(signal.SIGINT)

    output, _ = demo.communicate(timeout=150)

    assert demo.returncode == 0, output
    assert "wait on disk for the next run" in output or "every result was checked" in output
