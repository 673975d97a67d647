"""Go's client and inspector with a worker of ours: what Go enqueues runs here, and Go sees how it went."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from interop.programs import Go, GoRefused, request
from interop.shapes import GoTask
from rota.aggregator import GroupedTask
from rota.app import Rota
from rota.context import Context
from rota.enqueued import Plan
from rota.errors import RetryLater, Revoke, SkipRetry
from rota.inspect import Inspector
from rota.policy import Retry
from tests.interop.both_views import assert_they_agree

HOUR = timedelta(hours=1)
PAYLOADS = [b"", b"{}", b"not json", b"\xff\xfe\x00\x80", "工作".encode(), bytes(range(256)) * 100]


class Runs:
    """The contexts and payloads that a handler got."""

    def __init__(self) -> None:
        self.all: list[tuple[Context, bytes]] = []
        self._news = asyncio.Condition()

    async def __call__(self, ctx: Context, payload: bytes) -> None:
        async with self._news:
            self.all.append((ctx, payload))
            self._news.notify_all()

    async def wait(self, count: int = 1) -> list[tuple[Context, bytes]]:
        async with asyncio.timeout(15), self._news:
            await self._news.wait_for(lambda: len(self.all) >= count)
        return self.all

    def payloads(self) -> list[bytes]:
        return [payload for _, payload in self.all]


@pytest_asyncio.fixture
async def app(redis_url: str, go: Go) -> AsyncIterator[Rota]:
    """An app, and after each test both inspectors must show the same."""
    app = Rota(redis_url, settings={"heartbeat": "1s", "lease": "5s", "shutdown_timeout": "2s"})
    yield app
    broker = app.connect()
    await assert_they_agree(go, Inspector(broker))
    await broker.aclose()
    await app.aclose()


@pytest.fixture
def runs(app: Rota) -> Runs:
    """The runs of tasks of type `t`."""
    runs = Runs()

    @app.handler("t")
    async def t(ctx: Context, payload: bytes) -> None:
        await runs(ctx, payload)

    return runs


async def until(go: Go, task_id: str, state: str, queue: str = "default") -> GoTask:
    """Wait until Go's Inspector shows a task in a state."""
    seen: GoTask | None = None
    try:
        async with asyncio.timeout(15):
            while seen is None or seen.state != state:
                seen = await go.task(task_id, queue)
    except TimeoutError:
        raise AssertionError(f"{task_id} never was {state}: {seen}") from None
    return seen


async def until_counted(go: Go, processed: int, failed: int, queue: str = "default") -> None:
    """Wait until the queue's counters say this."""
    counts = (-1, -1)
    try:
        async with asyncio.timeout(15):
            while counts != (processed, failed):
                seen = await go.queue(queue)
                counts = (seen.processed_total, seen.failed_total)
    except TimeoutError:
        raise AssertionError(f"processed and failed never were {(processed, failed)}: {counts}") from None


async def test_every_option_of_go_reaches_our_handler(go: Go, app: Rota, runs: Runs) -> None:
    deadline = int(time.time()) + 50
    await go.enqueue(
        "t", b"\xff", queue="q", max_retry=3, timeout=HOUR, deadline=deadline, task_id="ключ", retention=HOUR,
        unique=HOUR, headers={"trace": "ü", "empty": ""},
    )  # fmt: skip

    async with app.worker(queues={"q": 1}):
        ((ctx, payload),) = await runs.wait()
        await until(go, "ключ", "completed", "q")

    assert (ctx.id, ctx.type, ctx.queue, ctx.retried, ctx.max_retry) == ("ключ", "t", "q", 0, 3)
    assert (payload, dict(ctx.headers)) == (b"\xff", {"trace": "ü", "empty": ""})
    assert ctx.deadline is not None
    assert ctx.deadline.timestamp() == deadline


async def test_payloads_arrive_byte_for_byte(go: Go, app: Rota, runs: Runs) -> None:
    await go.enqueue_all(request("t", payload) for payload in PAYLOADS)

    async with app.worker(concurrency=1):
        await runs.wait(len(PAYLOADS))
        await until_counted(go, len(PAYLOADS), 0)

    assert runs.payloads() == PAYLOADS


async def test_a_typed_function_is_called_from_go_and_go_reads_its_result(go: Go, app: Rota) -> None:
    @app.task("sum")
    async def add(a: int, b: int = 2) -> dict[str, int]:
        return {"sum": a + b}

    task = await go.enqueue("sum", b'{"a": 1}', retention=HOUR)
    async with app.worker():
        seen = await until(go, task.id, "completed")

    assert (seen.result, seen.retried, seen.last_error) == (b'{"sum":3}', 0, "")
    assert 0 <= time.time() - seen.completed_at < 5


