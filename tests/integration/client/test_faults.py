"""A lost reply must neither lose a task, nor double it, nor be taken for a conflict with itself."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from rota.broker import Broker, BrokerOptions
from rota.broker.url import parse
from rota.client import Client
from rota.errors import BrokerRefused, BrokerUnavailable, TaskIdConflict, TaskStateError
from rota.tasks.job import Job
from rota.tasks.policy import Debounce, Unique
from tests.integration.client.conftest import Desk, plan
from tests.integration.client.cut import LosesReplies
from tests.servers.overseen import Overseen
from tests.servers.process import Server, valkey_binary
from tests.servers.roles import as_role

DEBOUNCE = Debounce("k", "10s")


@pytest.fixture
async def proxy(any_url: str) -> AsyncIterator[LosesReplies]:
    async with LosesReplies(urlsplit(any_url).path) as proxy:
        yield proxy


@pytest.fixture
async def shaky(any_url: str, proxy: LosesReplies, client: Client) -> AsyncIterator[Client]:
    """A client behind the proxy, warm: the server knows the scripts, the queue is published."""
    address = parse(as_role(any_url, "producer"))
    options = BrokerOptions(username=address.username, password=address.password)
    for words in ({}, {"debounce": Debounce("warm", "1s")}, {"delay": "1h"}):
        job = await client.enqueue(plan(queue="warm", **words))
    await job.reschedule("2h")
    await job.update_payload(b"warm")
    await job.run_now()
    await client.delete("warm", job.id)
    await (await client.enqueue(plan(queue="warm"))).cancel()
    async with Broker.from_url(f"{proxy.url}/{address.database}", options=options) as broker:
        shaky = Client(broker)
        await shaky.enqueue(plan(queue="warm"))
        shaky._published_until["default"] = math.inf
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


def meanwhile(client: Client, monkeypatch: pytest.MonkeyPatch, act: Callable[[], Awaitable[None]]) -> list[object]:
    """Let something happen before a request is sent for the second time. Returns what was sent again."""
    send, sent = client.broker.run_many, []

    async def run_many(calls):  # type: ignore[no-untyped-def]
        if not sent:
            await act()
        sent.append(calls)
        return await send(calls)

    monkeypatch.setattr(client.broker, "run_many", run_many)
    return sent


EVERY_KIND = pytest.mark.parametrize(
    "words",
    [
        {},
        {"task_id": "mine"},
        {"unique": "10m"},
        {"unique": Unique(scope="queued")},
        {"delay": "1ms"},
        {"debounce": Debounce("k", "1ms")},
    ],
    ids=["plain", "task_id", "unique", "queued", "delay", "debounce"],
)


async def take_one(desk: Desk) -> str:
    async with asyncio.timeout(20):
        while not (taken := await desk.take()):
            pass
    return taken[0]


@EVERY_KIND
async def test_a_task_that_runs_when_its_enqueue_is_repeated_is_not_enqueued_again(
    shaky: Client, proxy: LosesReplies, desk: Desk, monkeypatch: pytest.MonkeyPatch, words: dict[str, object]
) -> None:
    async def starts() -> None:
        await take_one(desk)

    sent = meanwhile(shaky, monkeypatch, starts)
    proxy.losses = 1
    job = await shaky.enqueue(plan(**words))
    assert (job.created, job.state in ("active", "pending"), len(sent)) == (True, True, 1)
    assert await desk.take() == await desk.ids("scheduled") == []
    assert await desk.ids("active") == [job.id]


@EVERY_KIND
async def test_a_task_that_is_kept_when_its_enqueue_is_repeated_is_not_enqueued_again(
    shaky: Client, proxy: LosesReplies, desk: Desk, monkeypatch: pytest.MonkeyPatch, words: dict[str, object]
) -> None:
    async def runs() -> None:
        await desk.end(await take_one(desk), "complete", seconds=60)

    meanwhile(shaky, monkeypatch, runs)
    proxy.losses = 1
    job = await shaky.enqueue(plan(retention="1m", **words))
    assert job.created
    assert await desk.take() == await desk.ids("scheduled") == []
    assert await desk.ids("completed") == [job.id]


async def test_a_task_that_is_over_and_gone_when_its_enqueue_is_repeated_runs_again_under_its_id(
    shaky: Client, proxy: LosesReplies, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least once, as docs/guarantees.md says."""
    over: list[str] = []

    async def runs() -> None:
        over.append(await take_one(desk))
        await desk.end(over[0])

    meanwhile(shaky, monkeypatch, runs)
    proxy.losses = 1
    job = await shaky.enqueue(plan())
    assert job.created
    assert await desk.take() == over == [job.id]


