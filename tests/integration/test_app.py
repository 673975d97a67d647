"""The whole way of a task through an app, from the call to the result, on a real server."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import pytest

from rota import (
    INJECTED,
    BrokerUnavailable,
    Context,
    Depends,
    Job,
    Plan,
    Retry,
    Rota,
    TaskFailed,
    Unique,
    current,
)

elsewhere = Rota()


@elsewhere.task("number:count", run="process", retention="10m")
def count(ctx: Context, most: int, until: Path) -> str:
    ctx.progress(most, most, "counted")
    ctx.log("counted in a child")
    while not until.exists():
        time.sleep(0.005)
    return current().id


@elsewhere.task("number:double", run="process", retention="10m")
def double(number: int) -> tuple[int, int]:
    return number * 2, os.getpid()


async def resources(app: Rota) -> AsyncGenerator[dict[str, str]]:
    yield {"greeting": "hello"}


@pytest.fixture
async def app(redis_url: str) -> AsyncIterator[Rota]:
    app = Rota(redis_url, settings={"concurrency": 5, "shutdown_timeout": "5s"}, lifespan=resources)
    yield app
    await app.aclose()


async def test_a_typed_call_comes_back_as_a_typed_result(app: Rota) -> None:
    @app.task("number:add", retention="10m")
    async def add(a: int, b: int = 2) -> int:
        return a + b

    async with app.worker():
        job = await add.enqueue(5)

        assert job.created
        assert await job.result("30s") == 7


async def test_functions_run_on_the_loop_in_threads_and_in_processes(app: Rota) -> None:
    @app.task("run:loop", retention="10m")
    async def on_loop() -> int:
        return threading.get_ident()

    @app.task("run:thread", retention="10m")
    def in_thread() -> int:
        return threading.get_ident()

    in_process = app.task("number:double", run="process", retention="10m")(double.function)

    async with app.worker():
        loop, thread, process = await asyncio.gather(on_loop.enqueue(), in_thread.enqueue(), in_process.enqueue(4))

        assert await loop.result("30s") == threading.get_ident()
        assert await thread.result("30s") != threading.get_ident()
        number, pid = await process.result("30s")
        assert number == 8
        assert pid != os.getpid()


async def test_a_function_in_a_process_reports_through_its_context(app: Rota, tmp_path: Path) -> None:
    counting = app.task("number:count", run="process", retention="10m")(count.function)

    async with app.worker(report_interval="10ms"):
        job = await counting.enqueue(3, tmp_path / "seen")
        async with asyncio.timeout(30):
            while not ((info := await job.info()).progress and info.log):
                await asyncio.sleep(0.005)
        (tmp_path / "seen").touch()
        assert await job.result("30s") == job.id

    assert b'"text":"counted"' in info.progress
    assert b"counted in a child" in info.log


async def test_a_task_by_name_needs_no_import(app: Rota, redis_url: str) -> None:
    @app.task("report:build", queue="slow", retention="10m")
    async def build(id: int) -> str:
        return f"{current().queue} {id}"

    web = Rota(redis_url)
    async with app.worker(queues="slow"):
        job = await web.enqueue("report:build", {"id": 7}, queue="slow", retention="1m")

        assert await job.result("30s") == "slow 7"
    await web.aclose()


async def test_blocking_code_enqueues_and_awaits_too(app: Rota) -> None:
    @app.task("number:add", retention="10m")
    def add(a: int) -> int:
        return a + 1

    def blocking() -> list[int]:
        many = app.enqueue_many_sync(add.plan(number) for number in range(3))
        by_name = app.enqueue_sync("number:add", {"a": 3})
        return [job.result("30s") for job in (*many, by_name, add.enqueue_sync(4)) if not isinstance(job, Exception)]

    async with app.worker():
        assert await asyncio.to_thread(blocking) == [1, 2, 3, 4, 5]


async def test_many_plans_go_in_few_requests_each_with_its_own_answer(app: Rota) -> None:
    @app.task("number:note")
    async def note(number: int) -> None: ...

    unique = note.options(unique=Unique("1m", key="only"))

    answers = await app.enqueue_many([note.plan(1), unique.plan(2), unique.plan(3)])

    assert [isinstance(answer, Job) and answer.created for answer in answers] == [True, True, False]


async def test_lifespan_dependencies_and_middleware_reach_the_handler(app: Rota) -> None:
    notes: list[str] = []

    def greeting(ctx: Context) -> Generator[str]:
        yield ctx.state["greeting"]
        notes.append("cleared away")

    @app.middleware
    async def timed(ctx: Context) -> AsyncGenerator[None]:
        notes.append(f"before {ctx.headers['trace']}")
        yield
        notes.append("after")

    @app.enqueue_middleware
    async def traced(plan: Plan[Any]) -> AsyncGenerator[Plan[Any]]:
        yield plan.with_headers({"trace": "t1"})

    @app.task("greet:one", retention="10m")
    async def greet(ctx: Context, name: str, *, word: Annotated[str, Depends(greeting)] = INJECTED) -> str:
        return f"{word} {name}"

    async with app.worker():
        assert await (await greet.enqueue("Ada")).result("30s") == "hello Ada"

    assert notes == ["before t1", "cleared away", "after"]


async def test_a_failure_is_retried_by_its_policy_and_told_to_the_hooks(app: Rota) -> None:
    told: list[str] = []

    @app.on_failure
    def failed(ctx: Context, error: object) -> None:
        told.append(f"failed {ctx.retried}: {error}")

    @app.task(
        "flaky:one",
        retry=Retry(max=1, delay=0),
        on_exhausted=lambda ctx, error: told.append(f"gave up {ctx.retried}: {error}"),
        retention="10m",
    )
    async def flaky() -> str:
        raise OSError("broken")

    async with app.worker():
        job = await flaky.enqueue()
        with pytest.raises(TaskFailed, match="broken"):
            await job.result("20s")

    assert told == ["failed 0: broken", "gave up 1: broken"]


async def test_a_raw_handler_takes_what_its_pattern_says(app: Rota) -> None:
    @app.handler("email:")
    async def any_mail(ctx: Context, payload: bytes) -> bytes:
        return ctx.type.encode() + payload

    async with app.worker():
        job = await app.enqueue("email:send:1", b"\xff", retention="1m")
        info = await _completed(job)

        assert info == b"email:send:1\xff"


async def _completed(job: Job[Any]) -> bytes:
    async with asyncio.timeout(30):
        while (info := await job.info()).state != "completed":
            await asyncio.sleep(0.005)
        return info.result


async def test_a_worker_that_cannot_start_says_so_to_the_program_it_is_part_of(tmp_path: Any) -> None:
    app = Rota(f"unix://{tmp_path}/nobody.sock", settings={"retry_for": timedelta(0)})

    with pytest.raises((BrokerUnavailable, ExceptionGroup)):
        async with app.worker():
            pytest.fail("the block began without a worker")
    await app.aclose()
