"""Go's client and ours: the same options leave the same keys, and each one's tasks are in the other's hands."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from interop.programs import Go, GoRefused, request
from rota.broker import Broker, SyncBroker
from rota.client import Client, SyncClient
from rota.errors import DuplicateTask, TaskCancelled, TaskFailed, TaskIdConflict
from rota.tasks.job import Job, Plan
from rota.tasks.options import Options
from rota.tasks.policy import Unique
from tests.interop.keyspace import keyspace, split_own
from tests.servers.overseen import Overseen
from tests.servers.roles import as_role

HOUR = timedelta(hours=1)
TOMORROW = datetime.fromtimestamp(int(time.time()) + 86400, UTC)
# In Asynq a lock taken for a group is written into the message alone, and a scheduled task forgets its group.
MORE_THAN_GO = {"unique and group": {"unique_key"}, "late and group": {"group"}}
OPTIONS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "queue": {"queue": "critical : ü"},
    "no retry": {"max_retry": 0},
    "timeout": {"timeout": timedelta(seconds=90)},
    "deadline": {"deadline": TOMORROW},
    "timeout and deadline": {"timeout": timedelta(minutes=1), "deadline": TOMORROW},
    "delay": {"delay": timedelta(seconds=600)},
    "instant": {"process_at": TOMORROW},
    "instant that has passed": {"process_at": datetime(2020, 1, 1, tzinfo=UTC)},
    "unique": {"unique": HOUR},
    "unique and late": {"unique": HOUR, "delay": HOUR},
    "unique and group": {"unique": HOUR, "group": "g"},
    "late and group": {"process_at": TOMORROW, "group": "g"},
    "retention": {"retention": HOUR},
    "group": {"group": "a:b c"},
    "headers": {"headers": {"traceparent": "00-1-2-01", "ü": "工作", "empty": ""}},
    "most": {"queue": "q", "max_retry": 3, "timeout": HOUR, "unique": HOUR, "retention": HOUR, "headers": {"a": "b"}},
}
PAYLOADS = [b"", b"{}", b"not json", b"\xff\xfe\x00\x80", "工作".encode(), bytes(range(256)) * 100]

Enqueue = Callable[..., Awaitable[Any]]


@pytest_asyncio.fixture
async def client(redis_url: str) -> AsyncIterator[Client]:
    broker = Broker.from_url(as_role(redis_url, "producer"))
    yield Client(broker)
    await broker.aclose()


def plan(type: str, payload: bytes = b"{}", **options: Any) -> Plan[Any]:
    return Plan(type, payload, Options.of(**options))


def in_go(options: dict[str, Any]) -> dict[str, Any]:
    """The same options in Go's words."""
    words = {"delay": "process_in"}
    return {
        words.get(name, name): value.timestamp() if isinstance(value, datetime) else value
        for name, value in options.items()
    }


@pytest.mark.parametrize("case", OPTIONS)
async def test_the_same_options_leave_the_same_keys(go: Go, client: Client, redis: Redis, case: str) -> None:
    options = OPTIONS[case] | {"task_id": "one"}
    since = time.time()
    await go.enqueue("t:x", b'{"a": 1}', **in_go(options))
    theirs = await keyspace(redis, since)
    await redis.flushdb()

    since = time.time()
    await client.enqueue(plan("t:x", b'{"a": 1}', **options))

    ours, _ = split_own(await keyspace(redis, since))
    task_key = next(key for key in theirs if key.endswith(":t:one"))
    for name in MORE_THAN_GO.get(case, ()):
        del ours[task_key][0][name]
    assert ours == theirs


async def test_enqueue_many_leaves_the_same_keys(go: Go, client: Client, redis: Redis) -> None:
    ids = [f"task-{n}" for n in range(len(OPTIONS))]
    cases = [
        options | {"task_id": task_id}
        for task_id, (case, options) in zip(ids, OPTIONS.items(), strict=True)
        if case not in MORE_THAN_GO
    ]
    since = time.time()
    for n, options in enumerate(cases):
        await go.enqueue("t:x", b"%d" % n, **in_go(options))
    theirs = await keyspace(redis, since)
    await redis.flushdb()

    since = time.time()
    results = await client.enqueue_many([plan("t:x", b"%d" % n, **options) for n, options in enumerate(cases)])

    assert all(isinstance(result, Job) and result.created for result in results)
    assert split_own(await keyspace(redis, since))[0] == theirs


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: repr(payload[:8]))
async def test_a_payload_reaches_the_go_handler_byte_for_byte(go: Go, client: Client, payload: bytes) -> None:
    task = await client.enqueue(plan("t", payload))

    async with go.server() as server:
        assert (await server.wait_one(event="start", id=task.id)).payload == payload


