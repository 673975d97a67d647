"""Worker processes of a scenario: started by the command line, killed and frozen from outside."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from rota.core.faults import VARIABLE
from tests.crash.ledger import FOLDER, Ledger, Writer
from tests.servers.process import wait_until

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0
"""Eight groups may start at once, on two cores."""
QUICK = {
    "lease": "5s",
    "heartbeat": "500ms",
    "lease_slack": "500ms",
    "go_lease_slack": "2s",
    "sweep_interval": "500ms",
    "shutdown_timeout": "3s",
    "connect_timeout": "2s",
    "response_timeout": "2s",
    "concurrency": "20",
    "group_grace": "1s",
}
"""Settings with which everything that takes its time takes less. Not `quick` is Rota as it comes."""


class Workers:
    """One `rota worker` command with its processes. `children` are the workers, or itself without a supervisor."""

    def __init__(
        self,
        url: str,
        ledger: Ledger,
        note: Writer,
        *,
        processes: int | str = 0,
        quick: bool = True,
        faults: str = "",
        settings: Mapping[str, str] | None = None,
        pretend: Mapping[str, str] | None = None,
    ) -> None:
        self._note = note
        self.supervised = bool(processes)
        said = {**(QUICK if quick else {}), **(settings or {}), "url": url}
        environment = {**os.environ, FOLDER: str(ledger.folder), VARIABLE: faults, **(pretend or {})}
        environment |= {f"ROTA_{name.upper()}": value for name, value in said.items()}
        how = ["--processes", str(processes)] if processes else ["--no-supervisor"]
        command = [sys.executable, "-m", "rota.cli", "worker", "tests.crash.app:app", "--no-banner", *how]
        self.log = ledger.folder / f"worker-{time.monotonic_ns()}.txt"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        self._wanted = max(1, int(str(processes).partition("..")[0]))

    @property
    def pid(self) -> int:
        return self.process.pid

    def children(self) -> list[int]:
        """The worker processes that live now."""
        if not self.supervised:
            return [self.pid] if self.process.poll() is None else []
        return _children(self.pid)

    def descendants(self) -> list[int]:
        """The worker processes, and theirs."""
        return [pid for child in self.children() for pid in (child, *_children(child))]

    def ready(self, times: int | None = None) -> "Workers":
        """Wait until so many workers have said that they are ready, by default all of them once."""
        wanted = times or self._wanted
        wait_until(lambda: self.process.poll() is not None or self.said("is ready with") >= wanted, START_SECONDS)
        assert self.process.poll() is None, self.log.read_text()
        return self

    def said(self, text: str) -> int:
        """How often the log has a text."""
        return self.log.read_text().count(text)

    def kill_child(self, pid: int | None = None) -> int:
        """SIGKILL one worker process."""
        return self.send(signal.SIGKILL, pid or self.children()[0])

    def kill(self) -> None:
        """SIGKILL everything: as if the machine had gone."""
        # A supervisor that stands neither sees a child end nor is missed by one, whatever time passes in between.
        os.kill(self.pid, signal.SIGSTOP)
        for pid in dict.fromkeys([*self.children(), self.pid]):
            with suppress(ProcessLookupError):
                self.send(signal.SIGKILL, pid)
        self.process.wait()

    def freeze(self, pid: int | None = None) -> int:
        """SIGSTOP one worker process."""
        return self.send(signal.SIGSTOP, pid or self.children()[0])

    def thaw(self, pid: int) -> None:
        """Let it go on."""
        self.send(signal.SIGCONT, pid)

    def send(self, number: signal.Signals, pid: int) -> int:
        """Send a signal and write down what it does to the process."""
        what = {signal.SIGKILL: "death", signal.SIGSTOP: "freeze", signal.SIGCONT: "thaw"}.get(number)
        if what is not None:
            self._note(what, pid=pid)
        os.kill(pid, number)
        return pid

    def terminate(self) -> None:
        """Ask it to stop, as a deploy does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def stop(self, seconds: float = 30) -> int:
        """Ask it to stop and wait for its end."""
        self.terminate()
        return self.process.wait(seconds)


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
