"""The types that users see, checked by mypy and pyright on the files beside this one."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CHECKERS = ["mypy", "pyright"]


def faults(checker: str, file: str) -> dict[int, str]:
    """Run a checker on one file; return its errors by line."""
    path = HERE / file
    if checker == "mypy":
        done = _run("mypy", "--strict", "--no-pretty", "--no-error-summary", "--follow-imports=silent", str(path))
        lines = (re.match(rf".*{file}:(\d+): error: (.*)", line) for line in done.splitlines())
        return {int(found[1]): found[2] for found in lines if found}
    report = json.loads(_run("pyright", "--outputjson", "--pythonpath", sys.executable, str(path)))
    return {
        item["range"]["start"]["line"] + 1: item["message"]
        for item in report["generalDiagnostics"]
        if item["severity"] == "error"
    }


def _run(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.stdout or done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(300)
@pytest.mark.parametrize("checker", CHECKERS)
def test_the_calls_that_users_write_have_the_types_they_expect(checker: str) -> None:
    assert faults(checker, "calls.py") == {}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("checker", CHECKERS)
def test_mistakes_are_refused_where_they_are_made(checker: str) -> None:
    source = (HERE / "mistakes.py").read_text(encoding="utf-8").splitlines()
    wrong = {number for number, line in enumerate(source, start=1) if line.endswith("# wrong")}

    assert set(faults(checker, "mistakes.py")) == wrong
