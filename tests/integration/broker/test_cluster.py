"""Slots that move under our feet, and a master that dies."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

from rota.broker import Broker, BrokerOptions, SyncBroker
from rota.broker.slots import slot_of
from tests.integration.broker.scripts import PUSH, READ, call, unseen, written
from tests.servers.fleet import ClusterFleet

PATIENT = BrokerOptions(retry_for=timedelta(seconds=30))


async def test_calls_of_one_burst_reach_every_node(cluster: ClusterFleet, name: str) -> None:
    names = [f"{{burst{i}}}:{name}" for i in range(60)]
    async with Broker.from_url(cluster.url) as broker:
        assert await broker.run_many([call(PUSH, each, each) for each in names]) == [1] * 60
        assert await broker.run_many([call(READ, each) for each in names]) == [[each.encode()] for each in names]
        assert len({await broker.node_of(each) for each in names}) == 3
        with broker.sync() as sync:
            assert sync.run_many([call(READ, each) for each in names]) == [[each.encode()] for each in names]


async def test_one_host_of_the_url_is_enough(cluster: ClusterFleet, name: str) -> None:
    # The last node is a replica: it knows the map as well as the others.
    url = f"redis+cluster://127.0.0.1:{cluster.nodes[-1].port}"
    async with Broker.from_url(url) as broker:
        assert await broker.run(call(PUSH, name, 1)) == 1


async def test_a_link_of_ones_own_leads_to_the_node_of_its_key(cluster: ClusterFleet, name: str) -> None:
    async with Broker.from_url(cluster.url) as broker:
        link = await broker.open_link(name)
        assert link.endpoint.port == cluster.owner(slot_of(name)).port
        assert await link.run(call(PUSH, name, 1)) == 1
        await link.aclose()


async def test_a_plain_command_finds_its_key_on_either_side_of_a_slot_that_moves(
    cluster: ClusterFleet, name: str
) -> None:
    gone, stays, slot = name + "gone", name + "stays", slot_of(name)
    async with Broker.from_url(cluster.url) as broker:
        await broker.execute("RPUSH", stays, "here", key=stays)
        source, target = cluster.begin_move(slot)
        # Keys that are not there (any more) are at the target: ASK.
        assert await broker.execute("RPUSH", gone, "a", key=gone) == 1
        with broker.sync() as sync:
            assert await asyncio.to_thread(lambda: sync.execute("RPUSH", gone, "b", key=gone)) == 2
        assert await broker.execute("LLEN", stays, key=stays) == 1
        assert await broker.node_of(gone) == f"127.0.0.1:{source.port}"
        cluster.move_keys(source, target, slot, str)
        cluster.end_move(slot, target)
        # Now the old node answers MOVED, and the map is mended.
        assert await broker.run(call(READ, gone)) == [b"a", b"b"]
        assert await broker.node_of(gone) == f"127.0.0.1:{target.port}"


async def test_a_script_waits_until_its_slot_has_moved(cluster: ClusterFleet, name: str) -> None:
    one, other, slot = name + "one", name + "other", slot_of(name)
    # It names one key and uses two, as those of a queue name its places and use its tasks.
    both = unseen("redis.call('RPUSH', KEYS[1], 'x') return redis.call('RPUSH', ARGV[1], 'x')")
    calls = [call(both, one, other), call(both, other, one)]
    async with Broker.from_url(cluster.url, options=PATIENT) as broker:
        with broker.sync() as sync:
            assert await broker.run_many(calls) == [1, 2]
            await asyncio.to_thread(sync.execute, "PING")
            source, target = cluster.begin_move(slot)
            cluster.move_keys(source, target, slot, str, most=1)
            before = await asyncio.to_thread(cluster.tried_again)
            waiting = asyncio.gather(
                *(broker.run(each) for each in calls),
                broker.run_many(calls),
                asyncio.to_thread(sync.run, calls[0]),
                asyncio.to_thread(sync.run_many, calls),
            )
            while await asyncio.to_thread(cluster.tried_again) < before + 7:
                assert not waiting.done()
            cluster.move_keys(source, target, slot, str)
            cluster.end_move(slot, target)
            await waiting
            assert [len(await broker.run(call(READ, key))) for key in (one, other)] == [9, 9]


async def test_a_moved_slot_does_not_disturb_concurrent_calls(cluster: ClusterFleet, name: str) -> None:
    slot = slot_of(name)
    async with Broker.from_url(cluster.url) as broker:
        await broker.run(call(PUSH, name, "first"))
        stop = asyncio.Event()

        async def write() -> int:
            written = 0
            while not stop.is_set():
                await broker.run(call(PUSH, name, "x"))
                written += 1
            return written

        writers = [asyncio.create_task(write()) for _ in range(8)]
        for _ in range(3):
            source, target = await asyncio.to_thread(cluster.begin_move, slot)
            await asyncio.to_thread(cluster.move_keys, source, target, slot, str)
            await asyncio.to_thread(cluster.end_move, slot, target)
        stop.set()
        written = sum(await asyncio.gather(*writers))
        assert len(await broker.run(call(READ, name))) == written + 1


@pytest.fixture
def fleet() -> Iterator[ClusterFleet]:
    fleet = ClusterFleet()
    yield fleet
    fleet.stop()


@pytest.mark.slow
async def test_a_dead_master_is_replaced_by_its_replica(fleet: ClusterFleet, name: str) -> None:
    async with Broker.from_url(fleet.url, options=PATIENT) as broker, broker.subscribe(name) as messages:
        await broker.run(call(PUSH, name, "before"))
        with SyncBroker.from_url(fleet.url, options=PATIENT) as sync:
            await asyncio.to_thread(sync.run, call(READ, name))
            old = fleet.owner(slot_of(name))
            old.kill()
            async with asyncio.timeout(50):
                while not await written(broker, name):
                    pass
            assert (await asyncio.to_thread(sync.run, call(READ, name)))[-1] == b"after"
        assert await broker.node_of(name) != f"127.0.0.1:{old.port}"
        await broker.execute("PUBLISH", name, "x")
        assert messages.names == (name,)
