"""Groups are aggregated when they are due, whatever the settings say and whoever fills them, and not by polling."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from rota.app import Rota
from rota.tasks.groups import Aggregators, GroupedTask
from rota.tasks.groups import GroupHandler as Registered
from rota.tasks.job import Plan
from rota.tasks.options import NO_OPTIONS
from rota.worker.groups.aggregation import AggregatorOptions, GroupDefaults
from rota.worker.groups.aggregator import Aggregator
from tests.integration.worker.conftest import Bench, eventually
from tests.integration.worker.yard import Yard, message, open_yard


@pytest.fixture
async def yard(any_url: str) -> AsyncIterator[Yard]:
    async with open_yard(any_url) as yard:
        yield yard


class Stopwatch:
    """An aggregate function that notes at which time of the server it was called, with how many tasks."""

    def __init__(self, yard: Yard) -> None:
        self._yard = yard
        self.calls: list[tuple[str, float, int]] = []

    async def __call__(self, group: str, tasks: list[GroupedTask]) -> Plan[Any]:
        self.calls.append((group, await self._yard.now(), len(tasks)))
        return Plan("digest:send", b"", NO_OPTIONS)

    async def until(self, number: int) -> list[tuple[str, float, int]]:
        async def called() -> bool:
            return len(self.calls) >= number

        await eventually(called)
        return self.calls


@asynccontextmanager
async def running(yard: Yard, **words: Any) -> AsyncIterator[Stopwatch]:
    """Run an aggregator that was idle for a moment before anything happens."""
    stopwatch, registry = Stopwatch(yard), Aggregators()
    registry.add(Registered(stopwatch, **words))
    defaults = GroupDefaults(timedelta(minutes=10))
    aggregator = Aggregator(yard.broker, yard.queues, registry.find, defaults, AggregatorOptions(timedelta(minutes=5)))
    task = asyncio.create_task(aggregator.run())

    async def looked() -> bool:
        return bool(aggregator._due_groups.next_look) and not aggregator._news.is_set()

    await eventually(looked)
    try:
        yield stopwatch
    finally:
        task.cancel()
        await asyncio.wait([task])


LATE = 0.4
"""How late a group may be. The tests ask for it several times, since the machine may be busy once.

