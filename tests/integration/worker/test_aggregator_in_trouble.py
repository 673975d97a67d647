import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, NoReturn

import pytest

from rota.broker.failure import NotNow
from rota.broker.link import Link
from rota.tasks.groups import Aggregators, GroupedTask
from rota.tasks.groups import GroupHandler as Registered
from rota.tasks.job import Plan
from rota.tasks.options import NO_OPTIONS
from rota.wire.enqueue import Item
from rota.wire.group import AggregationSet, Due, Ended, aggregate, failures_key, look, spent_key, take
from rota.worker.groups.aggregation import ALLOWED
from rota.worker.groups.aggregator import Aggregator
from rota.worker.groups.group_watch import GroupWatch
from rota.worker.housekeeping.recoverer import Recoverer, Recovery
from tests.integration.worker.groups import OLD, Collector, fill, part, pending
from tests.integration.worker.yard import Yard, message, open_yard

DEADLINE = 10.0


class Unspoken(Exception):
    def __str__(self) -> str:
        sys.exit(1)

    def __repr__(self) -> str:
        return "Unspoken"


@pytest.fixture
async def yard(any_url: str) -> AsyncIterator[Yard]:
    async with open_yard(any_url) as yard:
        yield yard


async def test_a_task_that_cannot_be_read_is_archived_and_the_others_go_on(yard: Yard) -> None:
    await fill(yard, "g", "ab")
    await yard.grouped("bad", "g", OLD + 9, msg=b"\xff\xff\xff")
    await yard.execute("ZADD", yard.keys.group("g"), OLD + 8, "ghost")
    assert await part(yard, Collector()).aggregate() == 1
    assert await pending(yard) == [b"a+b"]
    assert await yard.members(yard.keys.archived) == ["bad"]
    fields = await yard.fields("bad")
    assert (fields["state"], fields["msg"]) == (b"archived", b"\xff\xff\xff")
    assert await yard.number("GET", yard.keys.failed) == 1
    assert await yard.members(yard.keys.aggregation_sets) == []


async def test_aggregated_payload_over_the_limit_fails_like_the_function(yard: Yard) -> None:
    async def join(group: str, tasks: list[GroupedTask]) -> Plan[Any]:
        return Plan("joined", b"x" * 1001)

    await fill(yard, "g", "ab")
    registry = Aggregators()
    registry.add(Registered(join))
    aggregator = Aggregator(yard.broker, yard.queues, registry.find, payload_limit_bytes=1000)

    assert await aggregator.aggregate() == 0

    assert await pending(yard) == []
    assert aggregator.statistics().failures == 1


async def test_a_failing_function_is_tried_again_and_then_its_tasks_are_archived(yard: Yard) -> None:
    async def fail(group: str, tasks: list[GroupedTask]) -> None:
        raise LookupError("no template")

    await fill(yard, "g", "ab")
    aggregator = part(yard, fail)
    recoverer = Recoverer(yard.broker, lambda _: Recovery(None))
    for attempt in (1, 2):
        before = int(await yard.now())
        assert await aggregator.aggregate() == 0
        (held,) = await yard.members(yard.keys.aggregation_sets)
        score = float(await yard.execute("ZSCORE", yard.keys.aggregation_sets, held))
        assert before + 30 * attempt <= score <= await yard.now() + 30 * attempt + 1
        await yard.execute("ZADD", yard.keys.aggregation_sets, 1, held)
        await recoverer.recover(yard.queues())
        assert await yard.members(yard.keys.group("g")) == ["a", "b"]
    assert await aggregator.aggregate() == 0
    assert await yard.members(yard.keys.archived) == ["a", "b"]
    told = await yard.message("a")
    assert told.error_msg == "LookupError: no template"
    statistics = aggregator.statistics()
    assert (statistics.failures, statistics.archived) == (3, 2)
    assert yard.keys.aggregation_sets not in await yard.names()
    assert failures_key(yard.keys) not in await yard.names()
    assert spent_key(yard.keys) not in await yard.names()


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), StopIteration(), Unspoken()], ids=repr
)
@pytest.mark.parametrize("plain", [True, False])
async def test_a_function_that_wants_to_end_the_program_has_failed(
    yard: Yard, error: BaseException, plain: bool
) -> None:
    def leave(group: str, tasks: list[GroupedTask]) -> NoReturn:
        raise error

    async def leave_on_the_loop(group: str, tasks: list[GroupedTask]) -> NoReturn:
        raise error

    await fill(yard, "g", "ab")
    registry = Aggregators()
    registry.add(Registered(leave if plain else leave_on_the_loop))
    aggregator = Aggregator(yard.broker, yard.queues, registry.find)
    async with asyncio.timeout(20):
        assert await aggregator.aggregate() == 0
    assert aggregator.statistics().failures == 1
    (held,) = await yard.members(yard.keys.aggregation_sets)
    assert await yard.members(held) == ["a", "b"]


