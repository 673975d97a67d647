"""Waits for replication that share a connection."""

import asyncio
from unittest.mock import Mock

import pytest

from rota.client.replicas import Rounds
from rota.errors import BrokerUnavailable


async def test_a_round_that_other_code_has_cancelled_ends_only_the_waits_that_shared_it() -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def ask(link: object) -> int:
        asked.set()
        await go.wait()
        return 1

    rounds, link = Rounds(ask), Mock()
    first = asyncio.create_task(rounds.next(link))
    async with asyncio.timeout(30):
        await asked.wait()
    second = asyncio.create_task(rounds.next(link))
    for _ in range(2):  # it makes the next round, which then waits for the end of the present one
        await asyncio.sleep(0)
    assert rounds._next is not None
    rounds._next.cancel()
    with pytest.raises(BrokerUnavailable):
        await second
    third = asyncio.create_task(rounds.next(link))
    go.set()
    async with asyncio.timeout(20):
        assert (await first, await third) == (1, 1)