It is less than any wait of the aggregator that a test could mistake for this one: a grace lasts a second. On a machine
with a load of 40, the earliest of five groups was late by 0.13 s.
"""


async def passes(seconds: float) -> None:
    """Let time pass, where the passing of time is what the test is about."""
    await asyncio.sleep(seconds)


async def test_a_full_group_is_aggregated_at_once(yard: Yard) -> None:
    late: list[float] = []
    async with running(yard, max_size=3) as stopwatch:
        for turn in range(5):
            for number in range(3):
                await yard.grouped(f"{turn}-{number}", f"g{turn}", await yard.now())
            full_at = await yard.now()
            await stopwatch.until(turn + 1)
            late.append(stopwatch.calls[-1][1] - full_at)
    assert [size for _, _, size in stopwatch.calls] == [3] * 5
    assert min(late) < LATE


async def test_group_from_before_the_start_is_aggregated_as_soon_as_it_is_full(yard: Yard) -> None:
    for turn in range(5):
        for number in range(2):
            await yard.grouped(f"{turn}-{number}", f"g{turn}", await yard.now())
    late: list[float] = []
    async with running(yard, max_size=3) as stopwatch:
        for turn in range(5):
            await yard.grouped(f"{turn}-2", f"g{turn}", await yard.now())
            full_at = await yard.now()
            await stopwatch.until(turn + 1)
            late.append(stopwatch.calls[-1][1] - full_at)
    assert min(late) < LATE


async def test_a_group_that_fills_slowly_is_aggregated_as_soon_as_it_is_full(yard: Yard) -> None:
    late: list[float] = []
    async with running(yard, max_size=3) as stopwatch:
        for turn in range(5):
            for number in range(3):
                assert len(stopwatch.calls) == turn
                await yard.grouped(f"{turn}-{number}", "g", await yard.now())
                full_at = await yard.now()
                await passes(0.1)  # the aggregator looks in between, and has to hear of the next one too
            await stopwatch.until(turn + 1)
            late.append(stopwatch.calls[-1][1] - full_at)
    assert min(late) < LATE


async def test_a_quiet_group_is_aggregated_when_its_grace_is_over(yard: Yard) -> None:
    async with running(yard, grace="1s") as stopwatch:
        due: dict[str, float] = {}
        for number in range(5):
            now = await yard.now()
            await yard.grouped(f"{number}", f"g{number}", now)
            due[f"g{number}"] = now + 1
            await passes(0.3)  # else one pause of the machine makes all five late
        calls = await stopwatch.until(5)
    late = [at - due[group] for group, at, _ in calls]
    assert min(late) >= 0
    assert min(late) < LATE


async def test_a_group_that_is_joined_again_and_again_waits_for_its_grace_and_no_longer_than_its_delay(
    yard: Yard,
) -> None:
    async with running(yard, grace="1s", max_delay="2s") as stopwatch:
        began_at = await yard.now()
        number = 0
        while not stopwatch.calls:
            await yard.grouped(f"{number}", "g", await yard.now())
            number += 1
            await passes(0.05)
        (_, at, size), *_ = stopwatch.calls
    assert at - began_at >= 2
    assert at - began_at < 20  # without the longest delay it would wait for ever
    assert size >= 2


async def test_a_group_that_is_joined_again_and_again_is_aggregated_when_its_delay_is_over(yard: Yard) -> None:
    began: dict[str, float] = {}
    async with running(yard, grace="1s", max_delay="2s") as stopwatch:
        for turn in range(200):
            called = {group for group, _, _ in stopwatch.calls}
            if len(called) == 5:
                break
            for number in range(min(5, turn // 6 + 1)):  # one begins after the other
                group = f"g{number}"
                if group not in called:
                    began.setdefault(group, await yard.now())
                    await yard.grouped(f"{turn}-{number}", group, await yard.now())
            await passes(0.05)
        await stopwatch.until(5)
    late = [at - began[group] - 2 for group, at, _ in stopwatch.calls[:5]]
    assert min(late) >= 0
    assert min(late) < LATE


async def test_idle_groups_are_not_polled(yard: Yard) -> None:
    async def looks() -> int:
        reply = await yard.execute("INFO", "commandstats")
        text = reply.decode() if isinstance(reply, bytes) else str(reply)
        return sum(
            int(line.split("calls=")[1].split(",")[0])
            for line in text.splitlines()
            if line.startswith(("cmdstat_eval:", "cmdstat_evalsha:"))
        )

    async with running(yard, grace="10m", max_size=100) as stopwatch:
        for number in range(50):
            await yard.grouped(f"{number}", f"g{number}", await yard.now())
        await passes(0.3)
        before = await looks()
        await passes(2)
        assert await looks() - before <= 3
    assert stopwatch.calls == []


async def test_a_group_that_is_joined_very_often_is_looked_at_a_bounded_number_of_times(yard: Yard) -> None:
    async with running(yard, max_size=2000, grace="10m") as stopwatch:
        for number in range(2000):
            await yard.grouped(f"{number}", "g", await yard.now(), msg=message(f"{number}"))
        calls = await stopwatch.until(1)
    assert calls[0][2] == 2000


async def test_groups_are_found_again_after_the_connection_that_tells_of_them_was_closed(yard: Yard) -> None:
    async with running(yard, max_size=1) as stopwatch:
        await yard.grouped("a", "g", await yard.now())
        await stopwatch.until(1)
        await yard.execute("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await yard.grouped("b", "h", await yard.now())
        await stopwatch.until(2)
        await yard.grouped("c", "i", await yard.now())
        await stopwatch.until(3)


async def test_where_the_server_tells_of_nothing_groups_are_polled(yard: Yard) -> None:
    registry, stopwatch = Aggregators(), Stopwatch(yard)
    registry.add(Registered(stopwatch, max_size=1))
    options = AggregatorOptions(timedelta(milliseconds=50), notified=False)
    aggregator = Aggregator(yard.broker, yard.queues, registry.find, options=options)
    task = asyncio.create_task(aggregator.run())
    await passes(0.1)
    await yard.grouped("a", "g", await yard.now())
    await stopwatch.until(1)
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.forbids
async def test_groups_are_polled_when_the_user_has_no_right_to_track(bench: Bench, app: Rota) -> None:
    await bench.execute("ACL", "SETUSER", "polls", "on", ">secret", "~*", "&*", "+@all", "-client|tracking")
    settings = {"username": "polls", "password": "secret", "heartbeat": "500ms", "group_interval": "50ms"}
    limited = Rota(app.settings.broker.url, settings=settings)

    @limited.task("groups:member", group="g")
    async def member() -> None:
        raise NotImplementedError

    @limited.task("groups:digest", retention="1h")
    async def digest() -> None: ...

    @limited.aggregator("groups:member", max_size=2)
    async def join(group: str, tasks: list[GroupedTask]) -> Plan[Any]:
        return digest.plan()

    async with limited.worker():
        for _ in range(2):
            await member.enqueue()

        async def joined() -> bool:
            return (await bench.inspector.queue("default")).completed == 1

        await eventually(joined)
    await limited.aclose()
