"""Queues that Rota and Go pause and resume in turns, and what a Go server does with Rota's orders."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from interop.programs import Go
from rota import Rota
from rota.broker import Broker
from rota.errors import QueuePaused, WorkerOrderFailed
from rota.inspect import Actions, Inspector, deleting_queue
from tests.integration.worker.conftest import eventually
from tests.interop.runs import until
from tests.servers.overseen import Overseen
from tests.servers.roles import as_role


@pytest.fixture
async def actions(redis_url: str) -> AsyncIterator[Actions]:
    async with Broker.from_url(as_role(redis_url, "operator")) as broker:
        yield Actions(broker)


@pytest.fixture
async def inspector(redis_url: str) -> AsyncIterator[Inspector]:
    async with Broker.from_url(as_role(redis_url, "inspector")) as broker:
        yield Inspector(broker)


async def test_pause_for_both_that_go_resumes_leaves_nothing_behind(go: Go, app: Rota, actions: Actions) -> None:
    await app.enqueue("t", queue="mail")
    await actions.pause("mail", "both", reason="migration", by="anna")
    assert (await go.queue("mail")).paused
    with pytest.raises(QueuePaused):
        await app.enqueue("t", queue="mail")
    task = await go.enqueue("t", queue="mail")  # Go producers do not obey
    await go.act("unpause", queue="mail")
    assert (await app.enqueue("t", queue="mail")).created
    found = await actions.queue_pause("mail")
    assert (found.workers, found.producers) == (None, None)
    async with go.server(task_check_ms=50, queues={"mail": 1}) as server:
        await server.wait(event="start", id=task.id)


async def test_pause_of_go_is_read_with_its_time_and_resumed_here(go: Go, app: Rota, actions: Actions) -> None:
    await app.enqueue("t", queue="mail")
    await go.act("pause", queue="mail")
    found = await actions.queue_pause("mail")
    assert found.workers is not None
    assert (found.workers.by, found.workers.reason) == ("", "")
    assert found.workers.since is not None
    assert (await app.enqueue("t", queue="mail")).created, "Go pauses workers only"
    await actions.resume("mail")
    assert not (await go.queue("mail")).paused


async def test_go_server_takes_no_order_but_cancels_a_run(
    go: Go, app: Rota, actions: Actions, inspector: Inspector, redis_url: str
) -> None:
    task = await go.enqueue("t", max_retry=1)
    async with go.server(task_check_ms=50, tasks={"t": {"sleep_ms": 60_000}}) as server:
        await server.wait(event="start", id=task.id)

        async def runs() -> bool:
            return any(each.running for each in await inspector.servers())

        await eventually(runs)
        [seen] = await inspector.servers()
        with pytest.raises(WorkerOrderFailed, match="does not take orders"):
            await actions.quiet_worker(seen)
        async with Overseen.from_url(redis_url) as broker:
            await eventually(lambda: broker.admin.hearers("asynq:cancel"))  # Go takes tasks before it listens
        await actions.cancel_run(seen, task.id)
        assert (await server.wait_one(event="end", id=task.id)).error == "context canceled"
        await until(go, task.id, "retry", "default")


async def test_queue_that_rota_deletes_is_gone_for_go_and_can_be_used_again(
    go: Go, app: Rota, actions: Actions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deleting_queue, "SETTLE_SECONDS", 0.0)
    await go.enqueue("t", queue="mail", unique=timedelta(hours=1))
    await go.enqueue("t", queue="mail", group="g")
    async for _ in actions.delete_queue("mail"):
        pass
    assert "mail" not in (await go.inspect()).queues
    assert (await go.enqueue("t", queue="mail", unique=timedelta(hours=1))).queue == "mail"