async def test_a_task_that_another_client_made_under_the_chosen_id_is_a_conflict_also_for_a_repeated_enqueue(
    shaky: Client, client: Client, proxy: LosesReplies, desk: Desk
) -> None:
    await client.enqueue(plan(task_id="mine"))
    proxy.losses = 1
    with pytest.raises(TaskIdConflict):
        await shaky.enqueue(plan(task_id="mine"))
    assert proxy.lost == 1
    assert await desk.ids("pending") == ["mine"]


@pytest.mark.parametrize(
    "words", [{"unique": Unique("10m", on_conflict="replace")}, {"debounce": DEBOUNCE}], ids=["replace", "debounce"]
)
async def test_a_replacement_that_another_one_has_followed_is_not_made_again_of_a_task_that_runs(
    shaky: Client, client: Client, proxy: LosesReplies, desk: Desk, monkeypatch: pytest.MonkeyPatch,
    words: dict[str, object],
) -> None:  # fmt: skip
    async def starts() -> None:
        await client.run_now("default", first.id)
        assert await desk.take() == [first.id]

    first = await client.enqueue(plan(**words))
    if "unique" in words:
        meanwhile(shaky, monkeypatch, starts)
    proxy.losses = 1
    again = await shaky.enqueue(plan(**words))
    assert (again.id, again.created) == (first.id, False)


