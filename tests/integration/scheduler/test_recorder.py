"""The recorder: runs that have begun, runs that nobody takes, and more open runs than it holds."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rota.app import Rota
from rota.schedule.definition import ScheduleDefinition
from rota.schedule.run import ScheduleRun
from rota.scheduler import open_runs
from rota.store import Store, open_store
from tests.integration.scheduler.conftest import eventually


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/rota.db"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with open_store(url) as store:
        yield store


def once(name: str, **words: Any) -> ScheduleDefinition:
    given = {"name": name, "task_type": "work", "kind": "once", "process_at": datetime.now(UTC).isoformat(), **words}
    return ScheduleDefinition.read(given)


async def only_run(store: Store) -> ScheduleRun:
    [run] = (await store.runs()).items
    return run


async def test_run_that_a_worker_has_begun_is_running(app: Rota, store: Store, url: str) -> None:
    may_end = asyncio.Event()

    @app.task("work")
    async def work() -> None:
        await may_end.wait()

    made = await store.create(once("slow"), by="anna")
    async with app.scheduler(store=url):

        async def waits() -> bool:
            return await store.open_schedules() == {made.id: False}

        await eventually(waits)
        assert (await only_run(store)).started_at is None
        async with app.worker():

            async def runs() -> bool:
                return await store.open_schedules(made.id) == {made.id: True}

            await eventually(runs)
            seen = await only_run(store)
            assert (seen.outcome, seen.started_at is not None) == (None, True)
            may_end.set()

            async def is_over() -> bool:
                return (await only_run(store)).outcome == "succeeded"

            await eventually(is_over)
    run = await store.run((await only_run(store)).id)
    [attempt] = run.attempts
    assert run.started_at == attempt.started_at
    assert await store.open_schedules() == {}


async def test_run_that_no_worker_takes_ends_at_its_start_deadline(app: Rota, store: Store, url: str) -> None:
    words = {"name": "nobody", "task_type": "unknown", "specs": ["@every 2s"], "start_deadline": "1s"}
    made = await store.create(ScheduleDefinition.read(words), by="anna")
    async with app.scheduler(store=url):

        async def goes_on() -> bool:
            return len((await store.runs(made.id, outcome="cancelled")).items) >= 2

        await eventually(goes_on)
    run = (await store.runs(made.id, outcome="cancelled")).items[0]
    assert "no worker had begun it by its start deadline" in run.error


async def test_more_open_runs_than_the_recorder_holds_are_followed(
    app: Rota, store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_runs, "MOST_HELD", 3)
    monkeypatch.setattr(open_runs, "MOST_LOOKED", 2)
    monkeypatch.setattr(open_runs, "PAGE", 2)

    @app.task("work")
    async def work() -> None:
        pass

    for number in range(10):
        await store.create(once(f"s{number}"), by="anna")
    async with app.scheduler(store=url):

        async def all_enqueued() -> bool:
            return len(await store.open_schedules()) == 10

        await eventually(all_enqueued)
        async with app.worker():

            async def all_over() -> bool:
                return len((await store.runs(outcome="succeeded")).items) == 10

            await eventually(all_over)
