"""Results: by message from a Rota worker, by looking where a Go server ran the task."""

import asyncio
from collections.abc import Sequence

import pytest

from rota.broker import Broker, subscription
from rota.broker.link import Link
from rota.client import Client
from rota.client import operations as acts
from rota.errors import ResultError, ResultNotKept, ResultTimeout, TaskCancelled, TaskFailed, TaskNotFound
from rota.tasks.job import Job, Plan
from tests.integration.client.conftest import Desk, plan
from tests.integration.client.test_cancel import watched
from tests.servers.overseen import Overseen

KEPT = plan(retention="1h")


async def wait_for(desk: Desk, job: Job[object], timeout: str = "20s") -> "asyncio.Task[object]":
    waiting = asyncio.create_task(job.result(timeout=timeout))
    await watched(desk, job)
    return waiting


async def test_the_result_comes_by_message_without_a_look(
    client: Client, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acts, "_FIRST_LOOK_SECONDS", 3600)
    monkeypatch.setattr(client, "_poll_seconds", 3600)
    job = await desk.bring(client, "active", KEPT)
    waiting = await wait_for(desk, job, "1h")
    await desk.end(job.id, "complete", seconds=60, text=b'{"a": [1, null]}')
    assert await asyncio.wait_for(waiting, 20) == {"a": [1, None]}


@pytest.mark.parametrize("state", ["pending", "active", "gone"])
async def test_a_task_without_retention_says_at_once_that_it_keeps_no_result_whatever_has_become_of_it(
    client: Client, desk: Desk, state: str
) -> None:
    job = await client.enqueue(plan())
    if state != "pending":
        assert await desk.take() == [job.id]
    if state == "gone":
        await desk.end(job.id, "done", text=b"41")
    with pytest.raises(ResultNotKept, match=r"keeps no result, .* task.options\(retention='10m'\)"):
        await job.result()


async def test_a_result_that_is_asked_for_by_id_is_refused_at_once_where_none_will_be_kept(client: Client) -> None:
    job = await client.enqueue(plan())
    with pytest.raises(ResultNotKept):
        await client.result("default", job.id)
    assert (await job.info()).state == "pending"


async def test_a_task_that_existed_is_asked_for_what_it_keeps(client: Client, desk: Desk) -> None:
    first = await client.enqueue(plan(retention="1h", unique="10m"))
    second = await client.enqueue(plan(unique="10m"))
    assert (second.created, second.id) == (False, first.id)
    assert await desk.take() == [first.id]
    waiting = await wait_for(desk, second)
    await desk.end(first.id, "complete", seconds=60, text=b"7")
    assert await waiting == 7


async def test_a_kept_result_can_be_read_later_and_again(client: Client, desk: Desk) -> None:
    job = await desk.bring(client, "completed", KEPT)
    assert await job.result() == await job.result(timeout=1) == "fine"


async def test_a_plan_says_how_its_result_is_read(client: Client, desk: Desk) -> None:
    typed: Plan[int] = Plan("t", b"{}", KEPT.options, decode=lambda stored: len(stored))
    job = await desk.bring(client, "completed", typed)
    assert await job.result() == 6


async def test_an_empty_result_is_none(client: Client, desk: Desk) -> None:
    job = await desk.bring(client, "active", KEPT)
    await desk.end(job.id, "complete", seconds=60)
    assert await job.result() is None


async def test_a_go_server_that_announces_nothing_is_found_by_looking(client: Client, desk: Desk) -> None:
    job = await desk.bring(client, "active", KEPT)
    waiting = await wait_for(desk, job)
    await desk.broker.admin.execute("HSET", desk.keys.task(job.id), "state", "completed", "result", b"1")
    async with asyncio.timeout(20):
        assert await waiting == 1


async def test_a_failed_task_raises_its_last_error(client: Client, desk: Desk) -> None:
    job = await desk.bring(client, "active", KEPT)
    waiting = await wait_for(desk, job)
    failed = await desk.message(job.id)
    failed.error_msg = "boom"
    await desk.end(job.id, "archive", message=failed.SerializeToString(), text=b"boom")
    for result in (waiting, job.result()):
        with pytest.raises(TaskFailed, match="failed for good: boom") as caught:
            await result
        assert caught.value.reason == "boom"


