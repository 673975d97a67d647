"""How runs end, and what is left of the task: the rules of a whole worker on a real server."""

import asyncio
import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rota.app import Rota
from rota.errors import ResultError, RetryLater, Revoke, SkipRetry, TaskCancelled, TaskFailed
from rota.tasks.context import Context, current
from rota.tasks.policy import Retry
from tests.integration.worker.conftest import Bench, eventually

QUICK = Retry(max=3, delay="10ms")


async def test_a_function_on_the_loop_runs_with_its_arguments_and_its_result_can_be_awaited(app: Rota) -> None:
    @app.task("sum:async", retention="10m")
    async def add(a: int, b: int = 2) -> int:
        return a + b

    async with app.worker():
        assert await (await add.enqueue(40)).result("30s") == 42


async def test_a_plain_function_runs_in_a_thread_with_its_context(app: Rota) -> None:
    @app.task("sum:thread", retention="10m")
    def where() -> list[str]:
        return [threading.current_thread().name, current().type]

    async with app.worker():
        name, type_name = await (await where.enqueue()).result("30s")
    assert name != threading.current_thread().name
    assert type_name == "sum:thread"


def in_another_process(n: int) -> list[int]:
    return [os.getpid(), n * 2]


async def test_a_function_for_a_process_runs_in_a_process(app: Rota) -> None:
    task = app.task("sum:process", run="process", retention="10m")(in_another_process)
    async with app.worker():
        pid, doubled = await (await task.enqueue(21)).result("30s")
    assert pid != os.getpid()
    assert doubled == 42


async def test_success_without_retention_leaves_nothing_but_counters(app: Rota, bench: Bench) -> None:
    @app.task("plain:done")
    async def done() -> None:
        return None

    async with app.worker():
        receipt = await done.enqueue()
        await bench.gone(receipt.id)
    assert await bench.execute("KEYS", "*}:t:*") == []
    assert (await bench.inspector.queue("default")).processed_total == 1


async def test_a_failure_is_retried_with_its_error_and_count_until_it_succeeds(app: Rota, bench: Bench) -> None:
    seen: list[tuple[int, str]] = []

    @app.task("flaky:twice", retry=QUICK, retention="1h")
    async def flaky(context: Context) -> None:
        seen.append((context.retried, context.last_error))
        if len(seen) < 3:
            raise ValueError(f"no. {len(seen)}")

    async with app.worker():
        task = await bench.in_state((await flaky.enqueue()).id, "completed")
    assert seen == [(0, ""), (1, "ValueError: no. 1"), (2, "ValueError: no. 2")]
    assert task.retried == 2
    info = await bench.inspector.queue("default")
    assert (info.processed_total, info.failed_total) == (3, 2)


async def test_a_task_without_retries_left_is_archived_and_its_waiter_told_why(app: Rota, bench: Bench) -> None:
    exhausted: list[str] = []

    @app.task("hopeless:task", retry=Retry(max=1, delay="10ms"), retention="10m")
    async def hopeless() -> int:
        raise OSError("disk full")

    @app.on_exhausted
    async def note(context: Context, error: BaseException) -> None:
        exhausted.append(f"{context.type} {error}")

    async with app.worker():
        receipt = await hopeless.enqueue()
        with pytest.raises(TaskFailed) as caught:
            await receipt.result("30s")
        assert caught.value.reason == "OSError: disk full"
        task = await bench.in_state(receipt.id, "archived")
    assert (task.retried, task.max_retry) == (1, 1)
    assert exhausted == ["hopeless:task disk full"]


async def test_skip_retry_and_errors_that_never_help_archive_at_once(app: Rota, bench: Bench) -> None:
    @app.task("gone:skip", retry=QUICK)
    async def skip() -> None:
        raise SkipRetry("pointless")

    @app.task("gone:never", retry=Retry(max=3, never=[KeyError]))
    async def never() -> None:
        raise KeyError("x")

    async with app.worker():
        for receipt in (await skip.enqueue(), await never.enqueue()):
            assert (await bench.in_state(receipt.id, "archived")).retried == 0


