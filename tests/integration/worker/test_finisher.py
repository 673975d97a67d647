"""What the finisher does when the server has another opinion."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from rota.wire.record import Outcome
from rota.worker.attempt import Attempt
from rota.worker.finisher import Finisher
from tests.integration.worker.yard import Yard, open_yard


@pytest.fixture
async def yard(any_url: str) -> AsyncIterator[Yard]:
    async with open_yard(any_url) as yard:
        yield yard


async def test_a_task_handed_back_unread_that_another_has_taken_meanwhile_holds_up_no_outcome(
    yard: Yard, caplog: pytest.LogCaptureFixture
) -> None:
    await yard.active("taken", 1e12, rota_token="theirs")
    await yard.active("done", 1e12, rota_token="ours")
    recorded: list[str] = []
    finisher = Finisher(yard.broker, lambda: None, lambda attempt: recorded.append(attempt.id), 100)
    running = asyncio.create_task(finisher.run())
    # It came during a stop: nobody has read its message.
    finisher.add(Attempt(yard.keys, "ours", "taken", b"", 1e12), Outcome("taken", "ours", "requeue"))
    await asyncio.wait_for(finisher.flush(), 5)
    finisher.add(Attempt(yard.keys, "ours", "done", b"", 1e12), None)
    await asyncio.wait_for(finisher.flush(), 5)
    running.cancel()
    assert recorded == ["taken", "done"]
    assert finisher.statistics.discarded == 1
    assert await yard.members(yard.keys.active) == ["taken"]
    assert "Late result of task taken () discarded" in caplog.text
