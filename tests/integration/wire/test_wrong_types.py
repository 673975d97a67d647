"""A key of another type: a script that needs it is refused and has changed nothing; a mere counter is not needed."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from rota.broker import Broker
from rota.errors import BrokerRefused
from rota.wire import edit
from rota.wire.fetch import fetch, reclaim, set_aside
from rota.wire.group import AggregationSet, Due, SortedOut, aggregate, failed, failures_key, sort_out, spent_key, take
from rota.wire.outcome import Kind, Outcome, done, record
from rota.wire.owner import give_back
from rota.wire.recover import Dead, Move, Slack, reclaim_sets, recover
from rota.wire.script import Call
from rota.wire.sweep import forward
from tests.integration.wire.conftest import Seed
from tests.servers.overseen import Overseen
from tests.servers.process import Server
from tests.servers.roles import forget_denied, make_user

TOKEN = "w-1"
SLACK = Slack(timedelta(), timedelta())


async def active(seed: Seed, *ids: str, **fields: object) -> None:
    await seed.pending(*ids, **fields)
    await seed.broker.run(fetch([(seed.keys, len(ids))], token=TOKEN, wanted=len(ids), lease_seconds=30))


async def breaks(seed: Seed, key: str) -> None:
    await seed.broker.admin.execute("DEL", key)
    await seed.broker.admin.execute("SET", key, "x")


async def state(seed: Seed) -> dict[bytes, bytes]:
    names = await seed.broker.admin.execute("KEYS", "*")
    return {name: await seed.broker.admin.execute("DUMP", name) for name in names}


async def assert_refused_untouched(seed: Seed, call: Call[Any]) -> None:
    before = await state(seed)
    with pytest.raises(BrokerRefused, match="WRONGTYPE"):
        await seed.broker.run(call)
    assert await state(seed) == before


@pytest.mark.parametrize("value", ["not a number", None], ids=["text", "list"])
async def test_a_counter_that_is_none_keeps_no_outcome_from_being_recorded(seed: Seed, value: str | None) -> None:
    for name in ("processed", "failed"):
        words = ("SET", seed.keys.base + name, value) if value else ("LPUSH", seed.keys.base + name, "x")
        await seed.broker.admin.execute(*words)
    await active(seed, "a", "b", "c")
    assert await seed.broker.run(done(seed.keys, ["a", TOKEN])) == {}
    outcomes = [Outcome("b", TOKEN, "archive"), Outcome("c", TOKEN, "complete", seconds=60)]
    assert await seed.broker.run(record(seed.keys, outcomes)) == {}
    assert await seed.ids("active") == await seed.ids("lease") == []
    assert await seed.field("a", "state") is None
    assert (await seed.ids("archived"), await seed.ids("completed")) == (["b"], ["c"])


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("complete", "completed"),
        ("archive", "archived"),
        ("retry", "retry"),
        ("requeue", "pending"),
        ("postpone", "scheduled"),
    ],
)
async def test_an_outcome_is_refused_as_long_as_its_place_is_broken(seed: Seed, kind: Kind, place: str) -> None:
    await active(seed, "a", "b")
    await breaks(seed, seed.keys.base + place)
    plain, other = Outcome("a", TOKEN, "done"), Outcome("b", TOKEN, kind, seconds=60)
    await assert_refused_untouched(seed, record(seed.keys, [plain, other]))
    assert await seed.broker.run(record(seed.keys, [plain])) == {}
    await seed.broker.admin.execute("DEL", seed.keys.base + place)
    assert await seed.broker.run(record(seed.keys, [other])) == {}
    assert await seed.ids(place) == ["b"]


async def test_a_retry_that_ends_as_cancelled_needs_the_archive(seed: Seed) -> None:
    await active(seed, "a", rota_cancel="no more")
    await breaks(seed, seed.keys.archived)
    await assert_refused_untouched(seed, record(seed.keys, [Outcome("a", TOKEN, "retry", seconds=1)]))


async def test_an_outcome_does_not_stop_at_a_lock_that_is_none(seed: Seed) -> None:
    lock = seed.keys.base + "unique:t:x"
    await seed.broker.admin.execute("LPUSH", lock, "x")
    await active(seed, "a", unique_key=lock)
    assert await seed.broker.run(record(seed.keys, [Outcome("a", TOKEN, "done")])) == {}
    assert await seed.field("a", "state") is None


@pytest.mark.parametrize("place", ["active", "pending", "retry", "archived"])
async def test_a_recovery_is_refused_as_long_as_a_place_is_broken(seed: Seed, place: str) -> None:
    await active(seed, "a")
    await seed.broker.admin.execute("ZADD", seed.keys.lease, 1.5, "a")
    message = await seed.broker.admin.execute("HGET", seed.keys.task("a"), "msg")
    move = Move(Dead("a", message, TOKEN.encode(), "", ours=True), "crash")
    await breaks(seed, seed.keys.base + place)
    await assert_refused_untouched(seed, recover(seed.keys, SLACK, [move]))


@pytest.mark.parametrize("place", ["active", "lease", "pending", "archived"])
async def test_what_a_dead_worker_held_stays_as_long_as_a_place_is_broken(seed: Seed, place: str) -> None:
    await active(seed, "a")
    await breaks(seed, seed.keys.base + place)
    await assert_refused_untouched(seed, give_back(seed.keys, "w", max_crashes=3))


async def test_what_a_dead_worker_held_comes_back_although_the_crashes_cannot_be_counted(seed: Seed) -> None:
    await active(seed, "a")
    await seed.broker.admin.execute("LPUSH", seed.keys.crashed, "x")
    assert (await seed.broker.run(give_back(seed.keys, "w", max_crashes=3))).pending == 1
    assert await seed.ids("pending") == ["a"]


async def test_a_task_is_not_taken_for_gone_by_who_may_not_look_at_it(redis_server: Server) -> None:
    with redis_server.admin() as admin:
        make_user(admin, "blind", "reset", "on", ">p", "~*", "&*", "+@all", "-hmget")
        async with Overseen.from_url(redis_server.url) as broker:
            seed = Seed(broker, uuid4().hex)
            await active(seed, "runs")
            await seed.pending("waits")
            await seed.at("scheduled", 1, "due")
            await seed.broker.admin.execute("ZADD", seed.keys.lease, 1.5, "runs")
            before = await state(seed)
            async with Broker.from_url(redis_server.url.replace("://", "://blind:p@")) as blind:
                for call in (
                    fetch([(seed.keys, 9)], token="w-2", wanted=9, lease_seconds=30),
                    forward(seed.keys),
                    reclaim(seed.keys, TOKEN, new_token="new", lease_seconds=30),
                    set_aside(seed.keys, TOKEN, least_bytes=1, error=""),
                    recover(seed.keys, SLACK, [Move(Dead("runs", b"", TOKEN.encode(), "", ours=True), "drop")]),
                ):
                    with pytest.raises(BrokerRefused, match=r"can't run this command|may not run HMGET"):
                        await blind.run(call)
            assert await state(seed) == before
        forget_denied(admin)


async def test_a_task_stays_where_it_is_if_its_mover_may_not_rename(redis_server: Server) -> None:
    with redis_server.admin() as admin:
        make_user(admin, "steady", "reset", "on", ">p", "~*", "&*", "+@all", "-rename")
        async with Overseen.from_url(redis_server.url) as broker:
            seed = Seed(broker, uuid4().hex)
            await seed.pending("a", "b")
            before = await state(seed)
            async with Broker.from_url(redis_server.url.replace("://", "://steady:p@")) as steady:
                with pytest.raises(BrokerRefused, match=r"can't run this command|may not run RENAME"):
                    await steady.run(edit.move(seed.keys, broker.keys.queue(uuid4().hex), ["a", "b"]))
            assert await state(seed) == before
        forget_denied(admin)


@pytest.mark.parametrize("side", ["here", "there"])
@pytest.mark.parametrize("place", ["pending", "scheduled"])
async def test_a_task_stays_where_it_is_if_its_place_is_broken(redis_server: Server, place: str, side: str) -> None:
    async with Overseen.from_url(redis_server.url) as broker:  # a Cluster moves by steps
        seed, there = Seed(broker, uuid4().hex), broker.keys.queue(uuid4().hex)
        await (seed.pending("a") if place == "pending" else seed.at("scheduled", 1, "a"))
        await breaks(seed, (there if side == "there" else seed.keys).base + place)
        await assert_refused_untouched(seed, edit.move(seed.keys, there, ["a"]))


class Group:
    """A group of two tasks, and the set that is taken of it."""

    def __init__(self, seed: Seed) -> None:
        self.seed = seed
        self.set = AggregationSet(seed.keys, "g", "s")
        self.take = take(self.set, Due(1, None, timedelta()), timedelta(minutes=1))

    async def fill(self, *, taken: bool) -> None:
        for task_id in ("a", "b"):
            await self.seed.hash(task_id, state="aggregating", group="g")
            await self.seed.broker.admin.execute("ZADD", self.seed.keys.group("g"), 1, task_id)
        await self.seed.broker.admin.execute("SADD", self.seed.keys.groups, "g")
        if taken:
            assert await self.seed.broker.run(self.take)


@pytest.mark.parametrize("place", ["aggregation_sets", "groups"])
async def test_a_group_stays_whole_as_long_as_it_cannot_be_taken(seed: Seed, place: str) -> None:
    group = Group(seed)
    await group.fill(taken=False)
    await breaks(seed, seed.keys.base + place)
    await assert_refused_untouched(seed, group.take)


async def test_an_aggregation_does_not_end_by_half(seed: Seed) -> None:
    group = Group(seed)
    await group.fill(taken=True)
    for key in (spent_key(seed.keys), failures_key(seed.keys)):
        await breaks(seed, key)
        await assert_refused_untouched(seed, aggregate(group.set, None))
        await seed.broker.admin.execute("DEL", key)
    for place in ("g:g", "groups", "archived"):
        await breaks(seed, seed.keys.base + place)
        tasks = [SortedOut("a", "archive"), SortedOut("b", "back")]
        await assert_refused_untouched(seed, sort_out(group.set, tasks))
        await seed.broker.admin.execute("DEL", seed.keys.base + place)
    await seed.broker.admin.execute("ZADD", seed.keys.aggregation_sets, 1, group.set.key)
    await breaks(seed, seed.keys.groups)
    await assert_refused_untouched(seed, reclaim_sets(seed.keys))
    await breaks(seed, seed.keys.aggregation_sets)
    await assert_refused_untouched(seed, failed(group.set, most=3, wait=timedelta(seconds=1)))
