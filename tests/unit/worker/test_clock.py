import time

from rota.worker.clock import BrokerClock


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
