"""What each of our scripts leaves behind, read by Go's Inspector and run by Go's server."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from redis.asyncio import Redis

from interop.programs import Go
from interop.shapes import GoTask
from rota.wire.fetch import fetch
from rota.wire.forward import forward
from rota.wire.keys import QueueKeys
from rota.wire.message import pack, unpack, with_completion, with_failure
from rota.wire.record import Outcome, record
from rota.wire.script import Call

T = TypeVar("T")
KEYS = QueueKeys("default")
TOKEN = "token-1"


async def run(redis: Redis, call: Call[T]) -> T:
    return call.decode(await redis.execute_command(*call.command(by_source=True)))


async def put(redis: Redis, task_id: str = "a", **options: Any) -> bytes:
    """Write a pending task as the wire wants it, with plain commands."""
    message = pack("t", options.pop("payload", b"{}"), task_id, **options)
    await redis.sadd("asynq:queues", "default")
    fields = {"msg": message, "state": "pending", "pending_since": time.time_ns()}
    await redis.hset(KEYS.task(task_id), mapping=fields)
    await redis.lpush(KEYS.pending, task_id)
    return message


async def taken(redis: Redis, **options: Any) -> bytes:
    message = await put(redis, **options)
    fetched = await run(redis, fetch([(KEYS, 1)], token=TOKEN, wanted=1, lease_seconds=30))
    assert fetched.batches[0].tasks == [b"a", message]
    return message


async def ended(go: Go, redis: Redis, outcome: Outcome) -> GoTask:
    assert await run(redis, record(KEYS, [outcome])) == {}
    return await go.task(outcome.id)


async def test_our_message_reaches_a_go_handler_whole(go: Go, redis: Redis) -> None:
    deadline = int(time.time()) + 77
    await put(redis, payload=b"\xff\x00\x80", max_retry=3, timeout=timedelta(seconds=500), headers={"h": "wörld"})
    await put(redis, "b", deadline=datetime.fromtimestamp(deadline, UTC))

    async with go.server(queues={"default": 1}) as server:
        start = await server.wait_one(event="start", id="a")
        other = await server.wait_one(event="start", id="b")

    assert (start.type, start.queue, start.payload, start.headers) == ("t", "default", b"\xff\x00\x80", {"h": "wörld"})
    assert (start.max_retry, start.retried) == (3, 0)
    assert abs(start.deadline - start.at_ns / 1e9 - 500) < 2
    assert other.deadline == deadline


async def test_a_fetched_task_is_active_and_leased(go: Go, redis: Redis) -> None:
    await taken(redis)

    task = await go.task("a")
    assert (task.state, task.is_orphaned) == ("active", False)
    assert 28 <= await redis.zscore(KEYS.lease, "a") - time.time() <= 31
    await redis.zadd(KEYS.lease, {"a": int(time.time()) - 1})
    assert (await go.task("a")).is_orphaned


async def test_a_done_task_is_gone_and_counted(go: Go, redis: Redis) -> None:
    await taken(redis)

    await run(redis, record(KEYS, [Outcome("a", TOKEN, "done")]))

    queue = await go.queue()
    assert queue.counts() == {}
    assert (queue.processed, queue.failed, queue.processed_total, queue.failed_total) == (1, 0, 1, 0)
    assert list(queue.days.values()) == [(1, 0), (0, 0)]


async def test_a_completed_task_shows_its_result_and_when(go: Go, redis: Redis) -> None:
    message = unpack(await taken(redis, retention=timedelta(minutes=5)))
    now = int(time.time())

    task = await ended(
        go, redis, Outcome("a", TOKEN, "complete", with_completion(message, now), seconds=300, text=b"\xff{")
    )

    assert (task.state, task.completed_at, task.retention_s, task.result) == ("completed", now, 300, b"\xff{")
    assert 298 <= await redis.zscore(KEYS.completed, "a") - now <= 302


async def test_a_failed_task_waits_for_its_retry(go: Go, redis: Redis) -> None:
    message = unpack(await taken(redis))
    now = int(time.time())

    task = await ended(go, redis, Outcome("a", TOKEN, "retry", with_failure(message, "boom", now), seconds=20.5))

    assert (task.state, task.retried, task.last_error, task.last_failed_at) == ("retry", 1, "boom", now)
    assert 20 <= task.next_process_at - now <= 22
    assert (await go.queue()).failed_total == 1


async def test_an_archived_task_keeps_its_error(go: Go, redis: Redis) -> None:
    message = unpack(await taken(redis))

    task = await ended(go, redis, Outcome("a", TOKEN, "archive", with_failure(message, "ünlucky", 7, counts=False)))

    assert (task.state, task.retried, task.last_error, task.last_failed_at) == ("archived", 0, "ünlucky", 7)


@pytest.mark.parametrize(
    ("kind", "state"),
    [("requeue", "pending"), ("postpone", "scheduled")],
)
async def test_a_task_handed_back_costs_nothing(go: Go, redis: Redis, kind: Any, state: str) -> None:
    await taken(redis)

    task = await ended(go, redis, Outcome("a", TOKEN, kind, seconds=9))

    queue = await go.queue()
    assert (task.state, task.retried, queue.processed_total) == (state, 0, 0)
    assert queue.latency_s < 5


async def test_what_is_due_is_pending_after_our_forward(go: Go, redis: Redis) -> None:
    task = await go.enqueue("t", process_in=timedelta(hours=1))
    await redis.zadd(KEYS.scheduled, {task.id: time.time() - 0.5})

    await run(redis, forward(KEYS))

    assert (await go.queue()).ids("pending") == [task.id]


async def test_our_own_fields_survive_a_failure_on_a_go_server(go: Go, redis: Redis) -> None:
    await put(redis)
    await redis.hset(KEYS.task("a"), "rota_crashes", "2")

    async with go.server(tasks={"t": {"fail": -1, "error": "no"}}) as server:
        await server.wait(event="error", id="a")

    assert await redis.hmget(KEYS.task("a"), "rota_crashes", "state") == [b"2", b"retry"]


async def test_a_task_recovered_and_taken_by_go_is_not_ours_to_record_any_more(go: Go, redis: Redis) -> None:
    """Go leaves our token in the hash; only the message tells that the attempt is another one."""
    message = await taken(redis)
    await redis.zadd(KEYS.lease, {"a": int(time.time()) - 60})

    config = {"retry_delay_ms": 0, "delayed_check_ms": 50, "tasks": {"t": {"sleep_ms": 2000}}}
    async with go.server(**config) as server:
        start = await server.wait_one(event="start", id="a")
        assert start.retried == 1
        late = Outcome("a", TOKEN, "done", expected=message)
        assert await run(redis, record(KEYS, [late])) == {0: 2}
        assert (await go.task("a")).state == "active"