async def test_revoke_ends_a_task_without_a_trace(app: Rota, bench: Bench) -> None:
    @app.task("order:revoked", retention="1h")
    async def revoked() -> None:
        raise Revoke("no longer wanted")

    async with app.worker():
        await bench.gone((await revoked.enqueue()).id)
    info = await bench.inspector.queue("default")
    assert (info.processed_total, info.failed_total, info.archived) == (1, 0, 0)


async def test_retry_later_comes_back_after_its_delay_and_counts_only_if_it_says_so(app: Rota, bench: Bench) -> None:
    runs: list[int] = []

    @app.task("poll:later", retention="1h")
    async def later(context: Context) -> None:
        runs.append(context.retried)
        if len(runs) <= 2:
            raise RetryLater("20ms", counts=len(runs) == 2)

    async with app.worker():
        task = await bench.in_state((await later.enqueue()).id, "completed")
    assert runs == [0, 0, 1]
    assert task.retried == 1
    assert (await bench.inspector.queue("default")).failed_total == 1


async def test_an_error_that_is_no_failure_uses_up_no_retry(app: Rota, bench: Bench) -> None:
    runs: list[int] = []

    @app.task("busy:again", retry=Retry(max=0, delay="10ms", is_failure=lambda e: not isinstance(e, BlockingIOError)))
    async def busy(context: Context) -> None:
        runs.append(context.retried)
        if len(runs) < 3:
            raise BlockingIOError

    async with app.worker():
        await bench.gone((await busy.enqueue()).id)
    assert runs == [0, 0, 0]
    assert (await bench.inspector.queue("default")).failed_total == 0


async def test_arguments_that_do_not_fit_are_archived_with_the_reason_not_retried(app: Rota, bench: Bench) -> None:
    @app.task("typed:int")
    async def typed(n: int) -> None:
        return None

    async with app.worker():
        sender = Rota(app.settings.broker.url)
        receipt = await sender.enqueue("typed:int", {"n": "not a number"})
        task = await bench.in_state(receipt.id, "archived")
        await sender.aclose()
    assert "n" in task.last_error
    assert task.retried == 0


async def test_bytes_that_are_no_message_are_archived_not_looped(app: Rota, bench: Bench) -> None:
    keys = app.keys.queue("default")
    await bench.execute("HSET", keys.task("poison"), "msg", "\x0f\x0f\x0f", "state", "pending")
    await bench.execute("LPUSH", keys.pending, "poison")
    async with app.worker():
        from tests.integration.worker.conftest import eventually

        await eventually(lambda: bench.execute("ZCARD", keys.archived))
    assert await bench.execute("HGET", keys.task("poison"), "state") == b"archived"
    assert await bench.execute("LLEN", keys.active) == 0


async def test_the_time_limit_cancels_a_coroutine_and_counts_as_a_failure(app: Rota, bench: Bench) -> None:
    ended: list[str] = []

    @app.task("slow:loop", timeout="1s", retry=Retry(max=1, delay="1h"))
    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async with app.worker():
        task = await bench.in_state((await slow.enqueue()).id, "retry")
    assert task.last_error == "context deadline exceeded"
    assert (task.retried, ended) == (1, ["cancelled"])


def hang() -> None:
    while True:
        time.sleep(0.05)


@pytest.mark.parametrize("run", ["thread", "process"])
async def test_the_time_limit_ends_what_runs_elsewhere_and_the_slot_is_free_only_then(
    app: Rota, bench: Bench, run: str
) -> None:
    task = app.task("slow:elsewhere", timeout="1s", run=run, retry=0)(hang)  # type: ignore[call-overload]
    async with app.worker(concurrency=1, pool_size=1) as worker:
        receipt = await task.enqueue()
        assert (await bench.in_state(receipt.id, "archived")).last_error == "context deadline exceeded"
        assert worker.executor.running() == []


