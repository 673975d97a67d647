"""On a Cluster: queues on different nodes, channels and the set of queues on none of theirs."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from rota.broker import Broker
from rota.client import Client
from rota.enqueued import Enqueued
from rota.info import TaskState
from tests.integration.client.conftest import Desk, plan
from tests.integration.client.test_cancel import watched
from tests.servers.fleet import ClusterFleet


@pytest.fixture
async def broker(cluster: ClusterFleet) -> AsyncIterator[Broker]:
    async with Broker.from_url(cluster.url) as broker:
        yield broker


async def test_one_stream_fills_queues_on_all_nodes(client: Client, broker: Broker) -> None:
    world = uuid4().hex
    kinds = [{}, {"delay": "1h"}, {"group": "g"}, {"unique": "10m"}]
    plans = [
        plan(str(i).encode(), queue=f"{world}-{i % 12}", **kinds[i % 4])  # type: ignore[arg-type]
        for i in range(1000)
    ]
    results = await client.enqueue_many(plans)
    assert all(isinstance(result, Enqueued) and result.created for result in results)
    names = await broker.execute("SMEMBERS", "asynq:queues", key="asynq:queues")
    assert {f"{world}-{i}".encode() for i in range(12)} <= set(names)


async def test_a_task_is_changed_cancelled_and_awaited_there(client: Client, broker: Broker) -> None:
    queue = uuid4().hex
    job = await client.enqueue(plan(b"old", queue=queue, unique="10m", delay="1h"))
    await job.update_payload(b"new")
    await job.reschedule("2h")
    assert ((await job.info()).payload, (await job.info()).state) == (b"new", TaskState.SCHEDULED)
    await job.run_now()
    desk = _DeskOnCluster(broker, queue)
    assert await desk.take() == [job.id]
    await job.cancel("enough")
    waiting = asyncio.create_task(job.result(timeout="20s"))
    await watched(desk, job)
    await desk.end(job.id, "complete", seconds=60, text=b"1")
    assert await waiting == 1


class _DeskOnCluster(Desk):
    async def hash(self, task_id: str) -> dict[str, bytes]:
        row = await self.broker.execute("HGETALL", self.keys.task(task_id), key=self.keys.pending)
        pairs = row.items() if isinstance(row, dict) else zip(row[::2], row[1::2], strict=True)
        return {name.decode(): value for name, value in pairs}
