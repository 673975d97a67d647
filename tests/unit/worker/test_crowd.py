"""When an idle worker steps back from the race for tasks."""

from rota.worker.crowd import LOSSES_BEFORE_BACKOFF, MOST_SECONDS, Crowd


def lose(crowd: Crowd, times: int) -> list[float]:
    pauses = []
    for _ in range(times):
        crowd.race()
        crowd.result(0)
        pauses.append(crowd.pause_seconds())
    return pauses


def test_the_first_losses_are_borne_and_then_the_pauses_grow_up_to_a_limit() -> None:
    pauses = lose(Crowd(), 20)
    assert pauses[: LOSSES_BEFORE_BACKOFF - 1] == [0.0] * (LOSSES_BEFORE_BACKOFF - 1)
    assert 0 < pauses[LOSSES_BEFORE_BACKOFF - 1] < 0.05
    assert MOST_SECONDS / 2 <= pauses[-1] <= MOST_SECONDS


def test_one_loss_is_paid_for_once() -> None:
    crowd = Crowd()
    assert lose(crowd, 5)[-1] > 0
    assert crowd.pause_seconds() == 0
    crowd.result(0)
    assert crowd.pause_seconds() == 0


def test_a_task_got_wipes_the_losses_out() -> None:
    crowd = Crowd()
    lose(crowd, 10)
    crowd.race()
    crowd.result(1)
    assert lose(crowd, 1) == [0.0]


def test_a_look_that_nobody_raced_for_is_no_loss() -> None:
    crowd = Crowd()
    for _ in range(10):
        crowd.result(0)
        assert crowd.pause_seconds() == 0
