"""Cancelling: the end of a task that waits, and a request to the worker of one that runs."""

import asyncio

import pytest

from rota.client import Client
from rota.errors import TaskCancelled
from rota.tasks.job import Job, TaskState
from rota.tasks.policy import Unique
from tests.integration.client.conftest import Desk, plan
from tests.servers.overseen import Overseen


async def counters(broker: Overseen) -> dict[bytes, bytes]:
    names = await broker.admin.execute("KEYS", "asynq:{default}:[pf]*ed*")
    counted = [name for name in names if b"processed" in name or b"failed" in name]
    return {name: await broker.admin.execute("GET", name) for name in counted}


@pytest.mark.parametrize("state", ["pending", "scheduled", "aggregating", "retry"])
async def test_a_waiting_task_is_archived_with_the_reason_and_counts_nowhere(
    client: Client, desk: Desk, state: str
) -> None:
    job = await desk.bring(client, state, plan(b"kept", unique="10m"))
    before, asked_at = await counters(desk.broker), int(await desk.now())
    await job.cancel("the order was withdrawn")
    stored = await desk.hash(job.id)
    message = await desk.message(job.id)
    assert (stored["state"], stored["rota_end"]) == (b"archived", b"cancelled")
    assert "pending_since" not in stored
    assert (message.error_msg, message.payload) == ("cancelled: the order was withdrawn", b"kept")
    assert asked_at <= message.last_failed_at <= await desk.now()
    places = ["pending", "scheduled", "retry", "archived", "g:g"]
    assert [place for place in places if job.id in await desk.ids(place)] == ["archived"]
    assert asked_at <= await desk.score("archived", job.id) <= await desk.now()
    assert await desk.locks() == []
    assert await desk.groups() == set()
    assert await counters(desk.broker) == before


async def test_the_lock_of_another_task_is_not_given_back(client: Client, desk: Desk) -> None:
    first = await desk.bring(client, "retry", plan(unique=Unique(scope="queued")))
    second = await client.enqueue(plan(unique=Unique(scope="queued")))
    await first.cancel()
    assert await desk.holder(second.id) == second.id


async def test_the_worker_of_a_running_task_is_told_by_field_and_by_asynqs_channel(client: Client, desk: Desk) -> None:
    job = await desk.bring(client, "active", plan())
    async with desk.broker.subscribe("asynq:cancel") as messages:
        await job.cancel("enough")
        async with asyncio.timeout(20):
            while await messages.get() != ("asynq:cancel", job.id.encode()):
                pass  # the nodes of a Cluster pass messages on when they can: one of the test before may come now
    stored = await desk.hash(job.id)
    assert (stored["state"], stored["rota_cancel"]) == (b"active", b"enough")


@pytest.mark.parametrize("state", ["archived", "completed"])
async def test_nothing_happens_to_a_task_that_has_ended(client: Client, desk: Desk, state: str) -> None:
    job = await desk.bring(client, state, plan(retention="1h"))
    before = await desk.hash(job.id)
    await job.cancel("too late")
    assert await desk.hash(job.id) == before


@pytest.mark.parametrize("state", ["pending", "active"])
async def test_cancelling_twice_is_harmless(client: Client, desk: Desk, state: str) -> None:
    job = await desk.bring(client, state, plan())
    await job.cancel("first")
    before = await desk.hash(job.id)
    await job.cancel("first")
    assert await desk.hash(job.id) == before


async def test_who_waits_for_the_task_is_told(client: Client, desk: Desk) -> None:
    job = await desk.bring(client, "scheduled", plan(retention="1h"))
    waiting = asyncio.create_task(job.result(timeout="20s"))
    await watched(desk, job)
    await job.cancel("enough")
    with pytest.raises(TaskCancelled, match="cancelled: enough") as caught:
        await waiting
    assert caught.value.reason == "cancelled: enough"


async def test_a_reason_is_cut_and_made_storable(client: Client, desk: Desk) -> None:
    job = await client.enqueue(plan())
    await job.cancel("é" * 10_000 + "\ud800")
    error = (await desk.message(job.id)).error_msg
    assert len(error.encode()) <= 8192
    assert error.startswith("cancelled: éé")
    assert (await job.info()).state is TaskState.ARCHIVED


async def watched(desk: Desk, job: Job[object]) -> None:
    """Return once somebody waits for the end of this task."""
    async with asyncio.timeout(30):
        while "rota_wait" not in await desk.hash(job.id):
            await asyncio.sleep(0)