@pytest.mark.parametrize("listens", [True, False])
async def test_user_reads_which_limit_has_passed(
    app: Rota, bench: Bench, caplog: pytest.LogCaptureFixture, listens: bool
) -> None:
    reasons: list[str] = []
    told: list[str] = []

    @app.task("slow:limited", timeout="1s", retry=0, retention="1h")
    async def slow(context: Context) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            reasons.append(context.cancel_reason)

    @app.on_exhausted
    def note(context: Context, error: BaseException) -> None:
        told.append(str(error))

    said = "context deadline exceeded: the timeout of 1s is over"
    async with app.worker():
        job = await slow.enqueue()
        if not listens:
            await bench.in_state(job.id, "archived")
        with pytest.raises(TaskFailed, match=said) as info:
            await job.result("20s")
    assert (await bench.in_state(job.id, "archived")).last_error == "context deadline exceeded"
    assert info.value.reason == said
    assert (reasons, told) == ([said], [said])
    assert f"{said}. Gave up: archived." in caplog.text


async def test_a_passed_deadline_is_final_and_the_handler_is_not_called(app: Rota, bench: Bench) -> None:
    ran: list[bool] = []
    told: list[str] = []

    @app.task("late:task", retry=QUICK)
    async def late() -> None:
        ran.append(True)

    @app.on_exhausted
    def note(context: Context, error: BaseException) -> None:
        told.append(f"{context.id}: {error}")

    receipt = await late.options(deadline=datetime.now(UTC) - timedelta(minutes=1)).enqueue()
    async with app.worker():
        task = await bench.in_state(receipt.id, "archived")
    assert (task.end, ran) == ("expired", [])
    assert len(told) == 1
    assert re.fullmatch(rf"{receipt.id}: context deadline exceeded: the deadline 2\d+-.* UTC has passed", told[0])


async def test_a_deadline_that_passes_during_the_run_is_final_too(app: Rota, bench: Bench) -> None:
    @app.task("late:midway", retry=QUICK)
    async def midway() -> None:
        await asyncio.Event().wait()

    receipt = await midway.options(deadline=datetime.now(UTC) + timedelta(seconds=2)).enqueue()
    async with app.worker():
        task = await bench.in_state(receipt.id, "archived")
    assert (task.end, task.retried) == ("expired", 0)


async def test_a_running_task_that_is_cancelled_ends_as_cancelled_with_the_reason(app: Rota, bench: Bench) -> None:
    started = asyncio.Event()

    @app.task("long:job", retry=QUICK, retention="10m")
    async def long() -> int:
        started.set()
        await asyncio.Event().wait()
        return 1

    async with app.worker():
        receipt = await long.enqueue()
        await started.wait()
        await receipt.cancel("changed my mind")
        await receipt.cancel("twice is harmless")
        with pytest.raises(TaskCancelled) as caught:
            await receipt.result("30s")
        task = await bench.in_state(receipt.id, "archived")
    assert task.end == "cancelled"
    assert "changed my mind" in caught.value.reason or "changed my mind" in task.last_error
    assert (await bench.inspector.queue("default")).failed_total == 0


async def test_a_cancelled_handler_that_fails_on_its_way_out_is_still_cancelled(app: Rota, bench: Bench) -> None:
    started = asyncio.Event()

    @app.task("long:messy", retry=QUICK)
    async def messy() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("clean-up went wrong")

    async with app.worker():
        receipt = await messy.enqueue()
        await started.wait()
        await receipt.cancel()
        assert (await bench.in_state(receipt.id, "archived")).end == "cancelled"


async def test_a_handler_that_finishes_in_spite_of_a_cancel_has_succeeded(app: Rota, bench: Bench) -> None:
    started, go = asyncio.Event(), asyncio.Event()

    @app.task("long:stubborn", retention="1h")
    async def stubborn() -> int:
        started.set()
        with suppress(asyncio.CancelledError):
            await go.wait()
        return 7

    async with app.worker():
        receipt = await stubborn.enqueue()
        await started.wait()
        await receipt.cancel()
        assert await receipt.result("30s") == 7


async def test_a_function_that_returns_a_generator_has_failed_and_its_code_never_runs(app: Rota, bench: Bench) -> None:
    ran: list[int] = []

    def numbers() -> Iterator[int]:
        ran.append(1)
        yield 1

    @app.task("returns:generator", result=Any, retention="10m")
    def returns() -> object:
        return numbers()

    async with app.worker():
        task = await bench.in_state((await returns.enqueue()).id, "archived")
    assert "returned a generator, whose code has not run: return a value" in task.last_error
    assert ran == []


