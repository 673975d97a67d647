"""A test that pytest-timeout cannot end is ended all the same, and says where it hung."""

import os
import subprocess
import sys
from pathlib import Path

from scripts.tree import ROOT

# The plugin as the suite has it, with a limit that this test can wait for.
CONFTEST = """
from tests import hard_limit
hard_limit.AFTER_SECONDS = {after}
pytest_plugins = ("tests.hard_limit",)
"""


def run(folder: Path, text: str, *words: str, after: int = 1) -> "subprocess.CompletedProcess[str]":
    (folder / "conftest.py").write_text(CONFTEST.format(after=after))
    (folder / "test_it.py").write_text(text)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", os.devnull, *words, folder],
        cwd=ROOT, env={**environment, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=50,
    )  # fmt: skip


def test_deaf_test_is_ended_and_shows_its_stack(tmp_path: Path) -> None:
    text = """
import signal
def test_deaf():
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    while True:
        pass
"""
    done = run(tmp_path, text, "--timeout", "1")

    assert done.returncode == 1
    assert "Timeout" in done.stderr
    assert 'test_it.py", line 6 in test_deaf' in done.stderr or 'test_it.py", line 5 in test_deaf' in done.stderr


def test_teardown_of_a_failed_test_has_a_limit(tmp_path: Path) -> None:
    text = """
import threading, pytest
@pytest.fixture
def hangs_at_the_end():
    yield
    threading.Event().wait()
def test_fails(hangs_at_the_end):
    assert False
"""
    done = run(tmp_path, text, "--timeout", "1")

    assert done.returncode == 1
    assert "in hangs_at_the_end" in done.stderr


def test_run_without_any_hang_is_not_disturbed(tmp_path: Path) -> None:
    assert run(tmp_path, "def test_good():\n    pass\n", "--timeout", "40", after=40).returncode == 0
