"""A queue that refuses producers: each way to enqueue is refused and changes nothing; what was accepted goes on."""

import asyncio
from typing import Any

import pytest

from rota.broker import SyncBroker
from rota.client import Client, SyncClient
from rota.errors import BrokerRefused, BrokerUnavailable, QueuePaused
from rota.tasks.job import Job
from rota.tasks.policy import Debounce, Unique
from rota.wire import pause
from rota.wire.enqueue import Item
from rota.wire.group import AggregationSet, Ended, aggregate
from rota.wire.message import pack
from rota.wire.pause import Whom
from rota.wire.script import Call
from tests.integration.client.conftest import Desk, plan
from tests.servers.roles import as_role

PLANS = {
    "plain": plan(),
    "delay": plan(delay="1h"),
    "group": plan(group="g"),
    "unique": plan(unique=Unique("1h")),
    "task_id": plan(task_id="mine"),
    "debounce": plan(debounce=Debounce(key="k", wait="1s")),
}


async def stop(desk: Desk, whom: Whom = "producers", kind: pause.Kind = "pause") -> None:
    assert await desk.broker.run(pause.pause(desk.keys, whom, by="anna", reason="migration", kind=kind)) is not None


async def state(desk: Desk) -> dict[bytes, bytes]:
    names = await desk.broker.admin.execute("KEYS", f"{desk.keys.base}*")
    return {name: await desk.broker.admin.execute("DUMP", name) for name in names}


@pytest.mark.parametrize("of", PLANS)
async def test_single_enqueue_is_refused_and_writes_nothing(client: Client, desk: Desk, of: str) -> None:
    await stop(desk)
    before = await state(desk)
    with pytest.raises(
        QueuePaused, match=r"Queue 'default' took no task: it is paused for producers since .* by anna"
    ) as refused:
        await client.enqueue(PLANS[of])
    assert not refused.value.maybe_applied
    assert (refused.value.by, refused.value.reason, refused.value.queue) == ("anna", "migration", "default")
    assert await state(desk) == before


@pytest.mark.parametrize("of", PLANS)
async def test_enqueue_is_as_before_once_the_queue_is_resumed(client: Client, desk: Desk, of: str) -> None:
    await stop(desk)
    was = await desk.broker.run(pause.resume(desk.keys))
    assert was.producers is not None
    assert (await client.enqueue(PLANS[of])).created
    assert await desk.broker.admin.execute("EXISTS", desk.keys.pause) == 0


async def test_each_of_many_gets_its_own_refusal_and_other_queues_are_not_affected(client: Client, desk: Desk) -> None:
    await stop(desk)
    plans = [PLANS["plain"], plan(queue="low"), PLANS["debounce"], PLANS["plain"], plan(queue="low", delay="1h")]
    outcomes = await client.enqueue_many(plans)
    assert [type(each) for each in outcomes] == [QueuePaused, Job, QueuePaused, QueuePaused, Job]


async def test_enqueues_that_are_joined_into_one_request_are_all_refused(client: Client, desk: Desk) -> None:
    await stop(desk)
    outcomes = await asyncio.gather(*(client.enqueue(plan()) for _ in range(20)), return_exceptions=True)
    assert {type(each) for each in outcomes} == {QueuePaused}


async def test_blocking_client_is_refused_too(desk: Desk, any_url: str) -> None:
    await stop(desk, kind="drain")
    with SyncBroker.from_url(as_role(any_url, "producer")) as broker:
        client = SyncClient(broker)
        with pytest.raises(QueuePaused, match="is being drained"):
            client.enqueue(plan())
        assert [type(each) for each in client.enqueue_many([plan(), plan(delay="1s")])] == [QueuePaused] * 2


async def test_pause_of_workers_alone_refuses_no_producer(client: Client, desk: Desk) -> None:
    await stop(desk, "workers")
    for each in PLANS.values():
        assert (await client.enqueue(each)).created
    assert await desk.take() == []


