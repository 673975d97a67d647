"""The sweep beside Go servers: what they have in hand is never touched, what is left behind is repaired."""

import asyncio
import time
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from interop.programs import Go, request
from rota.app import Rota
from rota.broker import Broker
from rota.inspect import Inspector
from rota.inspect.doctor import Repair
from rota.tasks.context import Context
from rota.wire.keys import QueueKeys
from rota.wire.message import pack
from tests.interop.raw_queue import RawQueue
from tests.servers.roles import as_role

KEYS = QueueKeys("default")
BUSY = {"concurrency": 30, "task_check_ms": 10, "delayed_check_ms": 50, "retry_delay_ms": 20}


async def settled(go: Go, processed: int, at_most_s: float = 60) -> None:
    seen = await go.queue()
    deadline = time.monotonic() + at_most_s
    while seen.processed_total < processed or seen.pending or seen.active or seen.scheduled or seen.retry:
        assert time.monotonic() < deadline, f"{seen.counts()}, {seen.processed_total} of {processed}"
        await asyncio.sleep(0.2)
        seen = await go.queue()


async def keep_looking(repair: Repair, seen: list[float]) -> None:
    """Look at everything and repair what shows, as fast as it goes and without a delay."""
    while True:
        await repair.run()
        seen.append(time.monotonic())


@pytest.mark.timeout(180)
async def test_nothing_of_a_go_server_under_load_is_repaired(go: Go, redis: Redis, redis_url: str) -> None:
    """Tasks run, fail, wait for their retry, are kept, scheduled, locked and grouped, while all places are compared."""
    broker = Broker.from_url(as_role(redis_url, "repairer"))
    repair = Repair(broker, delay=timedelta(0))
    rounds: list[float] = []
    requests = [
        each
        for n in range(300)
        for each in (
            request("t", process_in=timedelta(milliseconds=200 + n)),
            request("t", retention=timedelta(hours=1)),
            request("t", f"{n}".encode(), unique=timedelta(hours=1)),
            request("g", group=f"group-{n % 5}"),
        )
    ]
    tasks = {"t": {"fail": 1, "error": "once", "sleep_ms": 5}, "*": {"sleep_ms": 5}}
    group = {"grace_ms": 1000, "max_size": 20, "type": "digest"}
    async with go.server(**BUSY, tasks=tasks, group=group):
        looking = asyncio.create_task(keep_looking(repair, rounds))
        await asyncio.gather(go.enqueue_many(6000), go.enqueue_all(requests))
        # 6000 of one run, and 900 that fail once.
        await settled(go, 6000 + 2 * 900)
        looking.cancel()
        await asyncio.wait([looking])
    await broker.aclose()
    assert len(rounds) > 5
    assert repair.total == 0
    assert await redis.exists(KEYS.repaired) == 0


async def test_a_running_task_of_a_go_server_whose_lease_is_gone_keeps_running(go: Go, app: Rota, redis: Redis) -> None:
    """The lease that it is given is extended by its server, and it ends once."""
    async with go.server(task_check_ms=20, tasks={"t": {"hold": True}}) as server:
        task = await go.enqueue("t", max_retry=0)
        await server.wait_one(event="start", id=task.id)
        await redis.delete(KEYS.lease)
        async with app.worker(sweep_interval="300ms"):
            async with asyncio.timeout(40):
                while (await redis.zscore(KEYS.lease, task.id) or 0) < time.time() + 20:  # it is given one of 15 s
                    await asyncio.sleep(0.1)
            server.release()
            end = await server.wait_one(event="end", id=task.id)
            await settled(go, 1)
    assert end.retried == 0
    assert await redis.hgetall(KEYS.repaired) == {b"unleased": b"1"}
    assert await redis.exists(KEYS.task(task.id), KEYS.lease, KEYS.active) == 0


async def test_what_is_left_behind_is_repaired_beside_a_go_server(
    go: Go, app: Rota, redis: Redis, redis_url: str
) -> None:
    """Scenario 6: an active ID without a lease, a lease without a hash, an active hash in no list."""
    queue = RawQueue(redis)
    for task_id in ("unleased", "nowhere"):
        await queue.add(task_id)
        await queue.take()
    await redis.zrem(KEYS.lease, "unleased", "nowhere")
    await redis.lrem(KEYS.active, 0, "nowhere")
    await redis.zadd(KEYS.lease, {"ghost": time.time() + 3600})
    await redis.hset(KEYS.task("stub"), "result", "too late")
    await redis.hset(KEYS.task("old"), mapping={"msg": pack("t", b"{}", "old", queue="default"), "state": "retry"})

    @app.handler("t")
    async def t(ctx: Context, payload: bytes) -> None:
        pass

    broker = Broker.from_url(as_role(redis_url, "repairer"))
    async with (
        go.server(**BUSY, tasks={"*": {"sleep_ms": 1}}),
        app.worker(sweep_interval="300ms", lease_slack="1s"),
    ):
        await go.enqueue_many(500, type="t")
        repair = Repair(broker)
        await repair.run()
        await settled(go, 503, at_most_s=50)
        repaired = (await Inspector(broker).queue("default")).repaired
    await broker.aclose()
    assert {"unleased", "stray_lease", "unlisted", "stub"} <= repaired.keys()
    assert repair.repaired["default"].keys() >= {"unlisted", "stub"}
    assert [key async for key in redis.scan_iter("asynq:{default}:t:*")] == []
    assert await redis.exists(KEYS.lease, KEYS.active) == 0
