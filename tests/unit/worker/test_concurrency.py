"""When a task that waits for the limit of its type is called up again."""

import pytest

from rota.worker.run import concurrency as turnover
from rota.worker.run.concurrency import MOST_SECONDS, Turnover


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(turnover, "time", clock)
    monkeypatch.setattr(turnover.RANDOM, "uniform", lambda least, most: 1.0)
    return clock


def test_behind_a_quick_type_it_is_soon(clock: Clock) -> None:
    type_ = Turnover()
    clock.now += 0.01
    type_.end()
    assert type_.wait_seconds() == 1.0


def test_behind_a_slow_type_it_is_about_as_long_as_a_run(clock: Clock) -> None:
    type_ = Turnover()
    clock.now += 12
    assert type_.wait_seconds() == 12, "the first run is still under way"
    type_.end()
    assert type_.wait_seconds() == 12
    clock.now += 300
    assert type_.wait_seconds() == MOST_SECONDS


def test_a_time_in_which_nothing_ran_does_not_count(clock: Clock) -> None:
    type_ = Turnover()
    clock.now += 3600
    type_.begin()
    assert type_.wait_seconds() == 1.0
