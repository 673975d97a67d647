"""What one look says of a queue."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from rota.wire.recover import Slack
from rota.wire.sweep import Need, SweepLimits, look
from tests.integration.worker.sweeping import LIMITS
from tests.integration.worker.yard import Yard, open_yard


@pytest.fixture
async def yard(any_url: str) -> AsyncIterator[Yard]:
    async with open_yard(any_url) as yard:
        yield yard


async def needs(yard: Yard, limits: SweepLimits = LIMITS) -> Need:
    seen = await yard.broker.run(look([yard.keys], limits))
    assert seen is not None
    return seen[0].need


async def test_an_empty_queue_needs_nothing(yard: Yard) -> None:
    assert await needs(yard) == Need(0)


@pytest.mark.parametrize("state", ["scheduled", "retry"])
async def test_the_look_sees_due_tasks(yard: Yard, state: str) -> None:
    await yard.put("later", state, await yard.now() + 60)
    assert await needs(yard) == Need.HELD
    await yard.put("due", state, 5)
    assert await needs(yard) == Need.HELD | Need.FORWARD


async def test_the_look_sees_waiting_tasks_but_not_of_a_paused_queue(yard: Yard) -> None:
    await yard.put("waiting", "pending")
    assert await needs(yard) == Need.HELD | Need.WAITING
    await yard.execute("SET", yard.keys.paused, 1)
    assert await needs(yard) == Need.HELD


async def test_the_look_sees_what_has_had_its_time(yard: Yard) -> None:
    await yard.put("kept", "completed", await yard.now() + 60)
    await yard.put("young", "archived", await yard.now())
    assert await needs(yard) == Need.HELD
    assert await needs(yard, LIMITS._replace(archive_size=0)) == Need.HELD | Need.TRIM
    await yard.put("over", "completed", 5)
    await yard.put("old", "archived", 5)
    assert await needs(yard) == Need.HELD | Need.EXPIRED | Need.TRIM


# Nobody comes to be dead while the test looks, however long that takes.
SLOW = LIMITS._replace(slack=Slack(timedelta(minutes=1), timedelta(minutes=5)))


async def dies_at(yard: Yard, limits: SweepLimits = SLOW) -> tuple[Need, float, float]:
    """What one look needs, and between which moments of the server the first counts as dead by it."""
    before = await yard.now()
    [seen] = await yard.broker.run(look([yard.keys], limits)) or []
    assert seen.dead_in is not None
    # It is told to a thousandth of a second.
    return seen.need, before + seen.dead_in - 0.002, await yard.now() + seen.dead_in + 0.002


async def test_the_look_sees_the_dead_by_whose_they_are(yard: Yard) -> None:
    now = int(await yard.now())
    await yard.active("living", now + 20.5)
    await yard.active("slow", now - 2.5)
    await yard.active("of-go", now - 200)
    assert await needs(yard, SLOW) == Need.HELD
    await yard.active("dead", now - 61.5)
    assert await needs(yard, SLOW) == Need.HELD | Need.RECOVER
    await yard.execute("ZADD", yard.keys.lease, now - 301, "dead")
    assert await needs(yard, SLOW) == Need.HELD | Need.RECOVER


async def test_the_look_says_when_the_first_counts_as_dead(yard: Yard) -> None:
    now = int(await yard.now())
    await yard.active("of-go", now - 200)
    _, earliest, latest = await dies_at(yard)
    assert earliest <= now + 100 <= latest
    await yard.active("ours", now - 0.5)
    _, earliest, latest = await dies_at(yard)
    assert earliest <= now + 59.5 <= latest


async def test_one_that_is_dead_does_not_hide_the_next_to_die(yard: Yard) -> None:
    now = int(await yard.now())
    await yard.active("dead", now - 70.5)
    await yard.active("dying", now - 1.5)
    need, earliest, latest = await dies_at(yard)
    assert Need.RECOVER in need
    assert earliest <= now + 58.5 <= latest


async def test_the_look_tells_of_leases_that_run_out_before_the_next_look(yard: Yard) -> None:
    now = int(await yard.now())
    await yard.active("late", now + 60.5)
    [seen] = await yard.broker.run(look([yard.keys], SLOW)) or []
    assert seen.dead_in is None
    need, earliest, latest = await dies_at(yard, SLOW._replace(ahead=timedelta(seconds=90)))
    assert Need.RECOVER not in need
    assert earliest <= now + 120.5 <= latest


async def test_the_look_sees_dead_aggregations_and_uneven_leases(yard: Yard) -> None:
    await yard.execute("ZADD", yard.keys.aggregation_sets, await yard.now() + 60, "living")
    assert await needs(yard) == Need(0)
    await yard.execute("ZADD", yard.keys.aggregation_sets, 5, "dead")
    assert await needs(yard) == Need.RECLAIM
    await yard.execute("DEL", yard.keys.aggregation_sets)
    await yard.put("unleased", "active")
    assert await needs(yard) == Need.HELD | Need.UNEVEN
