"""What the store tells about runs that a worker ran: their times, attempts and log lines."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rota.app import Rota
from rota.schedule.definition import ScheduleDefinition
from rota.schedule.run import ScheduleRun
from rota.store import Store, open_store
from rota.tasks.context import Context
from rota.tasks.policy import Retry
from tests.integration.scheduler.conftest import eventually


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/rota.db"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with open_store(url) as store:
        yield store


def in_a_process(context: Context, payload: bytes) -> None:
    context.log("runs")


def declare(app: Rota) -> dict[str, datetime]:
    """One task for each way in which a run can go. Returns when each of them was last at work."""
    moments: dict[str, datetime] = {}

    @app.task("loop")
    async def loop() -> None:
        moments["loop"] = datetime.now(UTC)

    @app.task("thread")
    def thread() -> None:
        moments["thread"] = datetime.now(UTC)

    app.handler("process", run="process")(in_a_process)

    @app.task("failed")
    async def failed() -> None:
        moments["failed"] = datetime.now(UTC)
        raise ValueError("no paper")

    @app.task("retried", retry=Retry(delay="10ms"))
    async def retried(context: Context) -> None:
        context.log(f"attempt {context.retried + 1}\nbegins")
        moments[f"retried {context.retried}"] = datetime.now(UTC)
        if not context.retried:
            raise ValueError("no paper")

    @app.task("cancelled")
    async def cancelled(context: Context) -> None:
        context.log("waits")
        moments["cancelled"] = datetime.now(UTC)
        await app.job(context.id, queue=context.queue).cancel("enough")
        await asyncio.Event().wait()

    @app.task("parts")
    async def parts(context: Context, shard: int, shards: int) -> None:
        context.log(f"part {shard + 1} of {shards}")

    return moments


TURN = timedelta(seconds=2)
"""So long a turn of a loop may last on a busy machine."""


def lies_in(moment: datetime, start: datetime | None, end: datetime | None) -> bool:
    """Whether a moment lies in an interval, by two clocks: the loop of a worker reads its own once a turn."""
    assert start is not None
    assert end is not None
    slack = TURN
    return start - slack <= moment <= end + slack


async def ended_runs(app: Rota, store: Store, url: str, *names: str, **words: object) -> list[ScheduleRun]:
    """Run each of these tasks once on a schedule; return their runs when all are over."""
    once = {"specs": ["@every 1s"], "max_runs": 1, "max_retry": 0, **words}
    definitions = [ScheduleDefinition.read({"name": name, "task_type": name, **once}) for name in names]
    made = [await store.create(each, by="anna") for each in definitions]
    async with app.scheduler(store=url), app.worker():

        async def over() -> bool:
            found = [run for run in (await store.runs()).items if run.outcome not in (None, "skipped")]
            return len(found) == len(names)

        await eventually(over)
    found = {run.schedule_id: run.id for run in (await store.runs()).items if run.outcome != "skipped"}
    return [await store.run(found[each.id]) for each in made]


async def test_run_starts_and_ends_with_its_task(app: Rota, store: Store, url: str) -> None:
    moments = declare(app)
    names = ("loop", "thread", "process", "failed", "cancelled")
    found = await ended_runs(app, store, url, *names)
    assert [run.outcome for run in found] == ["succeeded", "succeeded", "succeeded", "failed", "cancelled"]
    for name, run in zip(names, found, strict=True):
        [attempt] = run.attempts
        assert run.enqueued_at is not None
        assert run.started_at is not None
        assert run.ended_at is not None
        assert attempt.ended_at is not None
        # The times of an attempt are in milliseconds, so a short one may end before the microsecond of its enqueue.
        ended_at = max(attempt.ended_at, run.enqueued_at)
        assert (run.started_at, run.ended_at) == (attempt.started_at, ended_at), name
        assert run.planned_at <= run.enqueued_at <= run.started_at + TURN, name
        assert run.started_at <= run.ended_at, name
        assert name not in moments or lies_in(moments[name], run.started_at, run.ended_at), name
    assert [line.partition(" ")[2] for line in found[-1].log] == ["waits"]


async def test_retried_run_lasts_from_its_first_start_to_its_last_end(app: Rota, store: Store, url: str) -> None:
    moments = declare(app)
    [run] = await ended_runs(app, store, url, "retried", max_retry=3)
    first, last = run.attempts
    assert lies_in(moments["retried 0"], first.started_at, first.ended_at)
    assert lies_in(moments["retried 1"], last.started_at, last.ended_at)
    assert (run.outcome, first.error, last.error) == ("succeeded", "ValueError: no paper", "")
    assert (run.started_at, run.ended_at) == (first.started_at, last.ended_at)
    assert [line.partition(" ")[2] for line in run.log] == ["attempt 1", "begins", "attempt 2", "begins"]
    assert (await store.runs()).items[-1].log == ()  # lists leave the lines out


async def test_run_of_several_tasks_has_the_lines_of_all(app: Rota, store: Store, url: str) -> None:
    declare(app)
    [run] = await ended_runs(app, store, url, "parts", fan_out=3)
    assert sorted(line.partition(" ")[2] for line in run.log) == [
        "[0] part 1 of 3",
        "[1] part 2 of 3",
        "[2] part 3 of 3",
    ]
