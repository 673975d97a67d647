import asyncio
import json
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Literal

import pytest

from rota.app import Rota
from rota.tasks.context import Context
from rota.wire.proto import TaskMessage
from rota.worker.run.attempt import Attempt
from rota.worker.run.reporter import Reporter
from tests.integration.worker.conftest import Bench
from tests.integration.worker.speaking import speak
from tests.integration.worker.yard import QUEUE, Yard, message, open_yard

DEADLINE = 10.0


@pytest.fixture
async def yard(any_url: str) -> AsyncIterator[Yard]:
    async with open_yard(any_url) as yard:
        yield yard


class Desk:
    def __init__(self, yard: Yard, every: timedelta = timedelta(milliseconds=500), log: int = 1000) -> None:
        self.yard = yard
        self.held: dict[Attempt, None] = {}
        self.reporter = Reporter(
            yard.broker, lambda: self.held, every=every, log_limit_bytes=log, log_line_limit_bytes=100
        )

    async def begin(self, task_id: str, token: str = "t1") -> Context:
        await self.yard.active(task_id, 1.5, rota_token=token)
        attempt = Attempt(self.yard.keys, token, task_id, message(task_id), 0.0)
        attempt.message = TaskMessage(id=task_id, queue=QUEUE, type="test:it")
        attempt.type = "test:it"
        attempt.context = Context(attempt.message, self.reporter)
        self.held[attempt] = None
        return attempt.context


async def test_progress_and_log_lines_are_written_into_the_task(yard: Yard) -> None:
    desk = Desk(yard)
    context = await desk.begin("a")
    context.progress(1, 4, "first")
    context.progress(2, 4, "second")
    context.log("one\ntwo")
    await desk.reporter.flush()
    fields = await yard.fields("a")
    told = json.loads(fields["rota_progress"])
    assert (told["done"], told["total"], told["text"]) == (2, 4, "second")
    lines = fields["rota_log"].decode().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["one", "two"]
    assert lines[0][10] == "T"
    context.log("three")
    await desk.reporter.flush()
    assert (await yard.fields("a"))["rota_log"].decode().endswith(" three\n")
    assert desk.reporter.statistics().written == 2


async def test_a_task_deleted_meanwhile_gets_no_hash_again(yard: Yard) -> None:
    desk = Desk(yard)
    context = await desk.begin("a")
    context.log("too late")
    await yard.execute("DEL", yard.keys.task("a"))
    await desk.reporter.flush()
    assert await yard.fields("a") == {}
    assert desk.reporter.statistics().refused == 1


async def test_an_attempt_that_lost_its_task_writes_nothing_into_the_newer_one(yard: Yard) -> None:
    desk = Desk(yard)
    context = await desk.begin("a")
    await yard.hash("a", rota_token="t2")
    context.progress(1)
    context.log("late")
    await desk.reporter.flush()
    assert {"rota_progress", "rota_log"}.isdisjoint(await yard.fields("a"))


async def test_an_attempt_whose_task_a_go_server_runs_writes_nothing_although_its_token_is_still_there(
    yard: Yard,
) -> None:
    desk = Desk(yard)
    context = await desk.begin("a")
    await yard.execute("ZADD", yard.keys.lease, int(await yard.now()) + 30, "a")  # whole seconds: a lease of Go's
    context.progress(1, 10)
    await desk.reporter.flush()
    assert "rota_progress" not in await yard.fields("a")
    assert desk.reporter.statistics().refused == 1


async def test_last_words_are_written_after_the_outcome(yard: Yard) -> None:
    desk = Desk(yard)
    context = await desk.begin("a")
    context.log("done")
    desk.held.clear()
    await yard.hash("a", state="completed")
    await desk.reporter.flush()
    assert (await yard.fields("a"))["rota_log"].endswith(b" done\n")


