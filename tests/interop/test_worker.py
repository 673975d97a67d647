"""Go's client and a worker of ours: what Go enqueues runs here, and Go's Inspector sees how it went."""

import asyncio
import statistics
import time
from datetime import timedelta
from typing import Any

import pytest

from interop.programs import Go, GoRefused, request
from rota.app import Rota
from rota.errors import RetryLater, Revoke, SkipRetry
from rota.tasks.context import Context
from rota.tasks.policy import Retry
from tests.integration.worker.conftest import eventually
from tests.interop.runs import PATIENCE_S, Runs, until, until_counted
from tests.servers.overseen import Overseen

HOUR = timedelta(hours=1)
PAYLOADS = [b"", b"{}", b"not json", b"\xff\xfe\x00\x80", "工作".encode(), bytes(range(256)) * 100]


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
    @app.task("sum", retention="10m")
    async def add(a: int, b: int = 2) -> dict[str, int]:
        return {"sum": a + b}

    task = await go.enqueue("sum", b'{"a": 1}', retention=HOUR)
    before = int(time.time())
    async with app.worker():
        seen = await until(go, task.id, "completed")

    assert (seen.result, seen.retried, seen.last_error) == (b'{"sum":3}', 0, "")
    assert before <= seen.completed_at <= time.time()


async def test_arguments_that_do_not_fit_are_archived_for_go_to_see(go: Go, app: Rota) -> None:
    @app.task("sum")
    async def add(a: int) -> None: ...

    task = await go.enqueue("sum", b"\xff\x00")
    async with app.worker():
        seen = await until(go, task.id, "archived")

    assert seen.last_error.startswith("PayloadError")


async def both_listen(broker: Overseen) -> bool:
    return await broker.admin.hearers("asynq:cancel") >= 2


async def test_cancel_of_a_task_that_a_go_server_runs_is_final_beside_a_worker_of_ours(
    go: Go, app: Rota, redis_url: str
) -> None:
    busy, enough = asyncio.Event(), asyncio.Event()

    @app.task("full:up")
    async def full_up() -> None:
        busy.set()
        await enough.wait()

    behavior = {"tasks": {"hold": {"hold": True}}, "retry_delay_ms": 200, "delayed_check_ms": 600_000}
    async with (
        Overseen.from_url(redis_url) as broker,
        go.server(**behavior) as server,
        # It has no free slot, so what it does for the task is to forward its retry; the Go server would take that.
        app.worker(queues="default,ours", concurrency=1, sweep_interval="200ms"),
    ):
        # Go takes tasks before it listens, and it hears a cancel once or never. The other one who listens is ours.
        await eventually(lambda: both_listen(broker))
        await full_up.options(queue="ours").enqueue()
        await busy.wait()
        job = await app.enqueue("hold", {})
        await server.wait_one(event="start", id=job.id)
        await job.cancel("changed my mind")
        assert (await until(go, job.id, "archived")).last_error == "cancelled: changed my mind"
        assert len(server.all(event="start")) == 1
        assert (await job.info()).end == "cancelled"
        enough.set()


async def test_a_waiting_worker_starts_a_task_of_go_at_once(go: Go, app: Rota) -> None:
    started: dict[str, float] = {}
    waits: list[float] = []
    ran = asyncio.Event()

    @app.handler("t")
    async def t(ctx: Context, payload: bytes) -> None:
        started[ctx.id] = time.monotonic()
        ran.set()

    async with app.worker():
        for _ in range(20):
            task = await go.enqueue("t")
            answered = time.monotonic()
            async with asyncio.timeout(PATIENCE_S):  # the next poll is two minutes away
                await ran.wait()
            ran.clear()
            waits.append(started[task.id] - answered)
    assert statistics.median(waits) < 0.5, "a busy machine may hold up one of them, but not most"


async def test_a_failure_waits_for_its_retry_and_then_succeeds(go: Go, app: Rota) -> None:
    @app.handler("t", retry=Retry(delay="100s"))
    async def t(ctx: Context, payload: bytes) -> None:
        if not ctx.retried:
            raise ValueError("no lück")

    task = await go.enqueue("t", b"{}", retention=HOUR, headers={"h": "1"})
    before = int(time.time())
    async with app.worker():
        seen = await until(go, task.id, "retry")
        after = time.time()
        assert (seen.retried, seen.last_error, seen.headers) == (1, "ValueError: no lück", {"h": "1"})
        assert before + 100 <= seen.next_process_at <= after + 100
        assert before <= seen.last_failed_at <= after
        await until_counted(go, 1, 1)
        await go.act("run", task.id)
        seen = await until(go, task.id, "completed")

    assert (seen.retried, seen.last_error) == (1, "ValueError: no lück")


async def test_attempts_of_ours_stay_with_a_task_that_a_go_server_runs_in_between(go: Go, app: Rota) -> None:
    @app.handler("t", retry=Retry(delay="100s"))
    async def t(ctx: Context, payload: bytes) -> None:
        if ctx.retried < 2:
            raise ValueError("ours")

    task = await go.enqueue("t", retention=HOUR)
    async with app.worker():
        await until(go, task.id, "retry")
    await go.act("run", task.id)
    async with go.server(retry_delay_ms=100_000, tasks={"t": {"fail": -1, "error": "theirs"}}):
        seen = await until(go, task.id, "retry")
    assert (seen.retried, seen.last_error) == (2, "theirs")
    await go.act("run", task.id)
    async with app.worker():
        await until(go, task.id, "completed")

    attempts = (await app.job(task.id, queue="default").info()).attempts
    assert [(each.number, each.outcome) for each in attempts] == [(1, "failed"), (2, "succeeded")]


async def test_our_default_retry_delay_is_asynqs(go: Go, app: Rota) -> None:
    @app.handler("t")
    async def t(ctx: Context, payload: bytes) -> None:
        raise ValueError

    task = await go.enqueue("t")
    async with app.worker():
        seen = await until(go, task.id, "retry")

    assert seen.next_process_at - seen.last_failed_at >= 14
    assert seen.next_process_at - time.time() <= 46


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
