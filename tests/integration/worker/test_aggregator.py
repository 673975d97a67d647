import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from rota.tasks.groups import Aggregators, GroupedTask
from rota.tasks.groups import GroupHandler as Registered
from rota.tasks.job import Plan
from rota.tasks.options import NO_OPTIONS
from rota.wire.fetch import MAX_BYTES
from rota.wire.group import AggregationSet, members
from rota.worker.groups.aggregation import GroupDefaults
from rota.worker.groups.aggregator import Aggregator
from tests.integration.worker.groups import OLD, Collector, coroutine_of, fill, part, pending
from tests.integration.worker.yard import QUEUE, Yard, message, open_yard


@pytest.fixture
async def yard(any_url: str) -> AsyncIterator[Yard]:
    async with open_yard(any_url) as yard:
        yield yard


async def test_a_quiet_group_becomes_one_task_and_leaves_nothing(yard: Yard) -> None:
    await fill(yard, "g", "abc", headers={"k": "v"})
    collector = Collector()
    aggregator = part(yard, collector)
    assert await aggregator.aggregate() == 1
    (group, tasks), *_ = collector.got
    assert (group, [task.id for task in tasks]) == ("g", ["a", "b", "c"])
    assert (tasks[0].type, tasks[0].payload, dict(tasks[0].headers)) == ("test:it", b"a", {"k": "v"})
    (made,) = await yard.members(yard.keys.pending)
    told = await yard.message(made)
    assert (told.type, told.payload, told.queue) == ("digest:send", b"a+b+c", QUEUE)
    left = {name for name in await yard.names() if "processed" not in name and "minute" not in name}
    assert left == {yard.keys.pending, yard.keys.task(made)}
    assert await yard.number("GET", yard.keys.processed) == 3
    assert aggregator.statistics().tasks == 3


async def test_a_group_that_is_still_being_joined_is_left(yard: Yard) -> None:
    await fill(yard, "g", "a")
    await yard.grouped("b", "g", await yard.now())
    assert await part(yard, Collector(), grace="5s").aggregate() == 0
    assert await yard.members(yard.keys.group("g")) == ["a", "b"]


async def test_the_oldest_task_waits_no_longer_than_the_longest_delay(yard: Yard) -> None:
    now = await yard.now()
    await fill(yard, "g", "ab", now - 100)
    await yard.grouped("new", "g", now, msg=message("new", payload=b"n"))
    assert await part(yard, Collector(), grace="90s", max_delay="95s").aggregate() == 1
    assert await pending(yard) == [b"a+b+n"]


async def test_a_large_group_becomes_several_tasks_in_one_go_and_the_rest_waits(yard: Yard) -> None:
    await fill(yard, "g", "abcdefg", await yard.now())
    assert await part(yard, Collector(), max_size=3).aggregate() == 2
    assert await pending(yard) == [b"a+b+c", b"d+e+f"]
    assert await yard.members(yard.keys.group("g")) == ["g"]
    assert await yard.members(yard.keys.groups) == ["g"]


async def test_a_group_without_an_aggregator_is_left_alone(yard: Yard) -> None:
    await fill(yard, "g", "ab")
    assert await part(yard, Collector(), type="other:type").aggregate() == 0
    assert await yard.members(yard.keys.group("g")) == ["a", "b"]
    assert await yard.members(yard.keys.groups) == ["g"]


async def test_tasks_of_several_types_go_to_their_own_aggregators(yard: Yard) -> None:
    await fill(yard, "g", "ab", type="mail:one")
    await fill(yard, "g", "cd", OLD + 10, type="sms:one")
    await fill(yard, "g", "x", OLD + 20, type="foreign:one")
    mails, texts = Collector(), Collector()
    registry = Aggregators()
    registry.add(Registered(coroutine_of(mails), type="mail:one"))
    registry.add(Registered(coroutine_of(texts), type="sms:one"))
    aggregator = Aggregator(yard.broker, yard.queues, registry.find)
    assert await aggregator.aggregate() + await aggregator.aggregate() == 2
    assert [task.id for task in mails.got[0][1]] == ["a", "b"]
    assert [task.id for task in texts.got[0][1]] == ["c", "d"]
    assert await yard.members(yard.keys.group("g")) == ["x"]
    assert float(await yard.execute("ZSCORE", yard.keys.group("g"), "x")) == OLD + 20
    assert await yard.members(yard.keys.groups) == ["g"]


