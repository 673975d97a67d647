"""The record of each attempt at a task, as a worker leaves it and a reader finds it."""

import asyncio
import os
import socket
import threading
from datetime import UTC, datetime, timedelta

import pytest

from rota.app import Rota
from rota.errors import RetryLater, Revoke
from rota.inspect import TaskSnapshot
from rota.tasks.context import Context
from rota.tasks.job import TaskAttempt
from rota.tasks.policy import Retry
from rota.wire.server_record import beginning_of_id
from tests.integration.worker.conftest import Bench, eventually

QUICK = Retry(max=3, delay="10ms")


def outcomes(task: TaskSnapshot) -> list[tuple[int, str, str]]:
    return [(each.number, each.outcome, each.error) for each in task.attempts]


async def test_each_attempt_is_recorded_with_worker_times_error_and_traceback(app: Rota, bench: Bench) -> None:
    @app.task("flaky", retry=QUICK, retention="1h")
    async def flaky(context: Context) -> str:
        if context.retried < 2:
            raise ValueError(f"no. {context.retried + 1}")
        return "well"

    before = datetime.now(UTC) - timedelta(seconds=1)
    async with app.worker() as worker:
        task = await bench.in_state((await flaky.enqueue()).id, "completed")
        assert await eventually(app.inspector().servers)
        [server] = [each.id for each in await app.inspector().servers()]
    assert outcomes(task) == [
        (1, "failed", "ValueError: no. 1"),
        (2, "failed", "ValueError: no. 2"),
        (3, "succeeded", ""),
    ]
    assert {(each.worker, each.host, each.pid) for each in task.attempts} == {
        (worker.id, socket.gethostname(), os.getpid())
    }
    assert server.startswith(beginning_of_id(worker.id))
    known = [time for each in task.attempts for time in (each.started_at, each.ended_at) if time is not None]
    assert len(known) == 6
    assert known == sorted(known)
    assert before <= known[0]
    assert known[-1] <= datetime.now(UTC) + timedelta(seconds=1)
    first, _, last = task.attempts
    assert first.traceback.endswith("ValueError: no. 1")
    assert "in flaky" in first.traceback
    assert (last.traceback, task.traceback[-5:]) == ("", "no. 2")


async def test_plain_success_leaves_no_hash_and_no_record(app: Rota, bench: Bench) -> None:
    @app.task("plain", retry=QUICK)
    async def plain(context: Context) -> None:
        if not context.retried:
            raise ValueError("once")

    async with app.worker():
        job = await plain.enqueue()
        await bench.gone(job.id)
    assert await bench.execute("KEYS", "*}:t:*") == []


@pytest.mark.parametrize("run", ["loop", "thread", "process"])
async def test_an_attempt_beyond_its_time_limit_is_recorded_as_failed(app: Rota, bench: Bench, run: str) -> None:
    slow = app.task("slow", timeout="1s", retry=0, run=run)(wait_on_loop if run == "loop" else wait_in_thread)  # type: ignore[call-overload]
    async with app.worker():
        task = await bench.in_state((await slow.enqueue()).id, "archived")
    [attempt] = task.attempts
    assert attempt.outcome == "failed"
    assert "time" in attempt.error.lower()
    assert attempt.started_at
    assert attempt.ended_at
    assert attempt.ended_at - attempt.started_at >= timedelta(seconds=0.9)


async def wait_on_loop() -> None:
    await asyncio.Event().wait()


def wait_in_thread() -> None:
    while True:
        threading.Event().wait(0.01)


async def test_a_cancelled_attempt_is_recorded_with_the_reason(app: Rota, bench: Bench) -> None:
    started = asyncio.Event()

    @app.task("long")
    async def long() -> None:
        started.set()
        await asyncio.Event().wait()

    async with app.worker():
        job = await long.enqueue()
        await started.wait()
        await job.cancel("not needed")
        task = await bench.in_state(job.id, "archived")
    assert outcomes(task) == [(1, "cancelled", "cancelled: not needed")]


async def test_task_that_was_cancelled_before_its_start_has_no_attempt(app: Rota, bench: Bench) -> None:
    @app.task("late")
    async def late() -> None:
        """Never called."""

    job = await late.options(delay="1h").enqueue()
    await job.cancel("not needed")
    assert (await bench.in_state(job.id, "archived")).attempts == ()


