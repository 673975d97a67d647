"""Going through all that a broker holds, in bounded steps."""

import math
from collections.abc import AsyncIterator

import pytest

from rota.wire.reconcile import BEGIN, MAX_QUEUES, places
from rota.worker.housekeeping.scan import KeyScan, PlaceScan
from tests.integration.worker.yard import QUEUE, Yard, open_yard


@pytest.fixture
async def yard(any_url: str) -> AsyncIterator[Yard]:
    async with open_yard(any_url) as yard:
        yield yard


async def test_any_backlog_is_walked_through_in_bounded_steps(yard: Yard) -> None:
    script = """
    for i = 1, 20000 do
      redis.call('HSET', KEYS[1] .. 't:' .. i, 'msg', 'm', 'state', 'retry')
      redis.call('ZADD', KEYS[1] .. 'archived', i, 'ghost' .. i)
    end"""
    await yard.execute("EVAL", script, 1, yard.keys.base)
    places_walk, keys_walk = PlaceScan(yard.broker, calls=10), KeyScan(yard.broker, pages=3)
    lost: set[bytes] = set()
    ghosts: set[bytes] = set()
    for _ in range(20):
        once_ghosts = {finding.id for _, finding in await places_walk.go([QUEUE])}
        once_lost = {finding.id for _, finding in (await keys_walk.go([QUEUE]))[0]}
        assert max(len(once_ghosts), len(once_lost)) < 7000
        lost |= once_lost
        ghosts |= once_ghosts
    assert (len(lost), len(ghosts)) == (20_000, 20_000)


async def test_queues_that_wait_longest_are_walked_first(yard: Yard) -> None:
    walk = PlaceScan(yard.broker, calls=1)
    names = [f"queue-{number}" for number in range(20)]
    for name in names:
        await yard.execute("LPUSH", yard.broker.keys.queue(name).pending, "ghost")
    step = 1 if yard.broker.clustered else MAX_QUEUES
    rounds = math.ceil(20 / step)
    seen = [{queue.queue for queue, _ in await walk.go(names)} for _ in range(rounds)]
    assert set().union(*seen) == set(names)
    assert sum(map(len, seen)) == rounds * step


async def test_a_page_says_where_to_go_on(yard: Yard) -> None:
    for number in range(7):
        await yard.put(f"t{number}", "pending")
    [page] = await yard.broker.run(places({yard.keys: BEGIN}, 5))
    assert page.cursors == ("", "", "5", "", "", "", "")
    [page] = await yard.broker.run(places({yard.keys: page.cursors}, 5))
    assert not any(page.cursors)
