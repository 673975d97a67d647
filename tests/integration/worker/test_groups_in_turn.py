"""Which of the groups that are due come first, how many run at the same time, and what a look at them costs."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from rota.tasks.groups import Aggregators, GroupedTask
from rota.tasks.groups import GroupHandler as Registered
from rota.tasks.job import Plan
from rota.tasks.options import NO_OPTIONS
from rota.worker.groups import aggregation
from rota.worker.groups.aggregation import AggregatorOptions, GroupDefaults
from rota.worker.groups.aggregator import Aggregator
from tests.integration.worker.conftest import eventually
from tests.integration.worker.groups import OLD
from tests.integration.worker.yard import Yard, open_yard


@pytest.fixture
async def yard(any_url: str) -> AsyncIterator[Yard]:
    async with open_yard(any_url) as yard:
        yield yard


class Gate:
    """An aggregate function that notes the groups it is called for and ends when it may."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.begun: list[str] = []
        self.may_end = asyncio.Event()
        if is_open:
            self.may_end.set()

    async def __call__(self, group: str, tasks: list[GroupedTask]) -> Plan[Any]:
        self.begun.append(group)
        await self.may_end.wait()
        return Plan("digest:send", b"", NO_OPTIONS)

    async def begins(self, *groups: str) -> None:
        async def begun() -> bool:
            return set(groups) <= set(self.begun)

        await eventually(begun)


@asynccontextmanager
async def running(yard: Yard, *registered: Registered, **words: Any) -> AsyncIterator[Aggregator]:
    registry = Aggregators()
    for each in registered:
        registry.add(each)
    defaults = GroupDefaults(timedelta(minutes=10))
    options = AggregatorOptions(timedelta(minutes=5), **words)
    aggregator = Aggregator(yard.broker, yard.queues, registry.find, defaults, options)
    task = asyncio.create_task(aggregator.run())
    try:
        yield aggregator
    finally:
        task.cancel()
        await asyncio.wait([task])


async def fill(yard: Yard, *groups: str, tasks: int = 1) -> None:
    for group in groups:
        for number in range(tasks):
            await yard.grouped(f"{group}-{number}", group, await yard.now())


async def test_aggregator_that_takes_long_does_not_hold_up_the_groups_of_another(yard: Yard) -> None:
    slow, quick = Gate(is_open=False), Gate()
    both = Registered(slow, group="slow-*", max_size=1), Registered(quick, group="quick-*", max_size=1)
    async with running(yard, *both, at_once=2) as aggregator:
        await fill(yard, "slow-1", "slow-2", "slow-3")
        await eventually(lambda: asyncio.sleep(0, len(slow.begun) == 2))
        await fill(yard, "quick-1", "quick-2", "quick-3")
        await quick.begins("quick-1", "quick-2", "quick-3")
        assert len(slow.begun) == 2
        assert aggregator.statistics().running >= 2
        slow.may_end.set()
        await slow.begins("slow-1", "slow-2", "slow-3")


async def test_ten_groups_of_one_aggregator_are_aggregated_at_the_same_time(yard: Yard) -> None:
    slow = Gate(is_open=False)
    async with running(yard, Registered(slow, max_size=1)):
        names = [f"g{number}" for number in range(10)]
        await fill(yard, *names)
        await slow.begins(*names)


async def test_full_group_comes_before_those_whose_time_has_come(yard: Yard) -> None:
    gate = Gate(is_open=False)
    async with running(yard, Registered(gate, max_size=3, grace="1s"), at_once=1) as aggregator:
        await fill(yard, "first", tasks=3)
        await gate.begins("first")
        await fill(yard, *(f"old-{number}" for number in range(5)))

        def due() -> set[str]:
            return {key[1] for waiting in aggregator._waiting.values() for key in waiting}

        await eventually(lambda: asyncio.sleep(0, len(due()) == 5))
        await fill(yard, "full", tasks=3)
        await eventually(lambda: asyncio.sleep(0, "full" in due()))
        gate.may_end.set()
        await gate.begins("full", *(f"old-{number}" for number in range(5)))
    assert gate.begun[:2] == ["first", "full"]


async def test_new_group_is_found_without_a_look_at_those_that_wait(yard: Yard) -> None:
    async def read() -> int:
        reply = await yard.execute("INFO", "commandstats")
        zcards = (line for line in reply.decode().splitlines() if line.startswith("cmdstat_zcard:"))
        return sum(int(each.split("calls=")[1].split(",")[0]) for each in zcards)

    gate = Gate()
    async with running(yard, Registered(gate, max_size=3)) as aggregator:
        waiting = [f"w{number}" for number in range(300)]
        await fill(yard, *waiting)
        await eventually(lambda: asyncio.sleep(0, len(aggregator._due_groups.due) == 300))
        aggregator._due_groups.next_look["yard"] += 3600
        before = await read()
        for number in range(5):
            await fill(yard, f"full-{number}", tasks=3)
            await gate.begins(f"full-{number}")
        assert await read() - before < 300


