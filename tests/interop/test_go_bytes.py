"""What Go's client writes, read by Rota's message and keys."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from interop.programs import Go, GoRefused
from rota.wire.keys import QueueKeys, unique_key
from rota.wire.message import unpack
from rota.wire.proto import TaskMessage

KEYS = QueueKeys("default")
BYTES = [b"{}", b"", b"not json", b"\xff\xfe\x00\x80", "täsk 工作 🙂".encode(), bytes(range(256)) * 40]


async def stored(redis: Redis, task_id: str, keys: QueueKeys = KEYS) -> TaskMessage:
    message = await redis.hget(keys.task(task_id), "msg")
    assert message is not None
    return unpack(message)


async def test_a_task_without_options_has_asynqs_defaults(go: Go, redis: Redis) -> None:
    task = await go.enqueue("t", b"{}")

    message = await stored(redis, task.id)
    assert (message.type, message.payload, message.id, message.queue) == ("t", b"{}", task.id, "default")
    assert (message.retry, message.retried, message.timeout, message.deadline) == (25, 0, 1800, 0)
    assert (message.unique_key, message.group_key, message.retention, dict(message.headers)) == ("", "", 0, {})
    assert await redis.hget(KEYS.task(task.id), "state") == b"pending"
    assert await redis.lrange(KEYS.pending, 0, -1) == [task.id.encode()]
    assert await redis.smembers("asynq:queues") == {b"default"}


async def test_every_option_arrives_in_its_field(go: Go, redis: Redis) -> None:
    deadline = int(time.time()) + 500
    await go.enqueue(
        "t:all", b"{}", queue="critical", max_retry=0, timeout=timedelta(seconds=90.7), deadline=deadline,
        unique=timedelta(minutes=5), task_id="mine", retention=timedelta(hours=1), headers={"trace": "a b", "ü": "工"},
    )  # fmt: skip

    keys = QueueKeys("critical")
    message = await stored(redis, "mine", keys)
    assert (message.id, message.queue, message.retry) == ("mine", "critical", 0)
    assert (message.timeout, message.deadline, message.retention) == (90, deadline, 3600)
    assert dict(message.headers) == {"trace": "a b", "ü": "工"}
    assert message.unique_key == unique_key(keys, "t:all", b"{}")
    assert await redis.get(message.unique_key) == b"mine"
    assert 240 <= await redis.ttl(message.unique_key) <= 300


async def test_a_deadline_alone_leaves_no_timeout(go: Go, redis: Redis) -> None:
    task = await go.enqueue("t", deadline=2_000_000_000)

    message = await stored(redis, task.id)
    assert (message.timeout, message.deadline) == (0, 2_000_000_000)


@pytest.mark.parametrize("payload", BYTES, ids=lambda payload: repr(payload[:12]))
async def test_a_payload_arrives_byte_for_byte(go: Go, redis: Redis, payload: bytes) -> None:
    task = await go.enqueue("t", payload)

    assert (await stored(redis, task.id)).payload == payload


@pytest.mark.parametrize("payload", [None, b"", b"{}", b"1", b"\xff\x00"])
async def test_the_lock_of_a_unique_task_has_the_key_we_compute(go: Go, redis: Redis, payload: bytes | None) -> None:
    task = await go.enqueue("a:b", payload, queue="q", unique=timedelta(seconds=30))

    keys = QueueKeys("q")
    assert (await stored(redis, task.id, keys)).unique_key == unique_key(keys, "a:b", payload)
    assert await redis.get(unique_key(keys, "a:b", payload)) == task.id.encode()
    with pytest.raises(GoRefused, match="task already exists") as refused:
        await go.enqueue("a:b", payload, queue="q", unique=timedelta(seconds=30))
    assert refused.value.kind == "duplicate"


@pytest.mark.parametrize("option", [{"process_in": timedelta(seconds=61.6)}, {"process_at": "in 61.6 s"}])
async def test_a_scheduled_task_is_scored_with_whole_seconds(go: Go, redis: Redis, option: dict[str, object]) -> None:
    before = time.time()
    wanted = {name: before + 61.6 if value == "in 61.6 s" else value for name, value in option.items()}
    task = await go.enqueue("t", **wanted)

    score = await redis.zscore(KEYS.scheduled, task.id)
    assert score == int(score) == task.next_process_at
    assert before + 60 <= score <= time.time() + 61.6
    assert await redis.hgetall(KEYS.task(task.id)) == {
        b"msg": await redis.hget(KEYS.task(task.id), "msg"),
        b"state": b"scheduled",
    }


async def test_a_grouped_task_waits_in_its_group(go: Go, redis: Redis) -> None:
    task = await go.enqueue("t", b"1", group="g:1")

    assert (await stored(redis, task.id)).group_key == "g:1"
    assert await redis.smembers(KEYS.groups) == {b"g:1"}
    assert await redis.zrange(KEYS.group("g:1"), 0, -1) == [task.id.encode()]
    assert await redis.hmget(KEYS.task(task.id), "state", "group") == [b"aggregating", b"g:1"]


async def test_the_history_counters_carry_the_utc_day(go: Go, redis: Redis) -> None:
    before = datetime.now(UTC)
    async with go.server(queues={"default": 1}) as server:
        task = await go.enqueue("t")
        await server.wait(event="end", id=task.id)

    days = {f"{KEYS.processed}:{day:%Y-%m-%d}" for day in (before, datetime.now(UTC))}
    [day] = [day for day in days if await redis.exists(day)]
    assert await redis.get(day) == b"1"
    assert await redis.get(KEYS.processed) == b"1"
