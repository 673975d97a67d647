"""The app that worker processes of the scenarios run: `rota worker tests.crash.app:app`."""

import os
import time
from pathlib import Path
from typing import Any

from rota.app import Rota
from rota.worker.worker import Worker
from tests.crash.handlers import register
from tests.crash.ledger import FOLDER, Ledger


def _pretend() -> None:
    """Be a process with another ID or a machine with another clock, where a scenario wants it."""
    if pid := os.environ.get("CRASH_PID"):
        init = Worker.__init__

        def with_pid(self: Worker, *args: Any, **words: Any) -> None:
            init(self, *args, **words)
            self.pid = int(pid)

        Worker.__init__ = with_pid
    if skew := os.environ.get("CRASH_CLOCK_SKEW"):
        real = time.time
        time.time = lambda: real() + float(skew)


_pretend()
app = Rota()
register(app, Ledger(Path(os.environ[FOLDER])).writer("runs"), os.environ.get("CRASH_TYPES", ""))
