"""One look for many queues, by one worker at a time; what it finds is done."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from typing import Any

import pytest

from rota.broker import Broker
from rota.errors import BrokerUnavailable
from rota.wire.recover import Slack
from rota.worker.housekeeping import election as turn_module
from rota.worker.housekeeping.forwarder import Forwarder
from tests.integration.worker.conftest import eventually
from tests.integration.worker.sweeping import LIMITS, Broom
from tests.integration.worker.yard import QUEUE, Yard, message, open_yard
from tests.servers.fleet import ClusterFleet
from tests.servers.overseen import Overseen

SOON = timedelta(milliseconds=50)


@pytest.fixture
async def yard(any_url: str) -> AsyncIterator[Yard]:
    async with open_yard(any_url) as yard:
        yield yard


async def test_a_key_of_another_type_spoils_only_its_own_queue(yard: Yard, caplog: pytest.LogCaptureFixture) -> None:
    broken = yard.broker.keys.queue("broken")
    await yard.execute("SET", broken.scheduled, "in the way")
    await yard.put("due", "scheduled", 5)
    await yard.put("over", "completed", 5)
    broom = Broom(yard.broker, ["broken", QUEUE])
    with caplog.at_level(logging.ERROR, "rota.worker"):
        await broom.sweep()
        await broom.sweep()
    assert await yard.members(yard.keys.pending) == ["due"]
    assert await yard.fields("over") == {}
    refusals = [record.getMessage() for record in caplog.records]
    assert len(refusals) == len(set(refusals))
    assert any("WRONGTYPE" in text for text in refusals)


async def test_a_sweep_reads_the_server_s_clock_although_nothing_is_to_be_done(yard: Yard) -> None:
    broom = Broom(yard.broker, [QUEUE])
    broom.recoverer.note_time(5000)
    before = await yard.now()
    await broom.sweep()
    assert before - 0.001 <= broom.recoverer._clock.now() <= await yard.now() + 0.001


async def test_a_sweep_does_all_that_is_to_be_done(yard: Yard) -> None:
    await yard.put("due", "scheduled", 5)
    await yard.put("over", "completed", 5)
    await yard.put("old", "archived", 5)
    await yard.active("dead", 5.5, rota_token="w-1")
    await yard.put("unleased", "active")
    stale = yard.keys.group("g") + ":set"
    await yard.hash("member", msg=message("member"), state="aggregating", group="g")
    await yard.execute("ZADD", stale, 5, "member")
    await yard.execute("ZADD", yard.keys.aggregation_sets, 5, stale)
    broom = Broom(yard.broker, [QUEUE])
    for _ in range(3):
        await broom.sweep()
    assert sorted(await yard.members(yard.keys.pending)) == ["dead", "due"]
    assert await yard.members(yard.keys.lease) == ["unleased"]
    assert await yard.members(yard.keys.group("g")) == ["member"]
    assert await yard.members(yard.keys.completed) == await yard.members(yard.keys.archived) == []
    counted = await yard.execute("HMGET", yard.keys.repaired, "expired_lease", "stale_set", "unleased")
    assert counted == [b"1", b"1", b"1"]
    assert QUEUE in broom.noted


async def test_one_of_the_workers_of_the_same_queues_sweeps(yard: Yard) -> None:
    brooms = [Broom(yard.broker, queues, owner) for owner, queues in (("a", [QUEUE, "x"]), ("b", ["x", QUEUE]))]
    for _ in range(3):
        for broom in brooms:
            await broom.sweep()
    assert [broom.swept for broom in brooms] == [3, 0]
    assert brooms[1].sweeper.statistics().left_to_others == 3


async def test_workers_of_other_queues_or_other_rules_have_turns_of_their_own(yard: Yard) -> None:
    strict = LIMITS._replace(archive_size=5)
    brooms = [
        Broom(yard.broker, [QUEUE], "a"),
        Broom(yard.broker, [QUEUE, "x"], "b"),
        Broom(yard.broker, [QUEUE], "c", limits=strict),
    ]
    for broom in brooms:
        await broom.sweep()
    assert [broom.swept for broom in brooms] == [1, 1, 1]


async def test_the_turn_of_a_dead_worker_ends_by_itself(yard: Yard) -> None:
    dead, living = Broom(yard.broker, [QUEUE], "dead"), Broom(yard.broker, [QUEUE], "living")
    await dead.sweep()
    await living.sweep()
    assert living.swept == 0
    turn = await turn_of(yard)
    assert 0 < await yard.number("PTTL", turn) <= 75_000
    await yard.execute("PEXPIRE", turn, 1)

    async def swept() -> int:
        await living.sweep()
        return living.swept

    await eventually(swept)


async def turn_of(yard: Yard) -> str:
    [turn] = [name for name in await yard.names() if name.startswith("rota:sweep:")]
    return turn


async def test_a_worker_that_stops_leaves_its_turn_at_once(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn_module, "LAST_WORD_SECONDS", 20)
    first, second = Broom(yard.broker, [QUEUE], "first"), Broom(yard.broker, [QUEUE], "second")
    running = asyncio.create_task(first.sweeper.run())
    await eventually(lambda: value(first.swept))
    running.cancel()
    await asyncio.wait([running])
    await second.sweep()
    assert second.swept == 1
    # What is somebody else's turn now is left alone.
    await first.sweeper._election.give_up()
    assert any(name.startswith("rota:sweep:") for name in await yard.names())


class Tripping(Forwarder):
    """Falls the first time, after its work or before."""

    fallen = False

    async def forward(self, queues: Iterable[str]) -> int:
        if not self.fallen:
            self.fallen = True
            raise LookupError("a slip midway")
        return await super().forward(queues)


async def test_a_sweep_that_fails_midway_is_done_by_the_next(yard: Yard, caplog: pytest.LogCaptureFixture) -> None:
    """Scenario 8: what crashed holds up neither itself nor another."""
    await yard.put("due", "scheduled", 5)
    await yard.put("over", "completed", 5)
    broom = Broom(yard.broker, [QUEUE], forwarder=Tripping(yard.broker), every=SOON)
    running = asyncio.create_task(broom.sweeper.run())
    await eventually(lambda: value(broom.swept))
    running.cancel()
    await asyncio.wait([running])
    assert "a slip midway" in caplog.text
    assert await yard.members(yard.keys.pending) == ["due"]
    assert await yard.fields("over") == {}


async def test_a_worker_that_starts_again_is_not_held_up_by_its_former_turn(yard: Yard) -> None:
    every = timedelta(milliseconds=400)
    await Broom(yard.broker, [QUEUE], "before the crash", every=every).sweep()
    again = Broom(yard.broker, [QUEUE], "after it", every=every)
    await yard.put("due", "scheduled", 5)
    running = asyncio.create_task(again.sweeper.run())
    await eventually(lambda: yard.members(yard.keys.pending))
    running.cancel()
    await asyncio.wait([running])


async def test_a_long_sweep_keeps_its_turn(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn_module, "RENEWALS", 2000)
    slow, other = Broom(yard.broker, [QUEUE], "slow"), Broom(yard.broker, [QUEUE], "other")
    candidacy = slow.sweeper._election.candidacy([QUEUE])
    async with slow.sweeper._election.kept(candidacy):
        await slow.sweep()
        turn = await turn_of(yard)
        for _ in range(3):
            await yard.execute("PEXPIRE", turn, 30_000)  # much of its 75 s is over

            async def renewed() -> bool:
                return await yard.number("PTTL", turn) > 40_000

            await eventually(renewed)
        await other.sweep()
    assert other.swept == 0


async def test_without_memory_for_a_turn_everybody_sweeps(yard: Yard) -> None:
    await yard.put("over", "completed", 5)
    await yard.execute("CONFIG", "SET", "maxmemory", 1)
    try:
        first, second = Broom(yard.broker, [QUEUE], "first"), Broom(yard.broker, [QUEUE], "second")
        await first.sweep()
        await second.sweep()
    finally:
        await yard.execute("CONFIG", "SET", "maxmemory", 0)
    assert await yard.fields("over") == {}


async def test_nobody_is_given_up_right_after_a_start_or_an_outage(yard: Yard) -> None:
    await yard.active("dead", 5.5)
    broom = Broom(yard.broker, [QUEUE])
    began = time.monotonic()
    broom.recoverer.hold()
    wait = await broom.sweep()
    left = timedelta(seconds=10 - (time.monotonic() - began))
    assert await yard.members(yard.keys.active) == ["dead"]
    assert wait is not None
    assert left <= wait <= timedelta(seconds=10)


class Away:
    """A broker that does not answer."""

    def __init__(self, broker: Broker) -> None:
        self.keys, self.clustered = broker.keys, False

    async def run(self, call: Any) -> Any:
        raise BrokerUnavailable("away")

    async def run_many(self, calls: Any) -> Any:
        raise BrokerUnavailable("away")


async def test_an_outage_wakes_the_fetcher_and_makes_the_recoverer_wait(yard: Yard) -> None:
    broom = Broom(Away(yard.broker), [QUEUE])  # type: ignore[arg-type]
    with pytest.raises(BrokerUnavailable):
        await broom.sweeper._next()
    assert broom.noted == [None]
    assert broom.recoverer.held_seconds > 5


async def test_empty_queues_are_looked_at_less_often(yard: Yard) -> None:
    broom = Broom(yard.broker, [QUEUE])
    assert await broom.sweep() == timedelta(minutes=6)
    await yard.put("kept", "archived", await yard.now())
    assert await broom.sweep() is None


async def test_who_finds_the_turn_taken_asks_less_often(yard: Yard) -> None:
    first, second = Broom(yard.broker, [QUEUE], "first"), Broom(yard.broker, [QUEUE], "second")
    await first.sweep()
    assert await second.sweep() == timedelta(minutes=3)


async def test_who_has_found_something_keeps_the_turn_until_it_may_be_repaired(yard: Yard) -> None:
    """Else the next one would have to find it again, and so on."""
    await yard.put("unleased", "active")
    broom = Broom(yard.broker, [QUEUE], every=timedelta(seconds=2), delay=timedelta(seconds=50))
    assert await broom.sweep() is None


async def test_the_next_look_is_when_a_lease_counts_as_dead(yard: Yard) -> None:
    """However long the interval is, a lost machine's tasks come back as soon as its leases are over."""
    broom = Broom(yard.broker, [QUEUE], limits=LIMITS._replace(slack=Slack(timedelta(seconds=1), timedelta(seconds=2))))
    await yard.active("dead", int(await yard.now()) - 0.5, rota_token="w-1")
    running = asyncio.create_task(broom.sweeper._ticker.keep(broom.sweeper._next))
    await eventually(lambda: yard.members(yard.keys.pending))  # the interval is a minute
    running.cancel()
    await asyncio.wait([running])


async def test_in_a_cluster_the_queues_of_all_nodes_are_swept(cluster: ClusterFleet) -> None:
    async with Overseen.from_url(cluster.url) as broker:
        yards = [Yard(broker) for _ in range(5)]
        names = [f"swept-{number}" for number in range(5)]
        for yard, name in zip(yards, names, strict=True):
            yard.keys = broker.keys.queue(name)
            await yard.put("due", "scheduled", 5)
            await yard.put("unleased", "active")
        brooms = [Broom(broker, names, owner) for owner in ("a", "b")]
        for _ in range(2):
            for broom in brooms:
                await broom.sweep()
        assert [broom.swept for broom in brooms] == [2, 0]
        for yard in yards:
            assert sorted(await yard.members(yard.keys.pending)) == ["due"]
            assert await yard.members(yard.keys.lease) == ["unleased"]


async def value(thing: object) -> object:
    return thing
