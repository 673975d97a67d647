"""How often and how long a request is tried again."""

import pytest

from rota.broker.failure import NotNow, SlotMoved
from rota.broker.retry_budget import RetryBudget, pause_seconds
from rota.broker.url import Endpoint


def test_pauses_grow_are_bounded_and_differ() -> None:
    for failures in range(1, 50):
        assert 0 < pause_seconds(failures) <= 2.0
    assert pause_seconds(1) <= 0.02
    assert pause_seconds(20) >= 1.0
    assert len({pause_seconds(3) for _ in range(20)}) > 1


def test_without_patience_the_first_failure_is_final() -> None:
    with pytest.raises(NotNow, match="down"):
        RetryBudget(0).pause_after(NotNow("down"))


def test_a_redirection_is_followed_at_once_but_not_for_ever() -> None:
    patience = RetryBudget(0)
    moved = SlotMoved("moved", slot=1, endpoint=Endpoint(), ask=False)
    for _ in range(5):
        assert patience.pause_after(moved) == 0
    with pytest.raises(SlotMoved):
        patience.pause_after(moved)