@pytest.mark.parametrize("again", [False, True])
async def test_go_program_that_resumes_a_pause_of_both_ends_it_for_producers_too(
    client: Client, desk: Desk, again: bool
) -> None:
    await stop(desk, "both")
    with pytest.raises(QueuePaused):
        await client.enqueue(plan())
    await desk.broker.admin.execute("DEL", desk.keys.paused)  # what Go's Inspector.UnpauseQueue does
    if again:
        await desk.broker.admin.execute("SET", desk.keys.paused, "1700000000")  # and PauseQueue
    assert (await client.enqueue(plan())).created
    found = await desk.broker.run(pause.look(desk.keys))
    assert found.producers is None
    assert (found.workers is not None) == again
    assert await desk.broker.admin.execute("HEXISTS", desk.keys.pause, "producers") == 0


async def test_go_program_that_resumes_the_workers_does_not_end_a_refusal_of_producers_alone(
    client: Client, desk: Desk
) -> None:
    await stop(desk)
    await stop(desk, "workers")
    await desk.broker.admin.execute("DEL", desk.keys.paused)
    with pytest.raises(QueuePaused):
        await client.enqueue(plan())


async def test_resume_of_the_workers_alone_leaves_producers_of_a_pause_of_both_refused(
    client: Client, desk: Desk
) -> None:
    await stop(desk, "both")
    await desk.broker.run(pause.resume(desk.keys, "workers"))
    assert await desk.broker.admin.execute("EXISTS", desk.keys.paused) == 0
    with pytest.raises(QueuePaused):
        await client.enqueue(plan())
    await desk.broker.run(pause.resume(desk.keys, "producers"))
    assert (await client.enqueue(plan())).created


async def test_later_pause_keeps_the_time_and_replaces_who_and_why(desk: Desk) -> None:
    await desk.broker.admin.execute("SET", desk.keys.paused, "1700000000")
    found = await desk.broker.run(pause.pause(desk.keys, "workers", by="bert", reason="slow"))
    assert found is not None
    assert found.workers is not None
    assert (found.workers.by, found.workers.reason) == ("bert", "slow")
    assert found.workers.since is not None
    assert found.workers.since.timestamp() == 1700000000


async def test_accepted_tasks_go_on_while_producers_are_refused(client: Client, desk: Desk) -> None:
    failing = await client.enqueue(plan())
    due = await client.enqueue(plan(delay="0.01s"))
    await stop(desk)
    taken: list[str] = []
    while due.id not in taken:
        taken += await desk.take()
    await desk.end(failing.id, "retry", seconds=60)
    assert await desk.ids("retry") == [failing.id]


async def test_aggregation_of_accepted_tasks_is_not_refused(client: Client, desk: Desk) -> None:
    await client.enqueue(plan(group="g"))
    await desk.aggregate("g")
    await stop(desk)
    result = Item("joined", pack("t", b"{}", "joined", queue="default"), mark="joined")
    ended = await desk.broker.run(aggregate(AggregationSet(desk.keys, "g", "set"), result))
    assert ended.ended is Ended.DONE
    assert await desk.ids("pending") == ["joined"]


async def test_refusal_of_an_enqueue_that_was_sent_again_says_that_the_task_may_be_there(
    client: Client, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = client.broker.run

    async def lose_the_reply(call: Call[Any]) -> Any:
        await run(call)
        await stop(desk)
        raise BrokerUnavailable("the reply was lost", maybe_applied=True)

    monkeypatch.setattr(client._requests, "enqueue", lose_the_reply)
    with pytest.raises(BrokerRefused, match=r"is paused for producers .* look it up") as refused:
        await client.enqueue(plan(task_id="mine"))
    assert (refused.value.maybe_applied, refused.value.task_id) == (True, "mine")
    assert await desk.ids("pending") == ["mine"]
