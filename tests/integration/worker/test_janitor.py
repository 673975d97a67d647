import logging
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from rota.wire.sweep import trimmed_key
from rota.worker.housekeeping.janitor import Janitor
from tests.integration.worker.yard import Yard, message, open_yard


@pytest.fixture
async def yard(any_url: str) -> AsyncIterator[Yard]:
    async with open_yard(any_url) as yard:
        yield yard


def janitor(yard: Yard, size: int = 1000, age: timedelta = timedelta(days=90)) -> Janitor:
    return Janitor(yard.broker, archive_size=size, archive_age=age, limit=50)


async def test_completed_tasks_go_when_their_retention_is_over(yard: Yard) -> None:
    await yard.put("old", "completed", 10)
    await yard.put("kept", "completed", await yard.now() + 60)
    assert await janitor(yard).clean(yard.queues()) == 1
    assert await yard.fields("old") == {}
    assert await yard.members(yard.keys.completed) == ["kept"]


async def test_twenty_thousand_expired_tasks_take_bounded_calls(yard: Yard) -> None:
    script = """
    for i = 1, tonumber(ARGV[1]) do
      redis.call('HSET', KEYS[1] .. 't:' .. i, 'msg', 'm', 'state', 'archived')
      redis.call('ZADD', KEYS[1] .. 'archived', i, i)
    end"""
    await yard.execute("EVAL", script, 1, yard.keys.base, 20_000)
    busy = Janitor(yard.broker, archive_size=10, limit=1000)
    assert await busy.clean(yard.queues()) == 20_000  # all older than 90 days
    assert await yard.names() == {trimmed_key(yard.keys)}


async def test_the_archive_keeps_its_newest_and_counts_what_it_trims(
    yard: Yard, caplog: pytest.LogCaptureFixture
) -> None:
    now = await yard.now()
    for number in range(120):
        await yard.put(f"t{number:03}", "archived", now - 200 + number)
    sweeper = janitor(yard, size=5)
    with caplog.at_level(logging.WARNING, "rota.worker"):
        assert await sweeper.clean(yard.queues()) == 115
    assert await yard.members(yard.keys.archived) == ["t115", "t116", "t117", "t118", "t119"]
    assert await yard.number("GET", trimmed_key(yard.keys)) == 115
    assert sweeper.statistics().trimmed == 115
    assert "Deleted 115 failed tasks for good" in caplog.text


async def test_archived_tasks_go_by_age(yard: Yard) -> None:
    now = await yard.now()
    await yard.put("old", "archived", now - 7200)
    await yard.put("young", "archived", now - 60)
    assert await janitor(yard, age=timedelta(hours=1)).clean(yard.queues()) == 1
    assert await yard.members(yard.keys.archived) == ["young"]


async def test_a_trimmed_task_gives_back_its_lock_but_no_other_task_s(yard: Yard) -> None:
    mine, other, grouped = (f"{yard.keys.base}unique:test:it:{n}" for n in "123")
    await yard.execute("SET", mine, "a")
    await yard.execute("SET", other, "somebody")
    await yard.execute("SET", grouped, "c")
    await yard.put("a", "archived", 1, unique_key=mine)
    await yard.put("b", "archived", 2, unique_key=other)
    # Go stores no lock in the hash of a grouped task: only its message knows.
    await yard.put("c", "archived", 3, msg=message("c", unique_key=grouped), group="g")
    assert await janitor(yard).clean(yard.queues()) == 3
    assert await yard.names() == {other, trimmed_key(yard.keys)}


async def test_an_archived_id_without_a_hash_goes_and_counts_as_no_failure(yard: Yard) -> None:
    await yard.execute("ZADD", yard.keys.archived, 1, "ghost")
    assert await janitor(yard).clean(yard.queues()) == 0
    assert await yard.names() == set()
