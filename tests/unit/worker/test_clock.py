import time
from types import SimpleNamespace

import pytest

from rota.worker.clock import BrokerClock
from tests.unit.clock import Clock


def test_it_shows_the_server_s_time_and_goes_on_by_the_machine_s_monotonic_clock() -> None:
    clock = BrokerClock()
    clock.set(5000.0)
    assert 5000.0 <= clock.now() < 5010
    assert clock.monotonic(clock.now() + 100) - time.monotonic() > 90


def test_a_server_s_clock_that_was_set_ahead_is_noticed_and_one_that_was_just_met_is_not() -> None:
    clock = BrokerClock()
    clock.set(5000.0)
    assert not clock.jumped_within(60)
    clock.set(5000.0 + 3600)
    assert clock.jumped_within(60)
    assert not clock.jumped_within(0)


def test_a_reply_that_was_read_late_and_the_next_in_time_are_no_jump() -> None:
    clock = BrokerClock()
    clock.set(5000.0)
    clock.set(4940.0)  # sent a minute ago: the event loop was blocked
    clock.set(5000.1)
    assert not clock.jumped_within(60)


def test_a_server_s_clock_that_was_set_back_for_a_while_and_then_ahead_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Clock()
    monkeypatch.setattr("rota.worker.clock.time", SimpleNamespace(monotonic=machine, time=time.time))
    clock = BrokerClock()

    def replies(server_ahead_by: float, seconds: int) -> bool:
        """Read a reply in each second; return whether the clock seems to have jumped in one of them."""
        found = []
        for _ in range(seconds):
            machine.now += 1
            clock.set(machine.now + server_ahead_by)
            found.append(clock.jumped_within(0.5))
        return any(found)

    assert not replies(5000, 60)
    assert not replies(4940, 20)
    assert replies(5000, 1)
    assert not replies(5000, 60)