async def test_a_log_is_bounded_and_loses_its_oldest_lines(yard: Yard) -> None:
    desk = Desk(yard, log=300)
    context = await desk.begin("a")
    for number in range(50):
        context.log(f"line {number} é")
    await desk.reporter.flush()
    for number in range(50, 60):
        context.log(f"line {number} é")
        await desk.reporter.flush()
    log = (await yard.fields("a"))["rota_log"]
    assert len(log) <= 300
    lines = log.decode().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [f"line {n} é" for n in range(60 - len(lines), 60)]
    assert desk.reporter.statistics().dropped_lines > 30


async def test_a_long_line_is_cut(yard: Yard) -> None:
    desk = Desk(yard)
    context = await desk.begin("a")
    context.log("é" * 500)
    await desk.reporter.flush()
    log = (await yard.fields("a"))["rota_log"]
    assert len(log) <= 100
    assert log.decode().endswith("é…\n")


async def test_the_first_word_is_written_at_once_and_the_next_are_joined(yard: Yard) -> None:
    desk = Desk(yard, every=timedelta(minutes=5))
    context = await desk.begin("a")
    running = asyncio.create_task(desk.reporter.run())
    context.progress(1)
    async with asyncio.timeout(DEADLINE):
        while desk.reporter.statistics().written < 1:
            await asyncio.sleep(0.005)
    assert "rota_progress" in await yard.fields("a")
    for number in range(100):
        context.progress(number)
    assert desk.reporter.statistics().written == 1
    running.cancel()
    await asyncio.wait([running])
    assert json.loads((await yard.fields("a"))["rota_progress"])["done"] == 99
    assert desk.reporter.statistics().written == 2


@pytest.mark.parametrize("run", ["loop", "thread", "process"])
async def test_the_last_words_of_a_task_are_there_when_it_is_completed(
    app: Rota, bench: Bench, run: Literal["loop", "thread", "process"]
) -> None:
    @app.task("test:speaks", retention="1h")
    async def on_the_loop(context: Context) -> None:
        speak(context)

    @app.task("test:speaks-there", retention="1h")
    def in_a_thread(context: Context) -> None:
        speak(context)

    in_a_process = app.task("test:speaks-elsewhere", retention="1h", run="process")(speak)
    task = {"loop": on_the_loop, "thread": in_a_thread, "process": in_a_process}[run]
    async with app.worker(report_interval="5m"):
        jobs = [await task.enqueue() for _ in range(50)]
        for job in jobs:
            found = await bench.in_state(job.id, "completed")
            report = found.last_report
            assert report is not None
            assert (report.done, len(found.log_lines)) == (9, 10)


async def test_a_task_that_is_to_end_waits_for_a_write_that_is_under_way(yard: Yard) -> None:
    desk = Desk(yard)
    context = await desk.begin("a")
    context.log("one")
    writing = asyncio.create_task(desk.reporter.flush())
    await asyncio.sleep(0)
    context.log("two")
    assert desk.reporter.unwritten(context)
    await desk.reporter.settle(context)
    assert not desk.reporter.unwritten(context)
    assert [line.split(" ", 1)[1] for line in (await yard.fields("a"))["rota_log"].decode().splitlines()] == [
        "one",
        "two",
    ]
    await writing


async def test_many_threads_may_speak_at_once(yard: Yard) -> None:
    desk = Desk(yard, log=64 * 1024)
    contexts = [await desk.begin(f"t{n}") for n in range(8)]
    threads = [threading.Thread(target=lambda c=context: [c.log(f"{n}") for n in range(100)]) for context in contexts]
    for thread in threads:
        thread.start()
    await asyncio.to_thread(lambda: [thread.join() for thread in threads])
    await desk.reporter.flush()
    for n in range(8):
        assert len((await yard.fields(f"t{n}"))["rota_log"].splitlines()) == 100


async def test_a_context_of_no_attempt_is_not_heard(yard: Yard) -> None:
    desk = Desk(yard)
    Context(TaskMessage(id="x", queue=QUEUE), desk.reporter).log("who am I")
    await desk.reporter.flush()
    assert await yard.names() == set()