async def test_a_result_that_is_no_json_fails_the_task_with_a_clear_reason(app: Rota) -> None:
    @app.task("bad:result", retry=0, retention="10m")
    async def bad() -> object:
        return object()

    async with app.worker():
        with pytest.raises(ResultError):
            await (await bad.enqueue()).result("30s")


async def test_progress_and_log_lines_can_be_seen_while_the_task_runs(app: Rota, bench: Bench) -> None:
    go = asyncio.Event()

    @app.task("long:report")
    async def report(context: Context) -> None:
        context.progress(3, 10, "rows")
        context.log("opened the file")
        await go.wait()

    from tests.integration.worker.conftest import eventually

    async with app.worker(report_interval="10ms"):
        receipt = await report.enqueue()

        async def told() -> bool:
            task = await bench.task(receipt.id)
            return task is not None and task.progress is not None and bool(task.log)

        await eventually(told)
        go.set()
        await bench.gone(receipt.id)


async def test_the_traceback_of_the_last_error_is_kept_with_the_task(app: Rota, bench: Bench) -> None:
    @app.task("trace:kept", retry=Retry(max=1, delay="10ms"))
    async def fail(context: Context) -> None:
        if context.retried == 0:
            raise LookupError("first")
        raise ValueError("second")

    async with app.worker():
        job = await fail.enqueue()
        await bench.in_state(job.id, "archived")
    info = await job.info()
    assert info.last_error == "ValueError: second"
    assert info.traceback.startswith("Traceback (most recent call last):")
    assert 'raise ValueError("second")' in info.traceback
    assert info.traceback.endswith("ValueError: second")
    assert "/rota/worker/" not in info.traceback
    assert "first" not in info.traceback


@pytest.mark.parametrize("error", [RetryLater("1h"), SkipRetry("no")])
async def test_an_instruction_to_the_worker_has_no_traceback_neither_stored_nor_logged(
    app: Rota, bench: Bench, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task("trace:none", retry=Retry(delay="10ms"))
    async def fail(context: Context) -> None:
        if context.retried == 0:
            raise LookupError("first")
        caplog.clear()
        raise error

    async with app.worker():
        job = await fail.enqueue()

        async def done() -> bool:
            info = await job.info()
            return info.last_error.startswith(type(error).__name__) and info.state in ("archived", "retry")

        await eventually(done)
    assert (await job.info()).traceback == ""
    assert "Traceback" not in caplog.text


async def test_a_time_limit_shows_where_the_handler_was(app: Rota, bench: Bench) -> None:
    @app.task("trace:slow", timeout="1s", retry=0)
    async def slow() -> None:
        await asyncio.Event().wait()

    async with app.worker():
        job = await slow.enqueue()
        await bench.in_state(job.id, "archived")
    assert "await asyncio.Event().wait()" in (await job.info()).traceback


async def test_a_failure_for_good_is_logged_as_an_error_and_one_that_is_tried_again_as_a_warning(
    app: Rota, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task("trace:levels", retry=Retry(max=1, delay="10ms"))
    async def fail() -> None:
        raise LookupError("no")

    async with app.worker():
        job = await fail.enqueue()
        await bench.in_state(job.id, "archived")
    records = [record for record in caplog.records if job.id in record.getMessage()]
    assert [record.levelname for record in records] == ["WARNING", "ERROR"]
    text = logging.Formatter().format(records[1])
    assert 'raise LookupError("no")' in text
    assert "/rota/worker/" not in text


async def test_no_traceback_is_kept_where_a_setting_says_so(app: Rota, bench: Bench) -> None:
    @app.task("trace:off", retry=0)
    async def fail() -> None:
        raise LookupError("no")

    async with app.worker(traceback_limit_bytes=0):
        job = await fail.enqueue()
        await bench.in_state(job.id, "archived")
    assert await bench.execute("HEXISTS", app.keys.queue("default").task(job.id), "rota_traceback") == 0
