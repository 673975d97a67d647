"""On a Cluster: queues on different nodes, channels and the set of queues on none of theirs."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any
from uuid import uuid4

import pytest

from rota.client import Client
from rota.errors import BrokerUnavailable
from rota.tasks.job import Job, TaskState
from rota.wire.owner import waiting
from tests.integration.client.conftest import Desk, plan
from tests.integration.client.test_cancel import watched
from tests.servers.fleet import ClusterFleet
from tests.servers.overseen import Overseen


@pytest.fixture
async def broker(cluster: ClusterFleet) -> AsyncIterator[Overseen]:
    async with Overseen.from_url(cluster.url) as broker:
        yield broker


@pytest.fixture
def client(broker: Overseen) -> Client:
    return Client(broker)


async def test_one_stream_fills_queues_on_all_nodes(client: Client, broker: Overseen) -> None:
    world = uuid4().hex
    kinds = [{}, {"delay": "1h"}, {"group": "g"}, {"unique": "10m"}]
    plans = [
        plan(str(i).encode(), queue=f"{world}-{i % 12}", **kinds[i % 4])  # type: ignore[arg-type]
        for i in range(1000)
    ]
    results = await client.enqueue_many(plans)
    assert all(isinstance(result, Job) and result.created for result in results)
    names = await broker.admin.execute("SMEMBERS", "asynq:queues")
    assert {f"{world}-{i}".encode() for i in range(12)} <= set(names)


async def test_the_loss_of_the_node_with_the_names_of_queues_does_not_affect_a_queue_that_is_known(
    client: Client, broker: Overseen, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def execute(*words: Any, key: str | None = None) -> Any:
        assert key == broker.keys.queues
        raise BrokerUnavailable("nothing listens at this node")

    known, new = uuid4().hex, uuid4().hex
    await client.enqueue(plan(queue=known))
    client._published_until[known] = 0.0  # some seconds later
    monkeypatch.setattr(broker, "execute", execute)

    assert (await client.enqueue(plan(queue=known))).created
    assert [getattr(each, "created", each) for each in await client.enqueue_many([plan(queue=known)])] == [True]
    with pytest.raises(BrokerUnavailable):
        await client.enqueue(plan(queue=new))


async def test_a_task_is_changed_cancelled_and_awaited_there(client: Client, broker: Overseen) -> None:
    queue = uuid4().hex
    job = await client.enqueue(plan(b"old", queue=queue, unique="10m", delay="1h", retention="1h"))
    await job.update_payload(b"new")
    await job.reschedule("2h")
    assert ((await job.info()).payload, (await job.info()).state) == (b"new", TaskState.SCHEDULED)
    await job.run_now()
    desk = Desk(broker, queue)
    assert await desk.take() == [job.id]
    await job.cancel("enough")
    waiting = asyncio.create_task(job.result(timeout="20s"))
    await watched(desk, job)
    await desk.end(job.id, "complete", seconds=60, text=b"1")
    assert await waiting == 1


async def test_no_chunk_of_a_stream_overtakes_one_that_has_to_connect_to_another_node(
    client: Client, broker: Overseen, cluster: ClusterFleet
) -> None:
    here = uuid4().hex
    node = await broker.node_of(f"{{{here}}}")
    for there in (uuid4().hex for _ in range(20)):
        async with Overseen.from_url(cluster.url) as fresh:
            sender = Client(fresh)
            sender._published_until[here] = math.inf
            sender._published_until[there] = math.inf
            await fresh.run(waiting(fresh.keys.queue(here)))
            if await broker.node_of(f"{{{there}}}") == node:
                continue
            plans = [plan(b"1", queue=here, task_id="first"), plan(queue=there), plan(b"2", queue=here)]
            async with aclosing(sender.enqueue_stream(plans, chunk=2)) as stream:
                [_, _, last] = [result async for result in stream]
        assert isinstance(last, Job)
        pending = await Desk(broker, here).ids("pending")
        assert pending[:2] == [last.id, "first"]
        return
    raise AssertionError("all queues are on one node")