async def test_a_revoked_task_is_gone_with_its_attempts(app: Rota, bench: Bench) -> None:
    @app.task("revoked", retry=QUICK, retention="1h")
    async def revoked(context: Context) -> None:
        raise ValueError("first") if not context.retried else Revoke("no longer wanted")

    async with app.worker():
        await bench.gone((await revoked.enqueue()).id)
    assert await bench.execute("KEYS", "*}:t:*") == []


async def test_a_task_that_asks_to_run_later_was_put_off(app: Rota, bench: Bench) -> None:
    @app.task("later", retention="1h")
    async def later(context: Context) -> None:
        if not context.retried:
            raise RetryLater("10ms", reason="not yet")

    async with app.worker():
        task = await bench.in_state((await later.enqueue()).id, "completed")
    assert [each.outcome for each in task.attempts] == ["put off", "succeeded"]
    assert task.attempts[0].traceback == ""


async def test_a_begun_attempt_that_is_handed_back_at_a_stop_is_recorded(app: Rota, bench: Bench) -> None:
    started = asyncio.Event()

    @app.task("stop", concurrency=1)
    async def stop() -> None:
        started.set()
        await asyncio.Event().wait()

    async with app.worker(shutdown_timeout="50ms") as worker:
        running, parked = await stop.enqueue(), await stop.enqueue()
        await started.wait()
        await eventually(lambda: both_held(worker))
    assert outcomes(await bench.in_state(running.id, "pending")) == [(1, "handed back", "the worker stopped")]
    assert (await bench.in_state(parked.id, "pending")).attempts == ()


async def both_held(worker: object) -> bool:
    return len(worker.executor.held) == 2  # type: ignore[attr-defined]


async def test_a_payload_that_does_not_fit_is_an_attempt_and_an_unknown_type_is_none(app: Rota, bench: Bench) -> None:
    @app.task("typed", retry=0)
    async def typed(number: int) -> None:
        """Never called."""

    async with app.worker(unknown_task_delay="1h"):
        async with Rota(app.settings.broker.url) as other:  # an app that does not know the types checks no payload
            wrong, unknown = await other.enqueue("typed", {"number": "x"}), await other.enqueue("unknown", {})
        assert [each.outcome for each in (await bench.in_state(wrong.id, "archived")).attempts] == ["failed"]
        assert (await bench.in_state(unknown.id, "retry")).attempts == ()


async def test_numbers_go_on_when_an_archived_task_runs_again(app: Rota, bench: Bench) -> None:
    healthy = False

    @app.task("again", retry=0, retention="1h")
    async def again() -> None:
        if not healthy:
            raise OSError("disk full")

    async with app.worker():
        job = await again.enqueue()
        await bench.in_state(job.id, "archived")
        healthy = True
        await job.run_now()
        task = await bench.in_state(job.id, "completed")
    assert outcomes(task) == [(1, "failed", "OSError: disk full"), (2, "succeeded", "")]


async def test_job_info_has_the_attempts_too(app: Rota, bench: Bench) -> None:
    @app.task("told", retry=0)
    async def told() -> None:
        raise OSError("disk full")

    async with app.worker():
        job = await told.enqueue()
        await bench.in_state(job.id, "archived")
        [attempt] = (await job.info()).attempts
    assert isinstance(attempt, TaskAttempt)
    assert (attempt.number, attempt.outcome) == (1, "failed")


async def test_long_error_and_traceback_are_cut(app: Rota, bench: Bench) -> None:
    @app.task("wordy", retry=0)
    async def wordy() -> None:
        deeper(60)

    def deeper(depth: int) -> None:
        if not depth:
            raise ValueError("ü" * 5000)
        deeper(depth - 1)

    async with app.worker():
        task = await bench.in_state((await wordy.enqueue()).id, "archived")
    [attempt] = task.attempts
    assert len(attempt.error.encode()) <= 1024
    assert len(attempt.traceback.encode()) <= 2048
    assert len(task.traceback.encode()) > 2048


async def test_settings_leave_out_tracebacks_or_all_attempts(app: Rota, bench: Bench) -> None:
    @app.task("quiet", retry=0)
    async def quiet() -> None:
        raise OSError("disk full")

    async with app.worker(traceback_limit_bytes=0):
        [attempt] = (await bench.in_state((await quiet.enqueue()).id, "archived")).attempts
    assert (attempt.error, attempt.traceback) == ("OSError: disk full", "")
    async with app.worker(attempts_limit_bytes=0):
        assert (await bench.in_state((await quiet.enqueue()).id, "archived")).attempts == ()