async def test_a_result_that_is_refused_counts_as_a_failure_and_keeps_the_tasks(yard: Yard) -> None:
    async def taken(group: str, tasks: list[GroupedTask]) -> Plan[Any]:
        return Plan("digest:send", b"", NO_OPTIONS.updated(task_id="mine"))

    await yard.put("mine", "pending")
    await fill(yard, "g", "ab")
    aggregator = part(yard, taken)
    assert await aggregator.aggregate() == 0
    assert aggregator.statistics().failures == 1
    (held,) = await yard.members(yard.keys.aggregation_sets)
    assert await yard.members(held) == ["a", "b"]


async def test_the_same_ending_sent_twice_enqueues_one_result(yard: Yard) -> None:
    await fill(yard, "g", "ab")
    chosen = AggregationSet(yard.keys, "g", "s1")
    assert await yard.broker.run(take(chosen, Due(None, None, timedelta(seconds=1)), ALLOWED)) == 2
    call = aggregate(chosen, Item("made", message("made")))
    assert (await yard.broker.run(call)).ended is Ended.DONE
    assert (await yard.broker.run(call)).ended is Ended.DONE_BEFORE
    assert await yard.members(yard.keys.pending) == ["made"]


async def test_a_crash_after_the_result_was_enqueued_aggregates_nothing_twice(yard: Yard) -> None:
    await fill(yard, "g", "ab")
    chosen = AggregationSet(yard.keys, "g", "s1")
    await yard.broker.run(take(chosen, Due(None, None, timedelta(seconds=1)), ALLOWED))
    await yard.broker.run(aggregate(chosen, Item("made", message("made"))))
    # The crash: nobody deletes the tasks. Another aggregator finds the set later.
    await Recoverer(yard.broker, lambda _: Recovery(None)).recover(yard.queues())
    assert await part(yard, Collector()).aggregate() == 0
    left = {name for name in await yard.names() if "processed" not in name and "minute" not in name}
    assert left == {yard.keys.pending, yard.keys.task("made")}


async def test_an_aggregation_past_its_deadline_enqueues_nothing(yard: Yard) -> None:
    released = asyncio.Event()
    started = asyncio.Event()

    async def slow(group: str, tasks: list[GroupedTask]) -> Plan[Any]:
        started.set()
        await released.wait()
        return Plan("digest:send", b"late", NO_OPTIONS)

    await fill(yard, "g", "ab")
    aggregator = part(yard, slow)
    running = asyncio.create_task(aggregator.aggregate())
    await asyncio.wait_for(started.wait(), DEADLINE)
    (held,) = await yard.members(yard.keys.aggregation_sets)
    await yard.execute("ZADD", yard.keys.aggregation_sets, 1, held)
    released.set()
    assert await running == 0
    assert aggregator.statistics().given_up == 1
    assert await pending(yard) == []
    await Recoverer(yard.broker, lambda _: Recovery(None)).recover(yard.queues())
    assert await yard.members(yard.keys.group("g")) == ["a", "b"]


async def test_an_aggregation_interrupted_by_the_stop_gives_its_tasks_back_at_once(yard: Yard) -> None:
    started = asyncio.Event()

    async def slow(group: str, tasks: list[GroupedTask]) -> None:
        started.set()
        await asyncio.Event().wait()

    await fill(yard, "g", "ab")
    running = asyncio.create_task(part(yard, slow).run())
    await asyncio.wait_for(started.wait(), DEADLINE)
    running.cancel()
    await asyncio.wait([running])
    await Recoverer(yard.broker, lambda _: Recovery(None)).recover(yard.queues())
    assert await yard.members(yard.keys.group("g")) == ["a", "b"]


async def test_two_aggregators_never_share_a_task(yard: Yard) -> None:
    for number in range(60):
        await yard.grouped(f"t{number:02}", f"g{number % 3}", OLD + number)
    collectors = [Collector(), Collector()]
    parts = [part(yard, collector, max_size=4) for collector in collectors]
    done = await asyncio.gather(*(each.aggregate() for each in parts))
    got = [task.id for collector in collectors for _, tasks in collector.got for task in tasks]
    assert sorted(got) == [f"t{number:02}" for number in range(60)]
    assert sum(done) == len(await yard.members(yard.keys.pending)) == 15


async def test_a_connection_on_which_the_server_cannot_begin_to_watch_is_closed(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    links: list[Link] = []
    request = Link.execute

    async def execute(link: Link, *words: Any, **options: Any) -> Any:
        if words[:2] != ("CLIENT", "TRACKING"):
            return await request(link, *words, **options)
        links.append(link)
        raise NotNow("A script blocks the server.")

    monkeypatch.setattr(Link, "execute", execute)
    watch = GroupWatch(yard.broker, lambda queue, group: None)
    watch.notifies = True
    with pytest.raises(NotNow):
        await watch.look(yard.keys, look(yard.keys, "0"), {yard.keys.groups: None})
    assert [link.closed for link in links] == [True]
