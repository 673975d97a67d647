"""The steps of .ci/run: limits, failures, and steps side by side."""

import re
import subprocess
from pathlib import Path

from scripts.tree import ROOT


def run_steps(text: str) -> "subprocess.CompletedProcess[str]":
    script = f"set -euo pipefail\n. .ci/steps\n{text}\nfinish\n"
    return subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=55)


def test_steps_that_pass_end_with_code_0() -> None:
    done = run_steps('step "first" 50s "echo one"\nstep "second" 50s "echo two"')

    assert done.returncode == 0, done.stderr
    assert re.search(r"first: passed in \d+ s\n----- second: passed in \d+ s\n\nAll steps passed", done.stdout)


def test_step_that_fails_is_named_at_the_end_and_the_next_one_runs() -> None:
    done = run_steps('step "first" 50s "exit 3"\nstep "second" 50s "echo it ran"')

    assert done.returncode == 1
    assert "it ran" in done.stdout
    assert "FAILED: [first]\n" in done.stdout


def test_step_that_hangs_is_ended_at_its_limit_and_shows_its_processes() -> None:
    done = run_steps('together "good" 50s "echo fine" "hangs" 1s "sleep 60"')

    assert done.returncode == 1
    assert "watchdog: 'bash -c sleep 60' did not end within 1 s" in done.stdout
    assert "hangs: HUNG, ended after" in done.stdout
    assert "FAILED: [hangs]\n" in done.stdout


def test_steps_side_by_side_run_at_the_same_time(tmp_path: Path) -> None:
    # Each ends only when the other has begun.
    one, two = (
        f"touch {tmp_path}/{mine}; while [ ! -e {tmp_path}/{other} ]; do sleep .05; done; echo {mine} has seen {other}"
        for mine, other in (("one", "two"), ("two", "one"))
    )
    done = run_steps(f'together "first" 50s "{one}" "second" 50s "{two}"')

    assert done.returncode == 0, done.stdout
    assert "one has seen two" in done.stdout
    assert "two has seen one" in done.stdout


def test_step_that_is_only_a_report_fails_nothing() -> None:
    done = run_steps('together "first" 50s "echo one" "a soak (report only)" 50s "exit 1"')

    assert done.returncode == 0
    assert "a soak (report only): FAILED after" in done.stdout


def test_every_step_of_ci_has_a_limit() -> None:
    text = (ROOT / ".ci" / "run").read_text()
    steps = re.findall(r'^(?:step |    )"[^"]+" (\S+) ["\']', text, re.MULTILINE)

    assert len(steps) == text.count("make ") - text.count("make setup") + 1
    assert [limit for limit in steps if not re.fullmatch(r"\d+m", limit)] == []
