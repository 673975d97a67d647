"""A worker of ours on the queues of a Go client: delayed, grouped, paused, weighted; seen and cancelled by Go."""

import asyncio
import time
from datetime import timedelta
from typing import Any

from interop.programs import Go, request
from rota.app import Rota
from rota.broker import Broker
from rota.inspect import Inspector
from rota.tasks.context import Context
from rota.tasks.groups import GroupedTask
from rota.tasks.job import Plan
from tests.interop.both_views import assert_they_agree
from tests.interop.runs import PATIENCE_S, Runs, until, until_counted
from tests.servers.roles import as_role

HOUR = timedelta(hours=1)


async def test_a_scheduled_task_of_go_runs_when_it_is_due(go: Go, app: Rota, runs: Runs) -> None:
    # No sweep comes by before: the worker itself knows when it is due.
    async with app.worker(sweep_interval="1h"):
        task = await go.enqueue("t", process_in=timedelta(seconds=1.5))
        await runs.wait()
        assert time.time() >= task.next_process_at
        await until_counted(go, 1, 0)


async def test_a_group_of_go_is_aggregated_by_us(go: Go, app: Rota, runs: Runs) -> None:
    @app.aggregator(group="g*", grace="1s")
    async def join(group: str, tasks: list[GroupedTask]) -> Plan[Any]:
        return app.plan("t", b"+".join([group.encode(), *sorted(task.payload for task in tasks)]), retention=HOUR)

    await go.enqueue_all(request("member", payload, group="g:1") for payload in (b"a", b"\xff", b"c"))
    async with app.worker(group_interval="1h"):
        ((ctx, payload),) = await runs.wait()
        await until(go, ctx.id, "completed")

    assert payload == b"g:1+a+c+\xff"
    seen = await go.queue()
    assert (seen.counts(), seen.group_sizes) == ({"completed": 1}, {})


async def test_a_group_that_go_fills_while_our_worker_is_idle_is_aggregated_at_once(
    go: Go, app: Rota, runs: Runs
) -> None:
    @app.aggregator(group="g*", grace="10m", max_size=3)
    async def join(group: str, tasks: list[GroupedTask]) -> Plan[Any]:
        return app.plan("t", b"%d" % len(tasks), retention=HOUR)

    async with app.worker(group_interval="1h") as worker:
        while worker.parts.aggregator.statistics().running or not worker.ready.is_set():
            await asyncio.sleep(0.01)
        await go.enqueue_all(request("member", payload, group="g:1") for payload in (b"a", b"b", b"c"))
        ((_, payload),) = await runs.wait()
    assert payload == b"3"


async def test_a_cancel_by_gos_inspector_ends_our_run(go: Go, app: Rota) -> None:
    started = asyncio.Event()

    @app.handler("t")
    async def t(ctx: Context, payload: bytes) -> None:
        started.set()
        await asyncio.sleep(60)

    task = await go.enqueue("t")
    async with app.worker() as worker:
        async with asyncio.timeout(PATIENCE_S):
            await started.wait()
            while not worker.parts.subscriber.statistics().listening:
                await asyncio.sleep(0.01)  # Go says it once only, and it may take tasks before it listens
        await go.act("cancel", task.id)
        seen = await until(go, task.id, "archived")

    assert (seen.last_error, seen.retried) == ("cancelled", 0)


async def test_a_queue_paused_by_go_waits_and_a_resumed_one_runs_at_once(go: Go, app: Rota, runs: Runs) -> None:
    await go.enqueue("t", b"1")
    await go.act("pause")
    async with app.worker(sweep_interval="1h"):  # nobody but the server itself tells of it
        await go.enqueue("t", b"2")
        await go.enqueue("t", b"other", queue="other")
        assert runs.all == []
        await go.act("unpause")
        await runs.wait(2)
        await until_counted(go, 2, 0)


async def test_gos_inspector_shows_our_server_and_what_it_runs(go: Go, app: Rota, redis_url: str) -> None:
    release = asyncio.Event()

    @app.handler("t")
    async def t(ctx: Context, payload: bytes) -> None:
        await release.wait()

    task = await go.enqueue("t", b"\xff\x00", queue="low")
    async with app.worker(queues={"high": 6, "low": 1}, concurrency=7, strict_priority=True):
        servers = (await go.inspect()).servers
        async with asyncio.timeout(PATIENCE_S):
            # On a Cluster the first node's tasks may run before every node is reached; until then the server is "new".
            while not (servers and servers[0].workers and servers[0].status == "active"):
                servers = (await go.inspect()).servers
        broker = Broker.from_url(as_role(redis_url, "inspector"))
        await assert_they_agree(go, Inspector(broker))
        await broker.aclose()
        release.set()

    (server,) = servers
    assert (server.concurrency, server.queues, server.strict, server.status) == (
        7,
        {"high": 6, "low": 1},
        True,
        "active",
    )
    (running,) = server.workers
    assert (running.task_id, running.task_type, running.payload, running.queue) == (task.id, "t", b"\xff\x00", "low")
    assert abs(running.deadline - running.started - 1800) <= 1
    assert (await go.inspect()).servers == []


async def test_weighted_queues_of_go_are_drawn_by_weight(go: Go, app: Rota, runs: Runs) -> None:
    await go.enqueue_many(200, queue="heavy", type="t")
    await go.enqueue_many(200, queue="light", type="t")
    async with app.worker(queues={"heavy": 3, "light": 1}, concurrency=1):
        await runs.wait(400)
        await until_counted(go, 200, 0, "light")

    first = [ctx.queue for ctx, _ in runs.all[:160]]
    assert 90 <= first.count("heavy") <= 150


async def test_strict_queues_of_go_are_emptied_in_order(go: Go, app: Rota, runs: Runs) -> None:
    await go.enqueue_many(50, queue="low", type="t")
    await go.enqueue_many(50, queue="high", type="t")
    async with app.worker(queues={"low": 1, "high": 2}, concurrency=1, strict_priority=True):
        await runs.wait(100)
        await until_counted(go, 50, 0, "low")

    assert [ctx.queue for ctx, _ in runs.all] == ["high"] * 50 + ["low"] * 50
