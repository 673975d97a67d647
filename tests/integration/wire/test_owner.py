"""The scripts of a supervisor: give back what a dead worker held, keep what a living one holds."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from rota.broker import Broker
from rota.wire.owner import Returned, give_back, keep, listed, show, waiting
from rota.wire.server_record import Beaten, ServerState, beat
from rota.wire.worker_about import WorkerAbout
from tests.integration.worker.yard import Yard, message, open_yard
from tests.servers.fleet import ClusterFleet


@pytest.fixture
async def yard(any_url: str) -> AsyncIterator[Yard]:
    async with open_yard(any_url) as yard:
        yield yard


async def test_the_tasks_of_a_dead_worker_come_first_again_in_their_order(yard: Yard) -> None:
    later = int(await yard.now()) + 20.5
    await yard.put("waiting", "pending")
    for number in range(3):
        await yard.active(f"t{number}", later, rota_token="dead-1")
    await yard.active("other", later, rota_token="living-1")
    done = await yard.broker.run(give_back(yard.keys, "dead", max_crashes=3))
    assert done == Returned(0, pending=3)
    assert await yard.members(yard.keys.pending) == ["waiting", "t2", "t1", "t0"]  # taken from the end on
    assert await yard.members(yard.keys.active) == ["other"]
    assert await yard.members(yard.keys.lease) == ["other"]
    fields = await yard.fields("t0")
    assert (fields["state"], fields["rota_crashes"], fields["msg"]) == (b"pending", b"1", message("t0"))
    assert "rota_token" not in fields
    assert await yard.number("GET", yard.keys.crashed) == 3
    assert await yard.number("GET", yard.keys.failed) == 0


async def test_it_can_be_repeated(yard: Yard) -> None:
    await yard.active("a", 99.5, rota_token="dead-7")
    first = await yard.broker.run(give_back(yard.keys, "dead", max_crashes=3))
    again = await yard.broker.run(give_back(yard.keys, "dead", max_crashes=3))
    assert (first.tasks, again.tasks) == (1, 0)
    assert (await yard.fields("a"))["rota_crashes"] == b"1"


async def test_a_worker_that_was_asked_to_end_costs_its_tasks_nothing(yard: Yard) -> None:
    await yard.active("a", 99.5, rota_token="dead-7", rota_crashes="2")
    await yard.broker.run(give_back(yard.keys, "dead", max_crashes=0))
    fields = await yard.fields("a")
    assert (fields["state"], fields["rota_crashes"]) == (b"pending", b"2")
    assert await yard.number("GET", yard.keys.crashed) == 0


async def test_the_last_crash_allowed_means_quarantine(yard: Yard) -> None:
    before = int(await yard.now())
    await yard.active("poison", 99.5, rota_token="dead-7", rota_crashes="2", rota_wait="1", msg=message("poison"))
    async with yard.broker.subscribe(yard.keys.ended("poison")) as told:
        done = await yard.broker.run(give_back(yard.keys, "dead", max_crashes=3, error="quarantined: SIGSEGV, é" * 9))
        _, payload = await asyncio.wait_for(told.get(), 20)
    assert done == Returned(0, quarantined=1)
    fields, stored = await yard.fields("poison"), await yard.message("poison")
    assert (fields["state"], fields["rota_end"]) == (b"archived", b"quarantined")
    assert stored.error_msg == "quarantined: SIGSEGV, é" * 9
    assert before <= stored.last_failed_at <= await yard.now()
    assert payload == b"archived\n" + stored.error_msg.encode()
    assert await yard.members(yard.keys.archived) == ["poison"]
    counters = [await yard.number("GET", key) for key in (yard.keys.crashed, yard.keys.failed, yard.keys.processed)]
    assert counters == [1, 1, 1]


async def test_a_task_that_was_to_be_cancelled_ends_as_cancelled(yard: Yard) -> None:
    await yard.active("a", 99.5, rota_token="dead-7", rota_cancel="no longer needed")
    assert await yard.broker.run(give_back(yard.keys, "dead", max_crashes=3)) == Returned(0, cancelled=1)
    assert (await yard.fields("a"))["rota_end"] == b"cancelled"
    assert (await yard.message("a")).error_msg == "cancelled: no longer needed"


async def test_a_task_that_a_go_server_runs_is_left_alone_although_our_token_is_still_there(yard: Yard) -> None:
    await yard.active("of-go", 99, rota_token="dead-7")
    assert (await yard.broker.run(give_back(yard.keys, "dead", max_crashes=3))).tasks == 0
    assert (await yard.broker.run(keep(yard.keys, ["dead"], timedelta(seconds=30)))).extended == 0
    assert await yard.members(yard.keys.active) == ["of-go"]


async def test_an_id_that_only_begins_like_the_dead_one_is_another(yard: Yard) -> None:
    await yard.active("a", 99.5, rota_token="deadly-1")
    await yard.active("b", 99.5, rota_token="dead-2-1")
    assert (await yard.broker.run(give_back(yard.keys, "dead-2", max_crashes=3))).tasks == 1
    assert await yard.members(yard.keys.active) == ["a"]


async def test_a_page_is_the_youngest_of_those_that_are_left(yard: Yard) -> None:
    for number in range(5):
        await yard.active(f"t{number}", 99.5, rota_token="dead-1")
    done = await yard.broker.run(give_back(yard.keys, "dead", max_crashes=3, oldest=4, page=2))
    assert done == Returned(2, pending=2)
    assert await yard.members(yard.keys.active) == ["t4", "t1", "t0"]


async def test_the_leases_of_living_workers_are_extended_and_of_nobody_else(yard: Yard) -> None:
    for owner in ("one", "two", "other"):
        await yard.active(owner, 1.5, rota_token=f"{owner}-1")
    await yard.active("bare", 1.5)
    before = int(await yard.now())
    kept = await yard.broker.run(keep(yard.keys, ["one", "two"], timedelta(seconds=30)))
    assert kept == (0, 2)
    scores = {name: float(await yard.execute("ZSCORE", yard.keys.lease, name)) for name in ("one", "two", "other")}
    assert scores["other"] == 1.5
    assert before + 30 <= scores["one"] <= await yard.now() + 30.5
    assert scores["one"] % 1 == 0.5


async def test_a_record_of_a_server_lives_on_and_one_that_is_gone_stays_gone(yard: Yard) -> None:
    keys = yard.broker.keys
    server = ServerState(host="h", pid=1, server_id="s", concurrency=1, queues={"q": 1}, about=WorkerAbout(version="1"))
    assert await yard.broker.run(show(keys, "h", 1, "s")) is False
    for call in beat(keys, server, [], timedelta(seconds=30)):
        await yard.broker.run(call)
    assert await yard.broker.run(show(keys, "h", 1, "s", timedelta(seconds=90))) is True
    for key in (keys.server("h", 1, "s"), keys.about("h", 1, "s")):
        assert await yard.number("TTL", key) > 60


async def test_tasks_of_a_paused_queue_wait_for_nobody(yard: Yard) -> None:
    await yard.put("a", "pending")
    assert await yard.broker.run(waiting(yard.keys)) == 1
    await yard.execute("SET", yard.keys.paused, 1)
    assert await yard.broker.run(waiting(yard.keys)) == 0


async def test_in_a_cluster_each_call_stays_on_one_node(cluster: ClusterFleet) -> None:
    async with Broker.from_url(cluster.url) as broker:
        queues = [broker.keys.queue(f"owner-{number}") for number in range(6)]
        for queue in queues:
            await broker.execute(
                "HSET",
                queue.task("a"),
                "msg",
                message("a"),
                "state",
                "active",
                "rota_token",
                "dead-1",
                key=queue.active,
            )
            await broker.execute("LPUSH", queue.active, "a", key=queue.active)
            await broker.execute("ZADD", queue.lease, 1.5, "a", key=queue.lease)
        kept = await broker.run_many([keep(queue, ["dead"], timedelta(seconds=30)) for queue in queues])
        returned = await broker.run_many([give_back(queue, "dead", max_crashes=3) for queue in queues])
        shown = await broker.run_many([show(broker.keys, "h", 1, "s"), *listed(broker.keys, "h", 1, "s")])
    assert kept == [(0, 1)] * 6
    assert returned == [Returned(0, pending=1)] * 6
    assert shown == [False, Beaten(False), Beaten(False)]
