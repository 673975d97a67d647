"""Kills processes that are overdue: those that do not start, do not report any more, or do not stop in time."""

import time
from collections.abc import Callable, Iterable

from rota import events
from rota.settings.settings import Settings
from rota.supervisor.kind import Limits
from rota.supervisor.process import ChildProcess

STOP_MARGIN_SECONDS = 15.0
"""How much longer than its time limit, for workers `shutdown_timeout`, a process may take to stop."""
MOST_LAG_SECONDS = 1.0
"""When the supervisor itself was delayed for longer (the machine was frozen or starved), the delay is added to the
time limits of all processes, because they may have stood still as well."""


class Watchdog:
    """Checks the processes every `every_seconds`. Tasks that a killed process held go back to their queues."""

    def __init__(self, settings: Settings, every_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._every_seconds = every_seconds
        self._clock = clock
        self._looked_at = clock()

    def look(self, fleet: Iterable[ChildProcess]) -> bool:
        """Kill the overdue processes. Returns whether one of them was killed because it did not stop."""
        now, fleet = self._clock(), [process for process in fleet if not process.killed]  # each is logged once
        lag, self._looked_at = now - self._looked_at - self._every_seconds, now
        if lag > MOST_LAG_SECONDS:
            for process in fleet:
                process.forgive(lag)
        late = [process for process in fleet if self._does_not_stop(process, now)]
        for process in fleet:
            if process in late or self._hangs(process, now) or self._does_not_start(process, now):
                process.kill()
        return bool(late)

    def _does_not_stop(self, process: ChildProcess, now: float) -> bool:
        limit = self._limits(process).stop.total_seconds() + STOP_MARGIN_SECONDS
        late = process.stop_asked_at is not None and now - process.stop_asked_at > limit
        if late:
            _report(process, "does not stop", now - (process.stop_asked_at or now))
        return late

    def _hangs(self, process: ChildProcess, now: float) -> bool:
        silent, limit = now - process.heard_at, self._limits(process).silence
        late = process.report.ready and limit is not None and silent >= limit.total_seconds()
        if late:
            _report(process, "is silent", silent)
        return late

    def _does_not_start(self, process: ChildProcess, now: float) -> bool:
        loading = now - process.loading_since
        late = not process.loaded and loading >= self._limits(process).start.total_seconds()
        if late:
            _report(process, "does not start", loading)
        return late

    def _limits(self, process: ChildProcess) -> Limits:
        return process.kind.limits(self._settings)


def still_loading(process: ChildProcess, target: str) -> None:
    """Log that the first process is still loading the app.

    It is not killed: the time limit is a setting, and the supervisor gets the settings from this process.
    """
    seconds = time.monotonic() - process.loading_since
    events.emit(events.ChildProcessLoads(**process.about, target=target, seconds=seconds))


def _report(process: ChildProcess, why: str, seconds: float) -> None:
    held = process.kind.owns_tasks
    events.emit(events.ChildProcessHangs(**process.about, why=why, seconds=seconds, owns_tasks=held))
