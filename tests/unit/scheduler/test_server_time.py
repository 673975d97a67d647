"""The estimate of the server's time from answers that take longer and shorter."""

from rota.scheduler.server_time import ServerTime


def shown(clock: ServerTime) -> float:
    """The server's time at monotonic 0."""
    return clock._offset


def test_fastest_answer_decides() -> None:
    clock = ServerTime()
    clock.set(1000.0, sent_at=10.0, read_at=10.4)
    clock.set(1001.0, sent_at=11.0, read_at=11.001)
    clock.set(1002.0, sent_at=12.0, read_at=12.3)
    assert abs(shown(clock) - 989.999) < 1e-9


def test_estimate_never_runs_ahead_of_the_server() -> None:
    clock = ServerTime()
    clock.set(1000.0, sent_at=9.9, read_at=10.1)
    assert shown(clock) + 10.1 <= 1000.0


def test_clock_that_was_set_is_followed_at_once() -> None:
    clock = ServerTime()
    clock.set(1000.0, sent_at=10.0, read_at=10.001)
    clock.set(4600.0, sent_at=11.0, read_at=11.2)
    assert abs(shown(clock) - 4588.8) < 1e-9
    clock.set(1002.0, sent_at=12.0, read_at=12.1)
    assert abs(shown(clock) - 989.9) < 1e-9
    assert clock.jumps == 2


def test_slow_answer_is_not_taken_for_a_jump() -> None:
    clock = ServerTime()
    clock.set(1000.0, sent_at=10.0, read_at=10.001)
    clock.set(1001.0, sent_at=11.0, read_at=18.0)  # the reply waited for a busy event loop
    assert clock.jumps == 0
    assert abs(shown(clock) - 989.999) < 1e-9