async def test_a_cancelled_task_raises_its_reason_also_later(client: Client) -> None:
    job = await client.enqueue(KEPT)
    await job.cancel("enough")
    with pytest.raises(TaskCancelled, match="cancelled: enough"):
        await job.result()


async def test_a_revoked_task_has_no_result(client: Client, desk: Desk) -> None:
    job = await desk.bring(client, "active", KEPT)
    waiting = await wait_for(desk, job)
    await desk.end(job.id, "done", ending="revoked", text=b"not needed")
    with pytest.raises(ResultError, match="was revoked by its handler"):
        await waiting


async def test_a_task_that_is_gone_explains_retention(client: Client, desk: Desk) -> None:
    job = await desk.bring(client, "active", plan())
    await desk.end(job.id, "done")
    with pytest.raises(TaskNotFound, match="Give the task a retention"):
        await client.result("default", job.id)


async def test_a_task_that_is_deleted_while_somebody_waits_ends_the_wait(client: Client, desk: Desk) -> None:
    job = await client.enqueue(KEPT)
    waiting = await wait_for(desk, job)
    await client.delete("default", job.id)
    with pytest.raises(TaskNotFound, match="or it was deleted"):
        await waiting


async def test_a_wait_that_is_too_long_says_how_the_task_stands(client: Client, desk: Desk) -> None:
    job = await client.enqueue(plan(delay="1h", retention="1h"))
    with pytest.raises(ResultTimeout, match=r"did not end within 3 s \(it is scheduled\). It goes on"):
        await job.result(timeout="3s")


async def test_a_wait_for_a_task_that_nobody_takes_asks_for_its_worker(client: Client) -> None:
    job = await client.enqueue(plan(retention="1h"))
    with pytest.raises(ResultTimeout, match=r"\(it is pending\). No worker has taken it yet: is one running"):
        await job.result(timeout="3s")


async def test_many_waits_share_one_connection(client: Client, desk: Desk) -> None:
    jobs = [await client.enqueue(KEPT) for _ in range(100)]
    assert len(await desk.take()) == 100
    waiting = [asyncio.create_task(job.result(timeout="30s")) for job in jobs]
    for job in jobs:
        await watched(desk, job)
    assert await desk.broker.admin.listeners() == 1
    for i, job in enumerate(jobs):
        await desk.end(job.id, "complete", seconds=60, text=str(i).encode())
    assert await asyncio.gather(*waiting) == list(range(100))


@pytest.mark.forbids
async def test_without_the_right_to_subscribe_looking_is_enough(
    client: Client, broker: Overseen, desk: Desk, any_url: str
) -> None:
    user = f"reader-{id(client)}"
    await broker.admin.execute("ACL", "SETUSER", user, "on", ">secret", "~*", "+@all", "resetchannels")
    job = await desk.bring(client, "active", KEPT)
    from rota.broker import BrokerOptions

    async with Broker.from_url(any_url, options=BrokerOptions(username=user, password="secret")) as poor:
        waiting = asyncio.create_task(Client(poor).result("default", job.id, "20s"))
        await watched(desk, job)
        await desk.end(job.id, "complete", seconds=60, text=b"1")
        assert await waiting == b"1"


async def test_a_lost_subscription_does_not_end_the_wait(client: Client, desk: Desk) -> None:
    job = await desk.bring(client, "active", KEPT)
    waiting = await wait_for(desk, job)
    assert await desk.broker.admin.cut_listeners() == 1
    await desk.broker.admin.execute("HSET", desk.keys.task(job.id), "state", "completed", "result", b"1")
    async with asyncio.timeout(20):
        assert await waiting == 1


async def test_a_wait_begins_although_the_connection_of_its_subscription_is_lost_in_that_moment(
    client: Client, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, links = subscription._confirm, list[Link]()

    async def confirm(link: Link, names: Sequence[str]) -> None:
        links.append(link)
        if len(links) == 2:  # after it was opened
            link.close("lost in this moment")
        await real(link, names)

    monkeypatch.setattr(subscription, "_confirm", confirm)
    job = await desk.bring(client, "completed", KEPT)
    await desk.broker.admin.execute("HSET", desk.keys.task(job.id), "result", b"1")
    assert await job.result(timeout="20s") == 1
