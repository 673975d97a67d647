"""Kills worker processes that are overdue: those that do not start, do not report any more, or do not stop in time."""

import time
from collections.abc import Callable, Iterable
from datetime import timedelta

from rota import events
from rota.settings.setting_groups import SupervisorSettings
from rota.supervisor.process import WorkerProcess

STOP_MARGIN_SECONDS = 15.0
"""How much longer than `shutdown_timeout` a process may take to stop."""
MOST_LAG_SECONDS = 1.0
"""When the supervisor itself was delayed for longer (the machine was frozen or starved), the delay is added to the
time limits of all processes, because they may have stood still as well."""


class Watchdog:
    """Checks the processes every `every_seconds`. Tasks that a killed process held go back to their queues."""

    def __init__(
        self,
        settings: SupervisorSettings,
        shutdown_timeout: timedelta,
        every_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start_seconds = settings.process_start_timeout.total_seconds()
        hang = settings.process_hang_after
        self._hang_seconds = float("inf") if hang is None else hang.total_seconds()
        self._stop_seconds = shutdown_timeout.total_seconds() + STOP_MARGIN_SECONDS
        self._every_seconds = every_seconds
        self._clock = clock
        self._looked_at = clock()

    def look(self, fleet: Iterable[WorkerProcess]) -> bool:
        """Kill the overdue processes. Returns whether one of them was killed because it did not stop."""
        now, fleet = self._clock(), [process for process in fleet if not process.killed]
        lag, self._looked_at = now - self._looked_at - self._every_seconds, now
        if lag > MOST_LAG_SECONDS:
            for process in fleet:
                process.forgive(lag)
        late = [process for process in fleet if self._does_not_stop(process, now)]
        for process in fleet:
            if process in late or self._hangs(process, now) or self._does_not_start(process, now):
                process.kill()
        return bool(late)

    def _does_not_stop(self, process: WorkerProcess, now: float) -> bool:
        late = process.stop_asked_at is not None and now - process.stop_asked_at > self._stop_seconds
        if late:
            _report(process, "does not stop", now - (process.stop_asked_at or now))
        return late

    def _hangs(self, process: WorkerProcess, now: float) -> bool:
        silent = now - process.heard_at
        late = process.report.ready and silent >= self._hang_seconds
        if late:
            _report(process, "is silent", silent)
        return late

    def _does_not_start(self, process: WorkerProcess, now: float) -> bool:
        loading = now - process.loading_since
        late = not process.loaded and loading >= self._start_seconds
        if late:
            _report(process, "does not start", loading)
        return late


def still_loading(process: WorkerProcess, target: str) -> None:
    """Log that the first process is still loading the app.

    It is not killed: the time limit is a setting, and the supervisor gets the settings from this process.
    """
    seconds = time.monotonic() - process.loading_since
    events.emit(events.WorkerProcessLoads(pid=process.pid, target=target, seconds=seconds))


def _report(process: WorkerProcess, why: str, seconds: float) -> None:
    events.emit(events.WorkerProcessHangs(pid=process.pid, why=why, seconds=seconds))
