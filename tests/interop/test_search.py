"""Searches, groups of errors and causes of a wait, on tasks that Go alone wrote and ran."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest_asyncio

from interop.programs import Go, request
from rota.broker import Broker
from rota.inspect import Inspector
from rota.inspect.waiting import Reason
from rota.tasks.job import TaskState
from tests.servers.roles import as_role

HOUR = timedelta(hours=1)


@pytest_asyncio.fixture
async def inspector(redis_url: str) -> AsyncIterator[Inspector]:
    broker = Broker.from_url(as_role(redis_url, "inspector"))
    yield Inspector(broker)
    await broker.aclose()


async def found(inspector: Inspector, query: str) -> set[tuple[str, str]]:
    return {(hit.ref.queue, hit.ref.id) async for page in inspector.search(query) for hit in page.hits}


async def test_tasks_that_go_enqueued_are_found_in_every_state(inspector: Inspector, go: Go) -> None:
    await go.enqueue_all(
        [
            request("mail:send", b'{"user":{"id":7},"text":"<b>"}', task_id="a"),
            request("mail:send", b'{"user":{"id":8}}', task_id="b", process_in=HOUR),
            request("report", b'{"user":{"id":7}}', task_id="c", group="g"),
            request("report", b"\xff", task_id="d", queue="low"),
        ]
    )

    assert await found(inspector, "") == {("default", "a"), ("default", "b"), ("default", "c"), ("low", "d")}
    assert await found(inspector, "payload.user.id:7") == {("default", "a"), ("default", "c")}
    assert await found(inspector, "type:mail:* after:+50m") == {("default", "b")}
    assert await found(inspector, "group:g") == {("default", "c")}
    assert await found(inspector, "after:1m before:+1m type:report") == {("default", "c"), ("low", "d")}
    assert await found(inspector, "id:d") == {("low", "d")}


async def test_failures_on_a_go_server_are_grouped_by_their_text(inspector: Inspector, go: Go) -> None:
    tasks = {f"t{number}": {"fail": -1, "error": f"dial tcp 10.0.0.{number}:80: refused"} for number in range(3)}
    await go.enqueue_all([request(name, b"{}", queue="default") for name in tasks])
    async with go.server(tasks=tasks, retry_delay_ms=3_600_000) as server:
        await server.wait(event="error", count=3)
        async with asyncio.timeout(30):
            while (await go.queue()).counts().get("retry") != 3:  # Go says "error" before it has recorded it
                await asyncio.sleep(0.1)

    [*_, page] = [page async for page in inspector.errors()]
    assert {(group.type, group.text, group.tasks) for group in page.groups} == {
        (name, "dial tcp <address>: refused", 1) for name in tasks
    }
    assert all(group.last_at and sum(group.trend) == 1 for group in page.groups)


async def test_go_server_may_handle_a_type_and_runs_a_task_by_name(inspector: Inspector, go: Go) -> None:
    await go.enqueue("slow", b"{}", task_id="runs")
    await go.enqueue("late", b"{}", task_id="waits", process_in=HOUR)
    async with go.server(tasks={"slow": {"hold": True}}, concurrency=1) as server:
        await server.wait(event="start", type="slow")
        async with asyncio.timeout(30):
            # Go shows what it runs with its next heartbeat, which takes up to 5 s.
            while (await inspector.why("default", "runs")).causes[0].facts["server"] is None:
                await asyncio.sleep(0.1)
        running = await inspector.why("default", "runs")
        waiting = await inspector.why("default", "waits")
        [server_seen] = await inspector.servers()

        assert (running.state, [cause.reason for cause in running.causes]) == (TaskState.ACTIVE, [Reason.RUNNING])
        assert [cause.reason for cause in waiting.causes] == [Reason.TYPE_UNSURE, Reason.NOT_DUE]
        assert await found(inspector, f"worker:{server_seen.id}") == {("default", "runs")}