async def test_arguments_that_do_not_fit_are_archived_for_go_to_see(go: Go, app: Rota) -> None:
    @app.task("sum")
    async def add(a: int) -> None: ...

    task = await go.enqueue("sum", b"\xff\x00")
    async with app.worker():
        seen = await until(go, task.id, "archived")

    assert seen.last_error.startswith("PayloadError")


async def test_a_waiting_worker_starts_a_task_of_go_at_once(go: Go, app: Rota) -> None:
    started: dict[str, float] = {}
    ran = asyncio.Event()

    @app.handler("t")
    async def t(ctx: Context, payload: bytes) -> None:
        started[ctx.id] = time.monotonic()
        ran.set()

    async with app.worker():
        for _ in range(20):
            task = await go.enqueue("t")
            answered = time.monotonic()
            async with asyncio.timeout(5):
                await ran.wait()
            ran.clear()
            assert started[task.id] - answered < 0.5


async def test_a_failure_waits_for_its_retry_and_then_succeeds(go: Go, app: Rota) -> None:
    @app.handler("t", retry=Retry(delay="100s"))
    async def t(ctx: Context, payload: bytes) -> None:
        if not ctx.retried:
            raise ValueError("no lück")

    task = await go.enqueue("t", b"{}", retention=HOUR, headers={"h": "1"})
    async with app.worker():
        seen = await until(go, task.id, "retry")
        assert (seen.retried, seen.last_error, seen.headers) == (1, "ValueError: no lück", {"h": "1"})
        assert 95 < seen.next_process_at - time.time() < 105
        assert abs(seen.last_failed_at - time.time()) < 5
        await until_counted(go, 1, 1)
        await go.act("run", task.id)
        seen = await until(go, task.id, "completed")

    assert (seen.retried, seen.last_error) == (1, "ValueError: no lück")


async def test_our_default_retry_delay_is_asynqs(go: Go, app: Rota) -> None:
    @app.handler("t")
    async def t(ctx: Context, payload: bytes) -> None:
        raise ValueError

    task = await go.enqueue("t")
    async with app.worker():
        seen = await until(go, task.id, "retry")

    assert 14 <= seen.next_process_at - seen.last_failed_at <= 46


@pytest.mark.parametrize(
    ("error", "options", "text"),
    [
        (ValueError("spent"), {"max_retry": 0}, "ValueError: spent"),
        (SkipRetry("no use"), {}, "SkipRetry: no use"),
        (RuntimeError("bad \udcff text"), {"max_retry": 0}, "RuntimeError: bad ? text"),
    ],
    ids=["no retries left", "SkipRetry", "a text that is not UTF-8"],
)
async def test_a_task_that_failed_for_good_is_archived(
    go: Go, app: Rota, error: Exception, options: dict[str, Any], text: str
) -> None:
    @app.handler("t")
    async def t(ctx: Context, payload: bytes) -> None:
        raise error

    task = await go.enqueue("t", **options)
    async with app.worker():
        seen = await until(go, task.id, "archived")
        await until_counted(go, 1, 1)

    assert (seen.last_error, seen.retried) == (text, 0)


async def test_a_revoked_task_is_gone_and_not_counted_as_failed(go: Go, app: Rota) -> None:
    @app.handler("t")
    async def t(ctx: Context, payload: bytes) -> None:
        raise Revoke

    await go.enqueue("t", retention=HOUR, unique=HOUR)
    async with app.worker():
        await until_counted(go, 1, 0)

    assert (await go.queue()).counts() == {}
    await go.enqueue("t", unique=HOUR)


async def test_asking_to_run_later_costs_nothing(go: Go, app: Rota) -> None:
    @app.handler("t")
    async def t(ctx: Context, payload: bytes) -> None:
        raise RetryLater("90s", counts=False, reason="not yet")

    task = await go.enqueue("t")
    async with app.worker():
        seen = await until(go, task.id, "retry")

    assert (seen.retried, seen.last_error) == (0, "RetryLater: not yet")
    assert (await go.queue()).processed_total == 0


async def test_an_unknown_type_is_handed_back_without_a_retry(go: Go, app: Rota) -> None:
    task = await go.enqueue("nobody:knows")
    async with app.worker():
        seen = await until(go, task.id, "retry")

    assert (seen.retried, seen.last_error) == (0, 'handler not found for task "nobody:knows"')


