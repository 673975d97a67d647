"""Runs a piece of work in processes of which each is killed at a later operation than the one before.

`Killing` starts this file as a program once. The program imports what the work needs, and forks a process for each
request, so that a kill costs milliseconds. A kill is a SIGKILL right before the operation.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from scripts.tree import ROOT

OPERATIONS = frozenset(
    [
        *("open", "os.rename", "os.remove", "os.truncate", "os.chmod", "fcntl.flock"),
        *("sqlite3.connect", "subprocess.Popen", "smtplib.connect", "smtplib.send"),
    ]
)


class Killing:
    """The work is Python code that defines `work()`; `environment` has the settings of the jobs."""

    def __init__(self, code: str, environment: dict[str, str], folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.examples.jobs.killing", code],
            cwd=folder,
            env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def at(self, operation: int) -> bool:
        """Run the work until this operation, counted from 1; return whether it was killed."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{operation}\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        assert status in (0, signal.SIGKILL), f"the work failed by itself: {status}"
        return status == signal.SIGKILL

    def close(self) -> None:
        self._process.communicate()


def serve(code: str) -> None:
    names: dict[str, object] = {}
    exec(compile(code, "<work>", "exec"), names)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _work(names, int(line))
        print(os.waitpid(child, 0)[1], flush=True)  # noqa: T201 - the answer


def _work(names: dict[str, object], operation: int) -> None:
    seen = 0

    def count(event: str, _: object) -> None:
        nonlocal seen
        if event in OPERATIONS:
            seen += 1
            if seen == operation:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    try:
        names["work"]()  # type: ignore[operator]
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1])
