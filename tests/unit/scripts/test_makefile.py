"""Each command of the Makefile that runs for long has a limit from outside."""

import subprocess

import pytest

from scripts.tree import ROOT

LONG = [
    "test",
    "test-slow",
    "conformance-cluster",
    "test-pythons",
    "check",
    "soak",
    "bench",
    "demo",
]


def commands(target: str, *variables: str) -> list[str]:
    """What make would run for a target, with the environment there already."""
    words = ["make", "--no-print-directory", "-n", "-o", ".venv/.ready", "-o", ".venv/.demo-ready", target]
    done = subprocess.run([*words, *variables], cwd=ROOT, capture_output=True, text=True, check=True, timeout=50)
    return done.stdout.splitlines()


@pytest.mark.parametrize("target", LONG)
def test_command_that_runs_for_long_has_a_limit(target: str) -> None:
    [command] = commands(target, "FOR=30")

    assert "scripts/watchdog.py --limit " in command


def test_limit_of_a_command_can_be_named() -> None:
    [command] = commands("test", "LIMIT=2h")

    assert "--limit 2h " in command


def test_demo_without_an_end_has_no_limit() -> None:
    [command] = commands("demo")

    assert "watchdog" not in command