async def test_every_option_reaches_the_go_handler(go: Go, client: Client) -> None:
    deadline = datetime.fromtimestamp(int(time.time()) + 99, UTC)
    task = await client.enqueue(
        plan("t:y", queue="q", max_retry=7, deadline=deadline, timeout=HOUR, headers={"h": "ü"}, task_id="мой")
    )

    async with go.server(queues={"q": 1}) as server:
        start = await server.wait_one(event="start", id=task.id)

    assert (start.type, start.queue, start.id, start.max_retry, start.headers) == ("t:y", "q", "мой", 7, {"h": "ü"})
    assert start.deadline == deadline.timestamp()


async def test_a_delayed_task_runs_on_a_go_server_when_it_is_due(go: Go, client: Client) -> None:
    sent = time.time()
    task = await client.enqueue(plan("t", delay="1.5s"))

    async with go.server(delayed_check_ms=50, task_check_ms=50) as server:
        start = await server.wait_one(event="start", id=task.id)

    # Go compares whole seconds, so it may be up to one second early.
    assert start.at_ns / 1e9 - sent >= 0.5


async def test_our_grouped_tasks_are_aggregated_by_a_go_server(go: Go, client: Client) -> None:
    await client.enqueue_many(plan("t", b"%d" % n, group="g") for n in range(3))

    async with go.server(group={"grace_ms": 1000, "type": "joined"}) as server:
        joined = await server.wait_one(event="start", type="joined")

    assert sorted(joined.payload.split(b"\n")) == [b"0", b"1", b"2"]


async def test_a_lock_of_go_refuses_our_task_and_names_the_holder(go: Go, client: Client) -> None:
    holder = await go.enqueue("t", b"{}", unique=HOUR)

    returned = await client.enqueue(plan("t", unique=HOUR))
    assert (returned.created, returned.id, returned.state) == (False, holder.id, "pending")
    with pytest.raises(DuplicateTask) as refused:
        await client.enqueue(plan("t", unique=Unique(HOUR, on_conflict="raise")))
    assert refused.value.task_id == holder.id


@pytest.mark.parametrize("scope", ["ttl", "queued", "running"])
@pytest.mark.parametrize("payload", [b"", b"{}", b"\xff"])
async def test_our_lock_refuses_a_task_of_go(go: Go, client: Client, scope: Any, payload: bytes) -> None:
    await client.enqueue(plan("t", payload, unique=Unique(HOUR, scope=scope)))

    with pytest.raises(GoRefused) as refused:
        await go.enqueue("t", payload or None, unique=HOUR)
    assert refused.value.kind == "duplicate"
    await go.enqueue("t", payload or None, unique=HOUR, queue="another")


async def test_a_go_server_gives_our_lock_back_after_success(go: Go, client: Client) -> None:
    first = await client.enqueue(plan("t", unique=Unique(HOUR, scope="running")))
    async with go.server() as server:
        await server.wait(event="end", id=first.id)

    second = await client.enqueue(plan("t", unique=HOUR))
    assert second.created


async def test_lock_that_go_leaves_on_a_taken_id_is_free_for_our_clients(go: Go, client: Client) -> None:
    await go.enqueue("t", b"1", task_id="taken", process_in=HOUR)
    with pytest.raises(GoRefused) as refused:
        await go.enqueue("t", b"2", task_id="taken", unique=HOUR)
    assert refused.value.kind == "conflict"
    with pytest.raises(GoRefused) as refused:
        await go.enqueue("t", b"2", unique=HOUR)
    assert refused.value.kind == "duplicate"

    job = await client.enqueue(plan("t", b"2", unique=Unique(HOUR, on_conflict="replace")))

    assert job.created
    assert (await go.task("taken")).payload == b"1"


@pytest.mark.parametrize("scope", ["queued", "running"])
@pytest.mark.parametrize("do", ["archive", "delete"])
async def test_ttl_ends_a_lock_of_our_scopes_that_gos_tools_leave_behind(
    go: Go, client: Client, scope: Any, do: str
) -> None:
    first = await client.enqueue(plan("t", unique=Unique("2s", scope=scope)))
    await go.act(do, first.id)

    async with asyncio.timeout(30):
        [answer] = await go.enqueue_all([request("t", b"{}", unique=HOUR)])
        while isinstance(answer, GoRefused):
            assert answer.kind == "duplicate"
            [answer] = await go.enqueue_all([request("t", b"{}", unique=HOUR)])


async def test_an_id_is_taken_in_both_languages(go: Go, client: Client) -> None:
    await client.enqueue(plan("t", task_id="ours"))
    await go.enqueue("t", task_id="theirs")

    with pytest.raises(GoRefused) as refused:
        await go.enqueue("t", task_id="ours")
    assert refused.value.kind == "conflict"
    with pytest.raises(TaskIdConflict):
        await client.enqueue(plan("t", task_id="theirs"))


async def test_we_replace_the_payload_of_a_unique_task_of_go(go: Go, client: Client) -> None:
    task = await go.enqueue("t", b"1", unique=HOUR, process_in=HOUR)

    await client.enqueue(plan("t", b"1", unique=Unique(HOUR, on_conflict="replace"), delay="2h", headers={"new": "1"}))

    seen = await go.task(task.id)
    assert (seen.state, seen.headers) == ("scheduled", {"new": "1"})
    assert seen.next_process_at - time.time() > 7000


