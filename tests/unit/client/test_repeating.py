"""What was lost once stays told: the task may be there, whatever the next sending meets."""

import pytest

from rota.client.repeating import repeated, repeated_sync
from rota.errors import BrokerRefused, BrokerUnavailable

LOST = BrokerUnavailable("lost", maybe_applied=True)
AWAY = BrokerUnavailable("away")


class Asked:
    def __init__(self, *outcomes: object) -> None:
        self.outcomes = list(outcomes)

    def __call__(self) -> object:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def later(self) -> object:
        return self()


@pytest.mark.parametrize(
    ("outcomes", "error"),
    [
        ((AWAY,), AWAY),
        ((LOST, AWAY), LOST),
        ((LOST, LOST, LOST), LOST),
        ((LOST, refused := BrokerRefused("no")), refused),
    ],
)
async def test_a_request_that_may_have_arrived_is_never_told_as_one_that_did_not(
    outcomes: tuple[Exception, ...], error: Exception
) -> None:
    for lost in (None, LOST) if outcomes[0] is LOST else (None,):
        rest = outcomes[1:] if lost else outcomes
        with pytest.raises(type(error)) as caught:
            await repeated(Asked(*rest).later, lost)
        assert caught.value is error
        with pytest.raises(type(error)) as caught:
            repeated_sync(Asked(*rest), lost)
        assert caught.value is error


async def test_a_lost_reply_is_asked_for_again() -> None:
    assert await repeated(Asked(LOST, LOST, 7).later) == 7
    assert repeated_sync(Asked(LOST, 7)) == 7
    assert await repeated(Asked(LOST, 7).later, LOST) == 7
