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


CALLS, MISTAKES = HERE / "calls.py", HERE / "mistakes.py"


def faults(checker: str) -> dict[str, dict[int, str]]:
    """Run a checker on both files; return the errors of each by line."""
    files: dict[str, dict[int, str]] = {path.name: {} for path in (CALLS, MISTAKES)}
    paths = [str(HERE / name) for name in files]
    if checker == "mypy":
        done = _run("mypy", "--strict", "--no-pretty", "--no-error-summary", "--follow-imports=silent", *paths)
        for line in done.splitlines():
            if found := re.match(r".*?(\w+\.py):(\d+): error: (.*)", line):
                files[found[1]][int(found[2])] = found[3]
        return files
    report = json.loads(_run("pyright", "--outputjson", "--pythonpath", sys.executable, *paths))
    for item in report["generalDiagnostics"]:
        if item["severity"] == "error":
            files[Path(item["file"]).name][item["range"]["start"]["line"] + 1] = item["message"]
    return files


def _run(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.stdout or done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(300)
@pytest.mark.parametrize("checker", CHECKERS)
def test_calls_of_users_have_the_types_they_expect_and_mistakes_are_refused_where_they_are_made(checker: str) -> None:
    lines = MISTAKES.read_text(encoding="utf-8").splitlines()
    wrong = {number for number, line in enumerate(lines, start=1) if line.endswith("# wrong")}

    found = faults(checker)

    assert found[CALLS.name] == {}
    assert set(found[MISTAKES.name]) == wrong
