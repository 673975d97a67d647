"""Middleware on the way to the server."""

from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest

from rota.broker import SyncBroker
from rota.client import Client, SyncClient
from rota.enqueued import Plan
from rota.errors import BrokerRefused, EnqueueError, TaskIdConflict
from tests.integration.client.conftest import Desk, plan
from tests.servers.overseen import Overseen


def stamp(plan: Plan[Any]) -> Generator[Plan[Any]]:
    yield plan.with_headers({"stamp": plan.type})


async def test_one_and_many_pass_through_the_middlewares(broker: Overseen, desk: Desk) -> None:
    client = Client(broker, middlewares=[stamp])
    jobs = [await client.enqueue(plan()), *await client.enqueue_many(plan() for _ in range(3))]
    for job in jobs:
        assert not isinstance(job, Exception)
        assert dict((await desk.message(job.id)).headers) == {"stamp": "t"}


def test_the_blocking_face_has_them_too(any_url: str) -> None:
    with SyncBroker.from_url(any_url) as broker:
        client = SyncClient(broker, middlewares=[stamp])
        jobs = [client.enqueue(plan()), *client.enqueue_many([plan()])]
        for job in jobs:
            assert not isinstance(job, Exception)
            assert dict(job.info().headers) == {"stamp": "t"}


async def test_a_middleware_learns_of_a_refusal_and_the_caller_too(broker: Overseen) -> None:
    seen: list[Exception] = []

    async def looking(plan: Plan[Any]) -> AsyncGenerator[None]:
        try:
            yield
        except EnqueueError as error:
            seen.append(error)
            raise

    client = Client(broker, middlewares=[looking])
    await client.enqueue(plan(task_id="x"))
    with pytest.raises(TaskIdConflict):
        await client.enqueue(plan(task_id="x"))
    assert len(seen) == 1


async def test_a_middleware_may_refuse_a_task(broker: Overseen) -> None:
    async def guard(plan: Plan[Any]) -> AsyncGenerator[None]:
        if plan.type == "t":
            raise EnqueueError("not today")
        yield

    client = Client(broker, middlewares=[guard])
    with pytest.raises(EnqueueError, match="not today"):
        await client.enqueue(plan())
    with pytest.raises(EnqueueError, match="not today"):
        await client.enqueue_many([plan()])
    assert await broker.admin.execute("DBSIZE") == 0


async def test_a_swallowed_error_is_an_error(broker: Overseen) -> None:
    def swallows(plan: Plan[Any]) -> Generator[None]:
        try:
            yield
        except BrokerRefused:
            return

    await broker.admin.execute("SET", "asynq:{default}:pending", "not ours")
    with pytest.raises(EnqueueError, match="swallowed the error"):
        await Client(broker, middlewares=[swallows]).enqueue(plan())
