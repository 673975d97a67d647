"""The app that worker processes of the scenarios run: `rota worker tests.crash.app:app`."""

import os
import time
from pathlib import Path
from typing import Any

from rota.app import Rota
from rota.wire.fetch import Notes
from rota.worker.run.attempt import Attempt
from rota.worker.run.executor import Executor
from rota.worker.worker import Worker
from tests.crash.handlers import register
from tests.crash.idleness import RETURN_SECONDS
from tests.crash.ledger import FOLDER, Ledger, Writer


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


def _note_lives(note: Writer) -> None:
    """Write down from when to when a worker should take tasks."""
    begin, quiet, stop = Worker._begin_work, Worker.quiet, Worker.stop

    async def noted_begin(self: Worker) -> None:
        await begin(self)
        note(
            "ready",
            pid=os.getpid(),
            url=self.settings.broker.url,
            slots=self.slots.capacity,
            queues=self.queue_names(),
            types=[handler.type for handler in app.registry],
            silence=4 * self.settings.broker.response_timeout.total_seconds() + RETURN_SECONDS,
        )

    def noted_quiet(self: Worker) -> None:
        note("leaving", pid=os.getpid())
        quiet(self)

    def noted_stop(self: Worker) -> None:
        note("leaving", pid=os.getpid())
        stop(self)

    Worker._begin_work, Worker.quiet, Worker.stop = noted_begin, noted_quiet, noted_stop  # type: ignore[method-assign]


def _note_crashes(note: Writer) -> None:
    """Write down what somebody else had taken before: it did not wait for a worker all the time."""
    start = Executor.start

    def noted_start(self: Executor, attempt: Attempt, notes: Notes | None = None) -> None:
        if notes is not None and notes.crashes:
            note("crashed", task=attempt.id)
        start(self, attempt, notes)

    Executor.start = noted_start  # type: ignore[method-assign]


_pretend()
app = Rota()
note = Ledger(Path(os.environ[FOLDER])).writer("runs")
register(app, note, os.environ.get("CRASH_TYPES", ""))
_note_lives(note)
_note_crashes(note)
