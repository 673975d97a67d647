"""A Go server of Asynq in a scenario. What it says about its runs becomes lines of the ledger."""

import itertools
import json
import subprocess
import time
from pathlib import Path
from typing import Any

from interop.build import binaries
from tests.crash.ledger import Ledger, Writer, moment
from tests.servers.process import wait_until

START_SECONDS = 30.0
_HOW = {"end": "ok", "error": "fail"}


class GoWorkers:
    """One Go server, from its start until `stop` or `kill`. After that its runs are in the ledger."""

    def __init__(self, url: str, ledger: Ledger, note: Writer, **config: Any) -> None:
        self._note = note
        self._ledger = ledger
        self._said: Path = ledger.folder / f"go-{time.monotonic_ns()}.json"
        with self._said.open("wb") as out, self._said.with_suffix(".txt").open("wb") as errors:
            command = [binaries() / "server", "-redis", url, "-config", json.dumps(config)]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors)
        self._over = False
        note("go", pid=self.process.pid)
        try:
            wait_until(lambda: '"ready"' in self._said.read_text(), START_SECONDS)
        except TimeoutError:
            self.kill()  # it may come to work yet, and nobody would hear of its runs
            raise

    def started(self) -> int:
        """How many runs have begun."""
        return self._said.read_text().count('"start"')

    def kill(self) -> None:
        self._note("death", pid=self.process.pid)
        self.process.kill()
        self._end()

    def stop(self) -> None:
        if not self._over:
            self.process.terminate()
            self._end()

    def _end(self) -> None:
        self._over = True
        self.process.wait(20)
        note, pid = self._ledger.writer(f"go-{self.process.pid}"), self.process.pid
        offset = moment(0)
        numbers, current = itertools.count(), dict[str, str]()
        for text in self._said.read_text().splitlines():
            line = json.loads(text)
            at, task = offset + line["at_ns"] / 1e9, line.get("id", "")
            if line["event"] == "start":
                current[task] = f"go-{pid}-{next(numbers)}"
                note("start", at=at, task=task, run=current[task], pid=pid, retried=line.get("retried", 0))
            elif line["event"] in _HOW and task in current:
                note("end", at=at, task=task, run=current.pop(task), pid=pid, how=_HOW[line["event"]])
        note.close()