async def test_a_task_that_ran_and_failed_before_the_repetition_is_not_a_conflict(
    shaky: Client, proxy: LosesReplies, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails() -> None:
        await desk.take()
        await desk.end("mine", "retry", seconds=60)

    sent = meanwhile(shaky, monkeypatch, fails)
    proxy.losses = 1
    job = await shaky.enqueue(plan(task_id="mine"))
    assert (job.created, len(sent)) == (True, 1)
    assert (await job.info()).state == "retry"


async def test_a_task_that_is_made_to_run_and_runs_already_was_made_to_run(
    shaky: Client, proxy: LosesReplies, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def starts() -> None:
        assert await desk.take() == [job.id]

    job = await desk.bring(shaky, "archived", plan())
    sent = meanwhile(shaky, monkeypatch, starts)
    proxy.losses = 1
    await job.run_now()
    assert len(sent) == 1
    assert await desk.ids("active") == [job.id]


@pytest.mark.parametrize("change", ["reschedule", "run_now", "update_payload", "cancel"])
async def test_a_change_that_is_refused_when_it_is_repeated_may_have_been_made(
    shaky: Client, client: Client, proxy: LosesReplies, desk: Desk, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    async def gone() -> None:
        await client.delete("default", job.id)

    job = await desk.bring(shaky, "scheduled", plan(b"old"))
    meanwhile(shaky, monkeypatch, gone)
    proxy.losses = 1
    words: dict[str, list[object]] = {"reschedule": ["2h"], "update_payload": [b"new"]}
    with pytest.raises(BrokerUnavailable, match="Sent again, it was refused, because the task is gone") as caught:
        await getattr(job, change)(*words.get(change, []))
    assert caught.value.maybe_applied


async def test_a_change_that_was_surely_not_made_is_refused_as_ever(shaky: Client, desk: Desk) -> None:
    job = await desk.bring(shaky, "completed", plan())
    with pytest.raises(TaskStateError):
        await job.reschedule("2h")


async def test_a_deletion_whose_reply_was_lost_has_succeeded(shaky: Client, proxy: LosesReplies, desk: Desk) -> None:
    job = await shaky.enqueue(plan())
    proxy.losses = 1
    await shaky.delete("default", job.id)
    assert proxy.lost == 1
    assert await desk.hash(job.id) == {}


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
    assert all(isinstance(result, Job) and result.created for result in results)
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


@pytest.mark.parametrize(
    ("place", "words"),
    [("pending", {}), ("pending", {"task_id": "mine"}), ("scheduled", {"debounce": DEBOUNCE}), ("g:g", {"group": "g"})],
)
async def test_when_every_reply_is_lost_the_error_says_that_it_may_have_been_done_and_under_which_id(
    shaky: Client, proxy: LosesReplies, desk: Desk, place: str, words: dict[str, object]
) -> None:
    proxy.losses = 100
    with pytest.raises(BrokerUnavailable, match="may have been carried out") as caught:
        await shaky.enqueue(plan(**words))
    assert caught.value.maybe_applied
    assert caught.value.task_id in str(caught.value)
    assert proxy.lost >= 2
    assert await desk.ids(place) == [caught.value.task_id]


async def test_when_every_reply_is_lost_each_of_many_outcomes_says_so_with_its_id(
    shaky: Client, proxy: LosesReplies, desk: Desk
) -> None:
    proxy.losses = 1000
    outcomes = await shaky.enqueue_many([plan(), plan(delay="1h"), plan(), plan(debounce=DEBOUNCE)])
    assert all(isinstance(each, BrokerUnavailable) and each.maybe_applied for each in outcomes)
    told = {each.task_id for each in outcomes if isinstance(each, BrokerUnavailable)}
    assert told == {*await desk.ids("pending"), *await desk.ids("scheduled")}


async def test_a_refusal_after_a_lost_reply_says_that_the_first_sending_may_have_arrived(
    shaky: Client, proxy: LosesReplies, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(calls: list[object]) -> list[object]:
        return [BrokerRefused("no right to do so") for _ in calls]

    monkeypatch.setattr(shaky.broker, "run_many", refused)
    proxy.losses = 1
    with pytest.raises(BrokerRefused, match="no right to do so") as caught:
        await shaky.enqueue(plan())
    assert caught.value.maybe_applied
    assert await desk.ids("pending") == [caught.value.task_id]


async def test_where_only_the_name_of_the_queue_may_have_been_published_nothing_was_enqueued(
    shaky: Client, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*words: object, key: str | None = None) -> None:
        raise BrokerUnavailable("lost", maybe_applied=True)

    monkeypatch.setattr(shaky.broker, "execute", lost)
    for act in (shaky.enqueue(plan(queue="new")), shaky.enqueue(plan(queue="new", delay="1h"))):
        with pytest.raises(BrokerUnavailable, match="lost") as caught:
            await act
        assert not caught.value.maybe_applied
    [outcome] = await shaky.enqueue_many([plan(queue="new")])
    assert isinstance(outcome, BrokerUnavailable)
    assert not outcome.maybe_applied


async def test_a_waiting_result_survives_lost_replies(shaky: Client, proxy: LosesReplies, desk: Desk) -> None:
    job = await shaky.enqueue(plan(retention="1h"))
    await desk.take()
    proxy.losses = 2
    waiting = asyncio.create_task(job.result(timeout="20s"))
    async with asyncio.timeout(30):
        while proxy.losses or "rota_wait" not in await desk.hash(job.id):
            await asyncio.sleep(0)
    await desk.end(job.id, "complete", seconds=60, text=b"1")
    assert await waiting == 1


@pytest.mark.parametrize("binary", ["redis-server", valkey_binary()])
@pytest.mark.parametrize("words", [{}, {"delay": "1h"}, {"unique": "10m", "group": "g"}, {"debounce": DEBOUNCE}])
async def test_a_server_without_memory_keeps_nothing_and_says_why(binary: str, words: dict[str, object]) -> None:
    server = Server(binary).start()
    try:
        async with Overseen.from_url(server.unix_url, options=BrokerOptions(retry_for=timedelta(0))) as broker:
            client = Client(broker)
            await client.enqueue(plan())
            await broker.admin.execute("CONFIG", "SET", "maxmemory", 1)
            with pytest.raises(BrokerUnavailable, match="accepts no writes: OOM"):
                await client.enqueue(plan(b"2", **words))
            kept = sorted(await broker.admin.execute("KEYS", "asynq:*"))
            assert kept[:2] == [b"asynq:queues", b"asynq:{default}:pending"]
            assert len(kept) == 3
    finally:
        server.stop()
