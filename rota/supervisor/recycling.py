"""Replaces worker processes that have reached a limit of their lifetime: starts the new one, then stops the old one."""

import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import timedelta

from rota import events
from rota.supervisor.process import WorkerProcess
from rota.supervisor.replacement import RestartBackoff, resident_bytes


class Recycling:
    """Replaces one process at a time.

    The old process goes on until the new one is ready. If the new one dies before that, the replacement starts over.
    """

    def __init__(self, start: Callable[[RestartBackoff], Awaitable[WorkerProcess]], drain: timedelta) -> None:
        self._start = start
        self._drain_seconds = drain.total_seconds()
        self._pair: tuple[WorkerProcess, WorkerProcess] | None = None
        self._patience = RestartBackoff()
        self._not_before = 0.0

    @property
    def extra(self) -> int:
        """How many processes exist beyond the target number: 1 while an old process and its successor both run."""
        return int(self._pair is not None and all(process.exit is None for process in self._pair))

    async def look(self, staying: Iterable[WorkerProcess]) -> None:
        """Continue the replacement under way, or start replacing the first process that has reached a limit."""
        if self._pair is not None:
            self._follow(*self._pair)
        if self._pair is not None or time.monotonic() < self._not_before:
            return
        for process in staying:
            why = self._over(process)
            if why:
                events.emit(events.WorkerProcessReplaced(pid=process.pid, why=why))
                self._patience.started()
                with suppress(OSError):
                    self._pair = process, await self._start(RestartBackoff())
                return

    def _follow(self, old: WorkerProcess, new: WorkerProcess) -> None:
        if old.exit is None and new.exit is None and not new.report.ready:
            return
        self._pair = None
        if new.exit is not None:
            self._not_before = time.monotonic() + self._patience.died()
        elif old.exit is None:
            old.drain(self._drain_seconds)

    @staticmethod
    def _over(process: WorkerProcess) -> str:
        if process.leaving or not process.report.ready:
            return ""
        age = time.monotonic() - process.started_at
        return process.lifetime.over(process.report.ended, age, resident_bytes(process.pid))
