import pytest

from rota.tasks.policy import default_delay_seconds


@pytest.mark.parametrize(
    ("retried", "shortest", "longest"),
    [(0, 15, 44), (1, 16, 74), (2, 31, 118), (3, 96, 212), (10, 10015, 10334), (24, 331791, 332516)],
)
def test_the_delay_grows_as_in_asynq(retried: int, shortest: int, longest: int):
    assert default_delay_seconds(retried, lambda n: 0) == shortest
    assert default_delay_seconds(retried, lambda n: n - 1) == longest


def test_the_delay_is_drawn_at_random():
    assert {default_delay_seconds(0) for _ in range(1000)} == set(range(15, 45))
