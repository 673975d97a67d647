"""After every kind of step, by Go or by us, Go's Inspector and Rota's show the same."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from interop.programs import Go, request
from interop.shapes import GoDump
from rota.broker import Broker
from rota.inspect import Inspector
from rota.wire.sweep import forward
from tests.interop.both_views import assert_they_agree
from tests.interop.console import stage
from tests.interop.raw_queue import RawQueue
from tests.servers.roles import as_role

HOUR = timedelta(hours=1)


class Both:
    """Both inspectors on one Redis."""

    def __init__(self, go: Go, inspector: Inspector) -> None:
        self.go = go
        self.inspector = inspector

    async def agree(self, **counts: int) -> GoDump:
        """Compare everything; where counts are given, the queue `default` must have these."""
        seen = await assert_they_agree(self.go, self.inspector)
        if counts:
            assert seen.queues["default"].counts() == counts
        return seen


@pytest_asyncio.fixture
async def both(go: Go, redis_url: str) -> AsyncIterator[Both]:
    broker = Broker.from_url(as_role(redis_url, "inspector"))
    yield Both(go, Inspector(broker))
    await broker.aclose()


async def test_after_enqueues_with_every_option(both: Both) -> None:
    await both.go.enqueue_all(
        [
            request("plain"),
            request("a:b", b"\xff\x00", headers={"h": "ü", "i": ""}, max_retry=0, task_id="ключ"),
            request("t", b"{}", timeout=timedelta(seconds=90), deadline=time.time() + 1000.9),
            request("t", b"{}", unique=HOUR, retention=HOUR),
            request("t", b"1", process_in=HOUR),
            request("t", b"2", process_at=time.time() + 86400.5, group="late"),
            request("t", b"3", group="g 1"),
            request("t", b"4", group="g:2:x"),
            request("t", b"5", group="g:2:x", unique=HOUR),
            request("t", queue="other", task_id="same"),
            request("t", queue="low queue", task_id="same"),
        ]
    )

    await both.agree(pending=4, scheduled=2, aggregating=3)


@pytest.mark.usefixtures("one_day")
async def test_after_each_outcome_on_a_go_server(both: Both) -> None:
    behaviors = {
        "kept": {"result": "ünïcode"},
        "fails": {"fail": -1, "error": "b\u00f6se"},
        "panics": {"panic": "oh"},
        "skips": {"skip_retry": True, "error": "no use"},
        "revoked": {"revoke": True, "error": "gone"},
        "no failure": {"not_failure": True, "error": "later"},
        "spent": {"fail": -1, "error": "again"},
        "slow": {"hold": True},  # until Go's record has shown it, which takes 5 s
    }
    options = {"kept": {"retention": HOUR}, "spent": {"max_retry": 0}}
    await both.go.enqueue_all([request(name, b"{}", **options.get(name, {})) for name in behaviors])

    async with both.go.server(tasks=behaviors, concurrency=20, retry_delay_ms=3_600_000) as server:
        await server.wait(event="error", count=6)
        await server.wait(event="start", type="slow")
        async with asyncio.timeout(30):
            while not any(info.workers for info in (await both.go.inspect()).servers):
                await asyncio.sleep(0.1)
            # Go says "error" before it has recorded it.
            while (await both.go.queue()).counts() != {"active": 1, "completed": 1, "retry": 3, "archived": 2}:
                await asyncio.sleep(0.1)
        await both.agree(active=1, completed=1, retry=3, archived=2)
        server.release()
        await server.wait(event="end", type="slow")

    seen = await both.agree(completed=1, retry=3, archived=2)
    assert (seen.queues["default"].processed, seen.queues["default"].failed) == (7, 4)


async def test_after_each_step_of_our_scripts(both: Both, redis: Redis) -> None:
    await stage(RawQueue(redis, "mail"))

    seen = await both.agree()
    assert set(seen.queues["mail"].counts().values()) == {1}
    assert [task.task_id for task in seen.servers[0].workers] == ["busy"]


async def test_after_each_action_of_gos_inspector(both: Both, redis: Redis) -> None:
    queue = RawQueue(redis)
    for name in "abcdef":
        await queue.add(name, when="+100.25")
    await queue.add("g", group="g")

    await both.go.act("run", "a")
    await both.agree(pending=1, scheduled=5, aggregating=1)
    await both.go.act("archive", "b")
    await both.go.act("archive", "a")
    await both.agree(archived=2, scheduled=4, aggregating=1)
    await both.go.act("update", "c", payload="bmV3")
    seen = await both.agree()
    assert seen.queues["default"].task("c").payload == b"new"
    await both.go.act("delete", "d")
    await both.go.act("run_all", state="aggregating", group="g")
    await both.agree(archived=2, scheduled=3, pending=1)
    await both.go.act("pause")
    assert (await both.agree()).queues["default"].paused
    await both.go.act("unpause")
    await both.go.act("run_all", state="archived")
    await both.go.act("delete_all", state="scheduled")
    await both.agree(pending=3)


async def test_after_a_lease_ran_out_and_after_a_forward(both: Both, redis: Redis) -> None:
    queue = RawQueue(redis)
    await queue.add("late", when="+50.5")
    await queue.add("lost")
    await queue.take()
    await queue.lapse("lost", 35)
    seen = await both.agree(active=1, scheduled=1)
    assert seen.queues["default"].task("lost").is_orphaned

    await redis.zadd(queue.keys.scheduled, {"late": time.time() - 0.5})
    await queue.run(forward(queue.keys))
    await both.agree(active=1, pending=1)


async def test_lists_have_the_same_order(both: Both, redis: Redis) -> None:
    queue = RawQueue(redis)
    base = datetime.now(UTC).timestamp()
    for n in range(25):
        await queue.add(f"p{n}")
        await queue.add(f"s{n}", when=str(base + 100 + n * 7 % 5))
    for _ in range(5):
        await queue.take()

    await both.agree(active=5, pending=20, scheduled=25)


@pytest.mark.parametrize("aggregator", [True, False])
async def test_groups_agree_before_and_after_aggregation(both: Both, aggregator: bool) -> None:
    await both.go.enqueue_all([request("t", b"%d" % n, group="g") for n in range(3)])
    await both.agree(aggregating=3)
    group = {"grace_ms": 1000, "type": "joined", "retention_s": 60} if aggregator else None
    async with both.go.server(group=group) as server:
        if aggregator:
            await server.wait(event="end", type="joined")
        else:
            await both.agree(aggregating=3)

    await both.agree(**{"completed" if aggregator else "aggregating": 1 if aggregator else 3})
