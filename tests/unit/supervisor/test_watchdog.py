"""Which processes are killed, and when, by a clock of the test."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from rota.settings.settings import Settings
from rota.supervisor.messages import ProcessReport
from rota.supervisor.process import ChildProcess
from rota.supervisor.replacement import RestartBackoff
from rota.supervisor.watchdog import MOST_LAG_SECONDS, STOP_MARGIN_SECONDS, Watchdog
from tests.unit.clock import Clock

SETTINGS = Settings(
    process_start_timeout=timedelta(seconds=60),
    process_hang_after=timedelta(seconds=10),
    shutdown_timeout=timedelta(seconds=5),
)


class Marked(ChildProcess):
    """It is marked as killed, and nothing is killed."""

    def __init__(self, clock: Clock, *, loaded: bool = True) -> None:
        class Nothing:
            pid = 4711

        super().__init__("id", cast(Any, Nothing()), RestartBackoff())
        self.loading_since = self.heard_at = clock()
        self.loaded = loaded

    def kill(self) -> None:
        assert not self.killed
        self.killed = True

    def forgive(self, seconds: float) -> None:
        self.loading_since += seconds
        self.heard_at += seconds


class Watch:
    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.clock = Clock()
        self.overdue = Watchdog(settings, 1.0, self.clock)

    def look_until(self, seconds: float, *fleet: ChildProcess) -> list[bool]:
        """Look each second until so long from now."""
        results: list[bool] = []
        for _ in range(int(seconds)):
            self.clock.now += 1
            results.append(self.overdue.look(fleet))
        return results


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_a_process_that_loads_for_too_long_is_killed_once(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    process = Marked(watch.clock, loaded=False)

    assert watch.look_until(59, process) == [False] * 59
    assert not process.killed
    watch.look_until(5, process)

    assert process.killed
    assert caplog.text.count("has not loaded its app for 60 s") == 1


def test_a_process_that_is_silent_is_killed_only_once_it_was_ready_and_only_if_that_is_wanted(watch: Watch) -> None:
    starting, ready = Marked(watch.clock), Marked(watch.clock)
    ready.report = replace(ready.report, ready=True)
    patient = Watch(SETTINGS.updated(process_hang_after=None))
    other = Marked(patient.clock)
    other.report = ProcessReport(ready=True)

    watch.look_until(11, starting, ready)
    patient.look_until(3600, other)

    assert (starting.killed, ready.killed, other.killed) == (False, True, False)


def test_a_process_that_does_not_stop_is_killed_and_told_of(watch: Watch) -> None:
    process, other = Marked(watch.clock), Marked(watch.clock)
    process.stop_asked_at = watch.clock()

    results = watch.look_until(5 + STOP_MARGIN_SECONDS + 2, process, other)

    assert (process.killed, other.killed) == (True, False)
    assert results.count(True) == 1


def test_time_in_which_nobody_looked_counts_against_nobody(watch: Watch) -> None:
    loading, silent = Marked(watch.clock, loaded=False), Marked(watch.clock)
    silent.report = replace(silent.report, ready=True)

    watch.clock.now += 3600
    watch.overdue.look([loading, silent])
    watch.look_until(10 - MOST_LAG_SECONDS - 1, loading, silent)

    assert (loading.killed, silent.killed) == (False, False)
    watch.look_until(3, silent)
    assert silent.killed
