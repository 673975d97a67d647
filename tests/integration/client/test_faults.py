"""A lost reply must neither lose a task, nor double it, nor be taken for a conflict with itself."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import pytest

from rota.broker import Broker
from rota.client import Client
from rota.enqueued import Enqueued
from rota.errors import BrokerUnavailable, TaskIdConflict
from rota.policy import Debounce, Unique
from tests.integration.client.conftest import Desk, plan
from tests.integration.client.cut import LosesReplies
from tests.servers.process import Server, valkey_binary

DEBOUNCE = Debounce("k", "10s")


@pytest.fixture
async def proxy(any_url: str) -> AsyncIterator[LosesReplies]:
    async with LosesReplies(urlsplit(any_url).path) as proxy:
        yield proxy


@pytest.fixture
async def shaky(any_url: str, proxy: LosesReplies, client: Client) -> AsyncIterator[Client]:
    """A client behind the proxy, warm: the server knows the scripts, the queue is published."""
    database = parse_qs(urlsplit(any_url).query)["db"][0]
    for words in ({}, {"delay": "1h"}, {"debounce": Debounce("warm", "1s")}):
        await client.enqueue(plan(queue="warm", **words))
    async with Broker.from_url(f"{proxy.url}/{database}") as broker:
        shaky = Client(broker)
        await shaky.enqueue(plan(queue="warm"))
        shaky._published.note("default")
        yield shaky


@pytest.mark.parametrize("words", [{}, {"task_id": "mine"}, {"unique": "10m"}, {"task_id": "m", "unique": "10m"}])
@pytest.mark.parametrize("place", [{}, {"delay": "1h"}, {"group": "g"}])
async def test_a_task_whose_reply_was_lost_is_there_once_and_was_created(
    shaky: Client, proxy: LosesReplies, desk: Desk, words: dict[str, object], place: dict[str, object]
) -> None:
    proxy.losses = 1
    job = await shaky.enqueue(plan(**words, **place))
    assert proxy.lost == 1
    assert job.created
    assert sum([len(await desk.ids(name)) for name in ("pending", "scheduled", "g:g")]) == 1
    assert (await shaky.info("default", job.id)).state == job.state


async def test_a_task_that_ran_and_failed_before_the_repetition_is_not_a_conflict(
    shaky: Client, proxy: LosesReplies, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, sent = shaky.broker.run, []

    async def run(call):  # type: ignore[no-untyped-def]
        if sent:
            await desk.take()
            failed = await desk.message("mine")
            failed.retried, failed.error_msg = 1, "boom"
            await desk.end("mine", "retry", seconds=60, message=failed.SerializeToString())
        sent.append(call)
        return await send(call)

    monkeypatch.setattr(shaky.broker, "run", run)
    proxy.losses = 1
    job = await shaky.enqueue(plan(task_id="mine"))
    assert (job.created, job.state, len(sent)) == (True, "retry", 2)


async def test_a_second_enqueue_of_the_same_bytes_under_a_chosen_id_is_a_conflict_all_the_same(shaky: Client) -> None:
    await shaky.enqueue(plan(task_id="mine"))
    with pytest.raises(TaskIdConflict):
        await shaky.enqueue(plan(task_id="mine"))


async def test_a_debounced_call_whose_reply_was_lost_is_one_run(shaky: Client, proxy: LosesReplies, desk: Desk) -> None:
    proxy.losses = 1
    job = await shaky.enqueue(plan(debounce=Debounce("k", "10s")))
    assert job.created
    assert await desk.ids("scheduled") == [job.id]


async def test_a_replacement_whose_reply_was_lost_is_made_once(shaky: Client, proxy: LosesReplies, desk: Desk) -> None:
    first = await shaky.enqueue(plan(unique="10m"))
    proxy.losses = 1
    again = await shaky.enqueue(plan(unique=Unique("10m", on_conflict="replace"), delay="1h"))
    assert (again.id, again.created) == (first.id, False)
    assert (await desk.ids("pending"), await desk.ids("scheduled")) == ([], [first.id])


async def test_a_stream_that_loses_a_reply_loses_and_doubles_nothing(
    shaky: Client, proxy: LosesReplies, desk: Desk
) -> None:
    proxy.losses = 1
    results = await shaky.enqueue_many(plan(str(i).encode(), task_id=None if i % 2 else f"id-{i}") for i in range(1200))
    assert proxy.lost == 1
    assert all(isinstance(result, Enqueued) and result.created for result in results)
    waiting = await desk.ids("pending")
    assert len(waiting) == len(set(waiting)) == 1200


async def test_changes_are_safe_to_repeat(shaky: Client, proxy: LosesReplies, desk: Desk) -> None:
    job = await shaky.enqueue(plan(b"old", delay="1h"))
    for act in (job.update_payload, job.reschedule, job.run_now, job.cancel):
        proxy.losses = 1
        await act(*([b"new"] if act == job.update_payload else ["2h"] if act == job.reschedule else []))
    assert proxy.lost == 4
    assert (await desk.message(job.id)).payload == b"new"
    assert await desk.ids("archived") == [job.id]


async def test_when_every_reply_is_lost_the_error_says_that_it_may_have_been_done(
    shaky: Client, proxy: LosesReplies, desk: Desk
) -> None:
    proxy.losses = 100
    with pytest.raises(BrokerUnavailable, match="may have been carried out") as caught:
        await shaky.enqueue(plan())
    assert caught.value.maybe_applied
    assert proxy.lost == 3
    assert len(await desk.ids("pending")) == 1


async def test_a_waiting_result_survives_lost_replies(shaky: Client, proxy: LosesReplies, desk: Desk) -> None:
    job = await shaky.enqueue(plan(retention="1h"))
    await desk.take()
    proxy.losses = 2
    waiting = asyncio.create_task(job.result(timeout="20s"))
    async with asyncio.timeout(10):
        while proxy.losses or "rota_wait" not in await desk.hash(job.id):
            await asyncio.sleep(0)
    await desk.end(job.id, "complete", seconds=60, text=b"1")
    assert await waiting == 1


@pytest.mark.parametrize("binary", ["redis-server", valkey_binary()])
@pytest.mark.parametrize("words", [{}, {"delay": "1h"}, {"unique": "10m", "group": "g"}, {"debounce": DEBOUNCE}])
async def test_a_server_without_memory_keeps_nothing_and_says_why(binary: str, words: dict[str, object]) -> None:
    server = Server(binary).start()
    try:
        async with Broker.from_url(server.unix_url) as broker:
            client = Client(broker)
            await client.enqueue(plan())
            await broker.execute("CONFIG", "SET", "maxmemory", 1)
            with pytest.raises(BrokerUnavailable, match="accepts no writes: OOM"):
                await client.enqueue(plan(b"2", **words))
            assert sorted(await broker.execute("KEYS", "*"))[:2] == [b"asynq:queues", b"asynq:{default}:pending"]
            assert await broker.execute("DBSIZE") == 3
    finally:
        server.stop()