async def test_a_timeout_given_by_go_stops_our_handler(go: Go, app: Rota) -> None:
    stopped = asyncio.Event()

    @app.handler("t")
    async def t(ctx: Context, payload: bytes) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    task = await go.enqueue("t", timeout=timedelta(seconds=1))
    async with app.worker():
        seen = await until(go, task.id, "retry")

    assert stopped.is_set()
    assert (seen.retried, seen.last_error) == (1, "context deadline exceeded")


async def test_a_deadline_that_has_passed_ends_the_task(go: Go, app: Rota, runs: Runs) -> None:
    task = await go.enqueue("t", deadline=time.time() - 10)
    async with app.worker():
        seen = await until(go, task.id, "archived")

    assert (seen.last_error, runs.all) == ("context deadline exceeded", [])


async def test_the_lock_of_a_unique_task_of_go_is_given_back_after_success(go: Go, app: Rota, runs: Runs) -> None:
    task = await go.enqueue("t", b"1", unique=HOUR)
    with pytest.raises(GoRefused):
        await go.enqueue("t", b"1", unique=HOUR)
    async with app.worker():
        await until_counted(go, 1, 0)

    assert (await go.enqueue("t", b"1", unique=HOUR)).id != task.id


async def test_the_lock_of_an_archived_task_of_go_is_kept_as_in_go(go: Go, app: Rota) -> None:
    @app.handler("t")
    async def t(ctx: Context, payload: bytes) -> None:
        raise SkipRetry

    task = await go.enqueue("t", b"1", unique=HOUR)
    async with app.worker():
        await until(go, task.id, "archived")

    with pytest.raises(GoRefused):
        await go.enqueue("t", b"1", unique=HOUR)


async def test_a_scheduled_task_of_go_runs_when_it_is_due(go: Go, app: Rota, runs: Runs) -> None:
    async with app.worker():
        task = await go.enqueue("t", process_in=timedelta(seconds=1.5))
        await runs.wait()
        assert 0 <= time.time() - task.next_process_at < 1
        await until_counted(go, 1, 0)


async def test_a_group_of_go_is_aggregated_by_us(go: Go, app: Rota, runs: Runs) -> None:
    @app.aggregator(group="g*", grace="1s")
    async def join(group: str, tasks: list[GroupedTask]) -> Plan[Any]:
        return app.plan("t", b"+".join([group.encode(), *sorted(task.payload for task in tasks)]), retention=HOUR)

    async with app.worker(group_interval="200ms"):
        await go.enqueue_all(request("member", payload, group="g:1") for payload in (b"a", b"\xff", b"c"))
        ((ctx, payload),) = await runs.wait()
        await until(go, ctx.id, "completed")

    assert payload == b"g:1+a+c+\xff"
    seen = await go.queue()
    assert (seen.counts(), seen.group_sizes) == ({"completed": 1}, {})


async def test_a_cancel_by_gos_inspector_ends_our_run(go: Go, app: Rota) -> None:
    started = asyncio.Event()

    @app.handler("t")
    async def t(ctx: Context, payload: bytes) -> None:
        started.set()
        await asyncio.sleep(60)

    task = await go.enqueue("t")
    async with app.worker():
        async with asyncio.timeout(5):
            await started.wait()
        await go.act("cancel", task.id)
        seen = await until(go, task.id, "archived")

    assert (seen.last_error, seen.retried) == ("cancelled", 0)


async def test_a_queue_paused_by_go_waits_and_a_resumed_one_runs_at_once(go: Go, app: Rota, runs: Runs) -> None:
    await go.enqueue("t", b"1")
    await go.act("pause")
    async with app.worker():
        await go.enqueue("t", b"2")
        await go.enqueue("t", b"other", queue="other")
        assert runs.all == []
        await go.act("unpause")
        began = time.monotonic()
        await runs.wait(2)
        assert time.monotonic() - began < 2
        await until_counted(go, 2, 0)


async def test_gos_inspector_shows_our_server_and_what_it_runs(go: Go, app: Rota) -> None:
    release = asyncio.Event()

    @app.handler("t")
    async def t(ctx: Context, payload: bytes) -> None:
        await release.wait()

    task = await go.enqueue("t", b"\xff\x00", queue="low")
    async with app.worker(queues={"high": 6, "low": 1}, concurrency=7, strict_priority=True):
        servers = (await go.inspect()).servers
        async with asyncio.timeout(10):
            while not (servers and servers[0].workers):
                servers = (await go.inspect()).servers
        broker = app.connect()
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