async def test_our_acts_on_tasks_of_go_are_what_its_inspector_shows(go: Go, client: Client) -> None:
    task = await go.enqueue("t", b"1", process_in=HOUR, unique=HOUR)

    await client.update_payload("default", task.id, b"2")
    assert (await go.task(task.id)).payload == b"2"
    with pytest.raises(GoRefused):
        await go.enqueue("t", b"2", unique=HOUR)
    await client.reschedule("default", task.id, "3h")
    assert (await go.task(task.id)).next_process_at - time.time() > 10000
    await client.run_now("default", task.id)
    assert (await go.task(task.id)).state == "pending"
    await client.cancel("default", task.id, "changed my mind")
    seen = await go.task(task.id)
    assert (seen.state, seen.last_error) == ("archived", "cancelled: changed my mind")
    await client.delete("default", task.id)
    assert (await go.queue()).counts() == {}


async def test_gos_actions_work_on_our_tasks(go: Go, client: Client) -> None:
    task = await client.enqueue(plan("t", b"1", delay="1h", unique=HOUR))

    await go.act("update", task.id, payload="Mg==")
    assert (await task.info()).payload == b"2"
    await go.act("run", task.id)
    assert (await task.info()).state == "pending"
    await go.act("archive", task.id)
    assert (await task.info()).state == "archived"
    await go.act("delete", task.id)
    assert (await client.enqueue(plan("t", b"1", unique=HOUR))).created


async def test_a_task_can_be_looked_at_from_both_sides(go: Go, client: Client) -> None:
    task = await go.enqueue("t", b"\xff", headers={"h": "ü"}, timeout=timedelta(seconds=5), retention=HOUR)

    info = await client.info("default", task.id)
    assert (info.type, info.payload, info.headers, info.state) == ("t", b"\xff", {"h": "ü"}, "pending")
    assert (info.timeout, info.retention, info.max_retry) == (timedelta(seconds=5), HOUR, 25)


async def test_the_result_of_a_go_server_is_awaited(go: Go, client: Client) -> None:
    task = await client.enqueue(plan("sum", retention=HOUR))

    async with go.server(task_check_ms=50, tasks={"sum": {"sleep_ms": 300, "result": '{"sum": 3}'}}):
        assert await task.result("30s") == {"sum": 3}


async def test_a_call_returns_what_a_go_server_stores_or_none(go: Go, client: Client) -> None:
    async with go.server(task_check_ms=50, tasks={"sum": {"sleep_ms": 300, "result": '{"sum": 3}'}, "silent": {}}):
        assert await client.call(plan("sum"), "30s") == {"sum": 3}
        assert await client.call(plan("silent"), "30s") is None


async def test_the_failure_of_a_go_server_is_awaited(go: Go, client: Client) -> None:
    task = await client.enqueue(plan("t", max_retry=0, retention=HOUR))

    async with go.server(task_check_ms=50, tasks={"t": {"fail": -1, "error": "no luck"}}):
        with pytest.raises(TaskFailed) as failed:
            await task.result("30s")
    assert failed.value.reason == "no luck"


async def test_our_cancel_reaches_a_task_that_runs_on_a_go_server(go: Go, client: Client, redis_url: str) -> None:
    task = await client.enqueue(plan("t", retention=HOUR))
    async with go.server(task_check_ms=50, tasks={"t": {"sleep_ms": 60_000}}) as server:
        await server.wait(event="start", id=task.id)
        async with Overseen.from_url(redis_url) as broker, asyncio.timeout(30):
            while not await broker.admin.hearers("asynq:cancel"):
                await asyncio.sleep(0.01)  # Go's server takes tasks before it listens
        await client.cancel("default", task.id, "enough")
        end = await server.wait_one(event="end", id=task.id)
        assert end.error == "context canceled"
        await until_state(go, task.id, "retry")


async def test_a_task_cancelled_while_go_retries_it_ends(go: Go, client: Client) -> None:
    task = await client.enqueue(plan("t", retention=HOUR))
    async with go.server(task_check_ms=50, tasks={"t": {"fail": -1, "error": "x"}}) as server:
        await server.wait(event="error", id=task.id)
        await until_state(go, task.id, "retry")
        await task.cancel("enough")

    with pytest.raises(TaskCancelled):
        await task.result("30s")


def test_the_blocking_client_leaves_the_same_task(go: Go, redis_url: str) -> None:
    broker = SyncBroker.from_url(as_role(redis_url, "producer"))
    client = SyncClient(broker)
    task = client.enqueue(plan("t", b"\xff", headers={"h": "1"}, delay="1h"))
    seen = asyncio.run(go.task(task.id))
    broker.close()

    assert (seen.state, seen.payload, seen.headers) == ("scheduled", b"\xff", {"h": "1"})


async def until_state(go: Go, task_id: str, state: str) -> None:
    async with asyncio.timeout(30):
        while (await go.task(task_id)).state != state:
            pass
