"""A machine that was suspended. A test can't do that, so the one clock that shows it is set ahead instead."""

import asyncio
import platform
import sys
import threading
from collections.abc import Callable
from typing import Annotated

import pytest

from rota import INJECTED, Depends, Rota
from rota.tasks.job import Receipt
from rota.wire.keys import QueueKeys
from rota.worker.clock import lease_clock
from rota.worker.run.process_child import ChildSetup
from rota.worker.run.process_pool import _PoolProcess
from rota.worker.run.thread_pool import _Job
from rota.worker.worker import Worker
from tests.integration.worker.conftest import Bench, eventually

Suspend = Callable[[float], None]


@pytest.fixture
def suspend(monkeypatch: pytest.MonkeyPatch) -> Suspend:
    """Let this many seconds pass of which `time.monotonic` and the event loop know nothing."""
    slept = 0.0

    def later() -> float:
        return lease_clock() + slept

    for name, module in list(sys.modules.items()):  # each module has imported the clock by its name
        if name.startswith("rota.worker.") and getattr(module, "lease_clock", None) is lease_clock:
            monkeypatch.setattr(module, "lease_clock", later)

    def sleep(seconds: float) -> None:
        nonlocal slept
        slept += seconds

    return sleep


def not_begun(receipt: Receipt) -> str:
    return f"Task {receipt.id} ({receipt.type}) in queue default: not begun, since its lease had run out"


async def first_beats(worker: Worker) -> None:
    """Wait for the two beats of the start, of which the second tells the types: each extends the leases of tasks."""

    async def done() -> bool:
        return worker.heartbeat.statistics().beats >= 2

    await eventually(done)


async def test_a_task_that_was_taken_before_does_not_begin_after_it(
    app: Rota, bench: Bench, suspend: Suspend, caplog: pytest.LogCaptureFixture
) -> None:
    go_on = asyncio.Event()

    @app.task("one:atatime", concurrency=1)
    async def one() -> None:
        await go_on.wait()

    async with app.worker(heartbeat="10s") as worker:
        await first_beats(worker)
        first, second = await one.enqueue(), await one.enqueue()
        async with asyncio.timeout(30):
            while len(worker.executor.held) < 2:
                await asyncio.sleep(0.005)

        suspend(3600)
        go_on.set()

        await bench.gone(first.id)
        await bench.gone(second.id)
    assert not_begun(second) in caplog.text


async def test_a_function_whose_thread_comes_late_does_not_begin_after_it(
    app: Rota, bench: Bench, suspend: Suspend, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, go_on, runs, perform = threading.Event(), threading.Event(), list[int](), _Job.perform

    def perform_late(job: _Job) -> None:
        # As behind a call into C that holds the interpreter.
        taken.set()
        assert go_on.wait(20)
        perform(job)

    monkeypatch.setattr(_Job, "perform", perform_late)

    @app.task("thread:late")
    def late() -> None:
        runs.append(1)

    async with app.worker(heartbeat="10s") as worker:
        await first_beats(worker)
        receipt = await late.enqueue()
        await asyncio.to_thread(taken.wait, 20)

        suspend(3600)
        go_on.set()

        await bench.gone(receipt.id)
    assert not_begun(receipt) in caplog.text
    assert runs == [1]


async def test_a_function_that_waited_for_what_it_depends_on_does_not_begin_in_a_thread_after_it(
    app: Rota, bench: Bench, suspend: Suspend, caplog: pytest.LogCaptureFixture
) -> None:
    asked, go_on, runs = asyncio.Event(), asyncio.Event(), list[int]()

    async def resource() -> int:
        asked.set()
        await go_on.wait()
        return 1

    @app.task("thread:depends")
    def depends(value: Annotated[int, Depends(resource)] = INJECTED) -> None:
        runs.append(value)

    async with app.worker(heartbeat="10s") as worker:
        await first_beats(worker)
        receipt = await depends.enqueue()
        await asyncio.wait_for(asked.wait(), 20)

        suspend(3600)
        go_on.set()

        await bench.gone(receipt.id)
    assert not_begun(receipt) in caplog.text
    assert runs == [1]


async def test_a_function_whose_process_is_still_being_started_does_not_begin_after_it(
    app: Rota, bench: Bench, suspend: Suspend, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, go_on, start = asyncio.Event(), asyncio.Event(), _PoolProcess.start

    async def start_late(setup: ChildSetup) -> _PoolProcess:
        child = await start(setup)
        started.set()
        await go_on.wait()
        return child

    monkeypatch.setattr(_PoolProcess, "start", start_late)
    app.task("process:late", run="process")(platform.node)

    async with app.worker(heartbeat="10s") as worker:
        await first_beats(worker)
        receipt = await app.enqueue("process:late", {})
        await asyncio.wait_for(started.wait(), 20)

        suspend(3600)
        go_on.set()

        await bench.gone(receipt.id)
    assert not_begun(receipt) in caplog.text


async def test_the_outcome_of_a_task_that_ran_through_it_is_void_if_another_has_touched_the_task(
    app: Rota, bench: Bench, suspend: Suspend, caplog: pytest.LogCaptureFixture
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.task("through:it")
    async def through_it() -> None:
        begun.set()
        await go_on.wait()

    async with app.worker(heartbeat="10s") as worker:
        await first_beats(worker)
        receipt = await through_it.enqueue()
        await asyncio.wait_for(begun.wait(), 30)
        key = QueueKeys("default").task(receipt.id)

        suspend(3600)
        await bench.execute("HSET", key, "msg", "as a Go server writes it anew, which leaves our token")
        go_on.set()

        async with asyncio.timeout(30):
            while "Late result" not in caplog.text:
                await asyncio.sleep(0.005)
    assert await bench.execute("EXISTS", key)
