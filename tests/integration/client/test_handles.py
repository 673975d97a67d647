"""Handles to tasks that were enqueued earlier, by their queue and ID."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from rota.app import Rota
from rota.broker import Broker
from rota.client import Client
from rota.errors import OptionError, ResultNotKept, RotaError, TaskNotFound
from tests.integration.client.conftest import Desk, plan
from tests.servers.roles import as_role


def with_welcome(url: str) -> tuple[Rota, Any]:
    app = Rota(url)

    @app.task("email:welcome", queue="critical", retention="1h")
    async def welcome(user_id: int) -> tuple[str, int]:
        return "welcome", user_id

    return app, welcome


async def test_a_handle_of_a_task_reads_what_its_function_returns_and_does_what_a_job_does(
    any_url: str, broker: Any
) -> None:
    app, welcome = with_welcome(as_role(any_url, "producer"))
    async with app:
        job = await welcome.enqueue(7)
        again = welcome.job(job.id)
        assert (again.id, again.queue, again.type) == (job.id, "critical", "email:welcome")
        assert (again.state, again.created) == (None, False)
        assert repr(again) == f"<Job email:welcome {job.id} in critical>"
        assert (await again.info()).state == "pending"
        desk = Desk(broker, "critical")
        assert await desk.take() == [job.id]
        await desk.end(job.id, "complete", seconds=60, text=b'["welcome",7]')
        assert await again.result() == ("welcome", 7)
        assert await asyncio.to_thread(lambda: welcome.job_sync(job.id).result()) == ("welcome", 7)
        assert await app.job(job.id, queue="critical").result() == ["welcome", 7]
        assert await asyncio.to_thread(lambda: app.job_sync(job.id, queue="critical").info().state) == "completed"
        app.close()


async def test_a_handle_finds_its_task_in_the_queue_that_is_named(any_url: str) -> None:
    app, welcome = with_welcome(as_role(any_url, "producer"))
    async with app:
        job = await welcome.options(queue="low").enqueue(7)
        with pytest.raises(TaskNotFound, match=r"in queue 'critical' .* an ID counts only in its own queue"):
            await welcome.job(job.id).info()
        for handle in (welcome.job(job.id, queue="low"), welcome.options(queue="low").job(job.id)):
            await handle.reschedule("1h")
            assert (await handle.info()).state == "scheduled"
        await welcome.job(job.id, queue="low").cancel()


async def test_a_task_that_is_gone_is_not_found_by_its_handle(client: Client, desk: Desk) -> None:
    job = await client.enqueue(plan())
    handle = client.job("default", job.id)
    with pytest.raises(ResultNotKept):
        await handle.result()
    await client.delete("default", job.id)
    for act in (handle.info, handle.result, handle.cancel, handle.run_now):
        with pytest.raises(TaskNotFound, match=job.id):
            await act()


async def test_a_handle_is_made_without_a_request() -> None:
    app, welcome = with_welcome("redis://localhost:1")
    async with app:
        assert welcome.job("x").id == app.job("x", queue="q").id == "x"
        assert welcome.job_sync("x").id == app.job_sync("x", queue="q").id == "x"
        app.close()


WRONG: dict[str, tuple[Callable[[Rota, Any], object], str]] = {
    "number": (lambda app, welcome: welcome.job(7), "The task ID is 7, but must be a text"),
    "nothing": (lambda app, welcome: welcome.job_sync(None), "The task ID is None, but must be a text"),
    "empty": (lambda app, welcome: app.job("", queue="q"), "task_id is '', but must be a text"),
    "job": (lambda app, welcome: welcome.job(welcome.job("x")), "The task ID is <Job email:welcome x in critical>"),
    "bytes": (lambda app, welcome: app.job_sync(b"x", queue="q"), "must be a text"),
    "no queue": (lambda app, welcome: app.job("x", queue=None), "The queue name is None, but must be a text"),
    "empty queue": (lambda app, welcome: welcome.job("x", queue=" "), "queue is ' ', but must be a text"),
    "brace": (lambda app, welcome: app.job("x", queue="}a"), "starts with '}'"),
    "surrogate": (lambda app, welcome: app.job("\udc00", queue="q"), "is not valid Unicode"),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_wrong_id_or_queue_is_refused_at_once(wrong: str) -> None:
    make, reason = WRONG[wrong]
    app, welcome = with_welcome("redis://localhost:1")
    async with app:
        with pytest.raises(OptionError, match=reason):
            make(app, welcome)
        app.close()


def test_a_handle_for_asyncio_needs_an_event_loop() -> None:
    app, welcome = with_welcome("redis://localhost:1")
    for make in (lambda: welcome.job("x"), lambda: app.job("x", queue="q")):
        with pytest.raises(RotaError, match=r"No event loop runs here.* end in _sync"):
            make()


async def test_an_operation_with_an_empty_id_is_refused_before_it_is_sent(any_url: str) -> None:
    async with Broker.from_url(any_url) as broker:
        with pytest.raises(OptionError, match="task_id is ''"):
            await Client(broker).info("default", "")
