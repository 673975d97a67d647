"""What each of our scripts leaves behind, read by Go's Inspector and run by Go's server."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from interop.programs import Go
from rota.wire.outcome import Outcome, record
from rota.wire.sweep import forward
from tests.interop.raw_queue import RawQueue


@pytest.fixture
def queue(redis: Redis) -> RawQueue:
    return RawQueue(redis)


async def test_our_message_reaches_a_go_handler_whole(go: Go, queue: RawQueue) -> None:
    deadline = int(time.time()) + 77
    await queue.add(payload=b"\xff\x00\x80", max_retry=3, timeout=timedelta(seconds=500), headers={"h": "wörld"})
    await queue.add("b", deadline=datetime.fromtimestamp(deadline, UTC))

    began = time.time()
    async with go.server(queues={"default": 1}) as server:
        start = await server.wait_one(event="start", id="a")
        other = await server.wait_one(event="start", id="b")

    assert (start.type, start.queue, start.payload, start.headers) == ("t", "default", b"\xff\x00\x80", {"h": "wörld"})
    assert (start.max_retry, start.retried) == (3, 0)
    # It was set after the server had begun, and before the handler had.
    assert began + 499 <= start.deadline <= start.at_ns / 1e9 + 500
    assert other.deadline == deadline


async def test_a_fetched_task_is_active_and_leased(go: Go, queue: RawQueue) -> None:
    await queue.add()
    before = time.time()
    await queue.take()
    after = time.time()

    task = await go.task("a")
    assert (task.state, task.is_orphaned) == ("active", False)
    lease_until = await queue.redis.zscore(queue.keys.lease, "a")
    assert lease_until is not None
    assert before + 29 <= lease_until <= after + 31
    await queue.lapse("a", 31)
    assert (await go.task("a")).is_orphaned


@pytest.mark.usefixtures("one_day")
async def test_a_done_task_is_gone_and_counted(go: Go, queue: RawQueue) -> None:
    await queue.add()
    await queue.take()

    await queue.end("a", "done")

    seen = await go.queue()
    assert seen.counts() == {}
    assert (seen.processed, seen.failed, seen.processed_total, seen.failed_total) == (1, 0, 1, 0)
    assert list(seen.days.values()) == [(1, 0), (0, 0)]


async def test_a_completed_task_shows_its_result_and_when(go: Go, queue: RawQueue) -> None:
    await queue.add(retention=timedelta(minutes=5))
    now = int(time.time())

    await queue.complete(*await queue.take(), result=b"\xff{")

    task = await go.task("a")
    assert (task.state, task.retention_s, task.result) == ("completed", 300, b"\xff{")
    assert now <= task.completed_at <= time.time()
    until = await queue.redis.zscore(queue.keys.completed, "a")
    assert until is not None
    assert now + 300 <= until <= time.time() + 300


async def test_a_failed_task_waits_for_its_retry(go: Go, queue: RawQueue) -> None:
    await queue.add()
    now = int(time.time())

    await queue.fail(*await queue.take())

    task = await go.task("a")
    assert (task.state, task.retried, task.last_error) == ("retry", 1, "boom")
    assert now <= task.last_failed_at <= time.time()
    assert now + 100 <= task.next_process_at <= time.time() + 100.5
    assert (await go.queue()).failed_total == 1


async def test_an_archived_task_keeps_its_error(go: Go, queue: RawQueue) -> None:
    await queue.add()

    await queue.fail(*await queue.take(), kind="archive", text="ünlucky")

    task = await go.task("a")
    assert (task.state, task.retried, task.last_error) == ("archived", 0, "ünlucky")


@pytest.mark.parametrize(("kind", "state"), [("requeue", "pending"), ("postpone", "scheduled")])
async def test_a_task_handed_back_costs_nothing(go: Go, queue: RawQueue, kind: Any, state: str) -> None:
    await queue.add()
    task_id, _ = await queue.take()

    before = time.time()
    await queue.end(task_id, kind, seconds=60)

    seen = await go.queue()
    assert (seen.task("a").state, seen.task("a").retried, seen.processed_total) == (state, 0, 0)
    assert seen.latency_s <= time.time() - before


async def test_what_is_due_is_pending_after_our_forward(go: Go, queue: RawQueue) -> None:
    task = await go.enqueue("t", process_in=timedelta(hours=1))
    await queue.redis.zadd(queue.keys.scheduled, {task.id: time.time() - 0.5})

    await queue.run(forward(queue.keys))

    assert (await go.queue()).ids("pending") == [task.id]


async def test_our_own_fields_survive_a_failure_on_a_go_server(go: Go, queue: RawQueue) -> None:
    await queue.add()
    await queue.redis.hset(queue.keys.task("a"), "rota_crashes", "2")

    async with go.server(tasks={"t": {"fail": -1, "error": "no"}}) as server:
        await server.wait(event="error", id="a")

    assert await queue.redis.hmget(queue.keys.task("a"), "rota_crashes", "state") == [b"2", b"retry"]


async def test_a_task_recovered_and_taken_by_go_is_not_ours_to_record_any_more(go: Go, queue: RawQueue) -> None:
    """Go leaves our token in the hash; only the message tells that the attempt is another one."""
    await queue.add()
    _, message = await queue.take()
    await queue.lapse("a")

    config = {"retry_delay_ms": 0, "delayed_check_ms": 50, "tasks": {"t": {"hold": True}}}
    async with go.server(**config) as server:
        start = await server.wait_one(event="start", id="a")
        assert start.retried == 1
        late = Outcome("a", queue.token, "done", expected=message)
        assert await queue.run(record(queue.keys, [late])) == {0: 2}
        assert (await go.task("a")).state == "active"
        server.release()