async def test_groups_that_are_gone_from_the_list_are_forgotten_and_found_again(yard: Yard) -> None:
    gate = Gate()
    async with running(yard, Registered(gate, max_size=3)) as aggregator:
        await fill(yard, "a", "b")
        await eventually(lambda: asyncio.sleep(0, len(aggregator._due_groups.due) == 2))
        await yard.execute("DEL", yard.keys.group("a"))
        await yard.execute("SREM", yard.keys.groups, "a")
        await eventually(lambda: asyncio.sleep(0, set(aggregator._due_groups.due) == {("yard", "b")}))
        await fill(yard, "a", tasks=3)
        await gate.begins("a")


async def tracked_keys(yard: Yard) -> int:
    """How many keys the servers remember for the connections that they notify. All nodes of a Cluster answer."""
    reply = await yard.execute("INFO", "stats")
    lines = [line for line in reply.decode().splitlines() if line.startswith("tracking_total_keys:")]
    assert lines
    return sum(int(line.split(":")[1]) for line in lines)


async def test_groups_that_were_aggregated_are_no_longer_watched(yard: Yard) -> None:
    before, gate = await tracked_keys(yard), Gate()
    async with running(yard, Registered(gate)) as aggregator:
        for number in range(30):
            await yard.grouped(f"t{number}", f"g{number}", OLD)  # its grace is over
            await gate.begins(f"g{number}")
        await eventually(lambda: asyncio.sleep(0, aggregator.statistics().sets == 30))
        # When a new group has been found, the changes that were noted before it have been handled too.
        await fill(yard, "last")
        await eventually(lambda: asyncio.sleep(0, set(aggregator._due_groups.due) == {("yard", "last")}))
        assert len(aggregator._watch._watched) <= 5
        assert await tracked_keys(yard) - before <= 8


@pytest.mark.parametrize("words", [{}, {"max_size": 1}], ids=["unsized", "sized"])
@pytest.mark.parametrize("moment", ["at once", "during", "after"])
async def test_group_that_is_created_again_is_found(yard: Yard, moment: str, words: dict[str, Any]) -> None:
    gate = Gate(is_open=False)
    async with running(yard, Registered(gate, **words)) as aggregator:

        async def aggregated(sets: int) -> None:
            await eventually(lambda: asyncio.sleep(0, aggregator.statistics().sets == sets))

        due_groups = aggregator._due_groups
        await eventually(lambda: asyncio.sleep(0, "yard" in due_groups.next_look))
        due_groups.next_look["yard"] += 3600
        await yard.grouped("t0", "g", OLD)
        await gate.begins("g")
        for number in range(1, 6):
            if moment != "at once":  # the aggregator has seen that the group is no longer listed
                await eventually(lambda: asyncio.sleep(0, "g" not in due_groups.seen["yard"]))
            if moment == "after":
                gate.may_end.set()
                await aggregated(number)
            gate.begun.clear()
            await yard.grouped(f"t{number}", "g", OLD)
            gate.may_end.set()
            await gate.begins("g")


async def test_plain_aggregator_that_hangs_keeps_its_slots_until_its_threads_end(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(aggregation, "_MARGIN_SECONDS", aggregation.ALLOWED.total_seconds() - 1)
    begun: list[str] = []
    may_end = threading.Event()

    def hang(group: str, tasks: list[GroupedTask]) -> Plan[Any]:
        begun.append(group)
        may_end.wait()
        return Plan("digest:send", b"", NO_OPTIONS)

    quick = Gate()
    both = Registered(hang, group="slow-*", max_size=1), Registered(quick, group="quick-*", max_size=1)
    async with running(yard, *both, at_once=2) as aggregator:
        try:
            await fill(yard, *(f"slow-{number}" for number in range(5)))

            def timed_out() -> bool:
                statistics = aggregator.statistics()
                return statistics.failures >= 2 and statistics.running == 0

            await eventually(lambda: asyncio.sleep(0, timed_out()))
            monkeypatch.undo()  # the others have the usual limit
            await fill(yard, "quick-1", "quick-2", "quick-3")
            await quick.begins("quick-1", "quick-2", "quick-3")
            assert len(begun) == 2
        finally:
            may_end.set()
        await eventually(lambda: asyncio.sleep(0, len(set(begun)) == 5))
    assert [each.levelname for each in caplog.records if "still runs in its thread" in each.message] == ["WARNING"]