async def test_locks_of_the_tasks_are_given_back(yard: Yard) -> None:
    own, foreign = f"{yard.keys.base}unique:test:it:1", f"{yard.keys.base}unique:test:it:2"
    await yard.execute("SET", own, "a")
    await yard.execute("SET", foreign, "somebody")
    await yard.grouped("a", "g", OLD, msg=message("a", unique_key=own))
    await yard.grouped("b", "g", OLD, msg=message("b", unique_key=foreign))
    await part(yard, Collector()).aggregate()
    assert own not in await yard.names()
    assert foreign in await yard.names()


async def test_none_drops_the_tasks(yard: Yard) -> None:
    async def nothing(group: str, tasks: list[GroupedTask]) -> None:
        return None

    await fill(yard, "g", "ab")
    assert await part(yard, nothing).aggregate() == 1
    assert {name for name in await yard.names() if "processed" not in name and "minute" not in name} == set()


async def test_a_result_may_be_delayed_unique_or_grouped_again(yard: Yard) -> None:
    async def regroup(group: str, tasks: list[GroupedTask]) -> Plan[Any]:
        return Plan("digest:send", b"", NO_OPTIONS.updated(group="daily", queue="elsewhere"))

    await fill(yard, "g", "ab")
    assert await part(yard, regroup, type="test:it").aggregate() == 1
    (made,) = await yard.members(yard.keys.group("daily"))
    assert await yard.members(yard.keys.groups) == ["daily"]
    assert (await yard.message(made)).queue == QUEUE


async def test_ten_thousand_tasks_are_aggregated_by_bounded_scripts(yard: Yard) -> None:
    script = """
    for i = 1, tonumber(ARGV[2]) do
      redis.call('HSET', KEYS[1] .. 't:' .. i, 'msg', ARGV[1], 'state', 'aggregating', 'group', 'g')
      redis.call('ZADD', KEYS[1] .. 'g:g', i, i)
    end
    redis.call('SADD', KEYS[1] .. 'groups', 'g')"""
    await yard.execute("EVAL", script, 1, yard.keys.base, message("x"), 10_500)
    collector = Collector()
    assert await part(yard, collector).aggregate() == 2
    assert [len(tasks) for _, tasks in collector.got] == [10_000, 500]
    assert await yard.number("GET", yard.keys.processed) == 10_500


async def test_an_empty_group_is_no_longer_listed(yard: Yard) -> None:
    await yard.execute("SADD", yard.keys.groups, "left over")
    await part(yard, Collector()).aggregate()
    assert await yard.names() == set()


async def test_a_plain_function_runs_beside_the_loop(yard: Yard) -> None:
    threads: list[int] = []

    def plain(group: str, tasks: list[GroupedTask]) -> Plan[Any]:
        threads.append(threading.get_ident())
        return Plan("digest:send", b"", NO_OPTIONS)

    await fill(yard, "g", "a")
    registry = Aggregators()
    registry.add(Registered(plain))
    assert await Aggregator(yard.broker, yard.queues, registry.find).aggregate() == 1
    assert threads != [threading.get_ident()]


async def test_settings_say_when_a_group_is_due_if_its_aggregator_does_not(yard: Yard) -> None:
    await fill(yard, "g", "ab", await yard.now() - 5)
    registry = Aggregators()
    registry.add(Registered(coroutine_of(Collector())))
    defaults = GroupDefaults(grace=timedelta(seconds=2))
    assert await Aggregator(yard.broker, yard.queues, registry.find).aggregate() == 0
    assert await Aggregator(yard.broker, yard.queues, registry.find, defaults).aggregate() == 1


async def test_a_group_whose_messages_are_large_is_read_in_several_replies(yard: Yard) -> None:
    payload = b"x" * (MAX_BYTES // 2 - 1000)
    for number in range(5):
        await yard.grouped(str(number), "g", OLD + number, msg=message(str(number), payload=payload))
    taken = AggregationSet(yard.keys, "g", "s")
    await yard.execute("RENAME", yard.keys.group("g"), taken.key)
    pages = [await yard.broker.run(members(taken, first)) for first in (0, 2, 4)]
    assert [([each.id for each in page.members], page.more) for page in pages] == [
        (["0", "1"], True),
        (["2", "3"], True),
        (["4"], False),
    ]
    await yard.execute("RENAME", taken.key, yard.keys.group("g"))
    collector = Collector()
    assert await part(yard, collector).aggregate() == 1
    [(_, tasks)] = collector.got
    assert [task.id for task in tasks] == ["0", "1", "2", "3", "4"]
