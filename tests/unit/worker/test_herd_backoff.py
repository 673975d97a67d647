"""When an idle worker steps back from the race for tasks."""

from rota.worker.consume.idle_strategy import LOSSES_BEFORE_BACKOFF, MOST_SECONDS, HerdBackoff


def lose(herd_backoff: HerdBackoff, times: int) -> list[float]:
    pauses = []
    for _ in range(times):
        herd_backoff.racing = True
        herd_backoff.result(0)
        pauses.append(herd_backoff.pause_seconds())
    return pauses


def test_the_first_losses_are_borne_and_then_the_pauses_grow_up_to_a_limit() -> None:
    pauses = lose(HerdBackoff(), 20)
    assert pauses[: LOSSES_BEFORE_BACKOFF - 1] == [0.0] * (LOSSES_BEFORE_BACKOFF - 1)
    assert 0 < pauses[LOSSES_BEFORE_BACKOFF - 1] < 0.05
    assert MOST_SECONDS / 2 <= pauses[-1] <= MOST_SECONDS


def test_one_loss_is_paid_for_once() -> None:
    herd_backoff = HerdBackoff()
    assert lose(herd_backoff, 5)[-1] > 0
    assert herd_backoff.pause_seconds() == 0
    herd_backoff.result(0)
    assert herd_backoff.pause_seconds() == 0


def test_a_task_got_wipes_the_losses_out() -> None:
    herd_backoff = HerdBackoff()
    lose(herd_backoff, 10)
    herd_backoff.racing = True
    herd_backoff.result(1)
    assert lose(herd_backoff, 1) == [0.0]


def test_a_look_that_nobody_raced_for_is_no_loss() -> None:
    herd_backoff = HerdBackoff()
    for _ in range(10):
        herd_backoff.result(0)
        assert herd_backoff.pause_seconds() == 0
