"""Middleware on the way to the server."""

from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest

from rota.broker import SyncBroker
from rota.client import Client, SyncClient
from rota.errors import BrokerRefused, EnqueueError, OptionError, TaskIdConflict
from rota.tasks.job import Job, Plan
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
    refused, sent = await client.enqueue_many([plan(), plan(type="other")])
    assert "not today" in str(refused)
    assert isinstance(sent, Job)
    assert len(await Desk(broker).ids("pending")) == 1


async def test_a_swallowed_error_is_an_error(broker: Overseen) -> None:
    def swallows(plan: Plan[Any]) -> Generator[None]:
        try:
            yield
        except BrokerRefused:
            return

    await broker.admin.execute("SET", "asynq:{default}:pending", "not ours")
    with pytest.raises(EnqueueError, match="swallowed the error"):
        await Client(broker, middlewares=[swallows]).enqueue(plan())


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_what_a_middleware_raises_for_one_of_many_concerns_that_one(
    broker: Overseen, any_url: str, caplog: pytest.LogCaptureFixture, moment: str
) -> None:
    left: list[bytes] = []

    def outer(plan: Plan[Any]) -> Generator[None]:
        try:
            yield
        finally:
            left.append(plan.payload)

    def breaks(plan: Plan[Any]) -> Generator[None]:
        if moment == "before" and plan.payload == b"1":
            raise ValueError("broken")
        yield
        if plan.payload == b"1":
            raise ValueError("broken")

    plans = [plan(str(i).encode()) for i in range(3)]
    outcomes = [await Client(broker, middlewares=[outer, breaks]).enqueue_many(plans)]
    with SyncBroker.from_url(any_url) as sync:
        outcomes.append(SyncClient(sync, middlewares=[outer, breaks]).enqueue_many(plans))  # type: ignore[arg-type]
    for each in outcomes:
        assert [isinstance(one, EnqueueError) for one in each] == [False, moment == "before", False]
        if moment == "before":
            assert "middleware raised ValueError: broken. The task was not sent." in str(each[1])
    assert sorted(left) == sorted([b"0", b"1", b"2"] * 2)
    assert caplog.text.count("raised an error after its task was sent") == (0 if moment == "before" else 2)


async def test_a_middleware_that_yields_no_plan_makes_an_outcome_of_that(broker: Overseen) -> None:
    def wrong(plan: Plan[Any]) -> Generator[Any]:
        yield "not a plan"

    [outcome] = await Client(broker, middlewares=[wrong]).enqueue_many([plan()])
    assert "yielded a str" in str(outcome)
    with pytest.raises(OptionError, match="yielded a str"):
        await Client(broker, middlewares=[wrong]).enqueue(plan())


async def test_a_middleware_that_does_not_yield_is_named(broker: Overseen) -> None:
    def skips(plan: Plan[Any]) -> Generator[None]:
        if plan.payload:
            yield

    with pytest.raises(RuntimeError, match=r"^The enqueue middleware .*skips ended without a yield"):
        await Client(broker, middlewares=[skips]).enqueue(plan(payload=b""))
