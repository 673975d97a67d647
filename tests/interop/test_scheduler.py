"""Schedules in Asynq's own keys: Go lists ours with their enqueues, and we list those of a Go scheduler."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest_asyncio

from interop.programs import Go
from rota.app import Rota
from rota.broker import Broker
from rota.inspect import Inspector, SchedulerEntrySnapshot
from rota.schedule.definition import ScheduleDefinition, named_schedule_id
from rota.store import open_store
from tests.servers.roles import as_role

OURS = named_schedule_id("ours")
OPTIONS = ['Queue("low")', "MaxRetry(3)", "Timeout(1m30s)"]


@pytest_asyncio.fixture
async def inspector(redis_url: str) -> AsyncIterator[Inspector]:
    broker = Broker.from_url(as_role(redis_url, "inspector"))
    yield Inspector(broker)
    await broker.aclose()


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.05)


async def test_go_lists_our_schedules_and_their_enqueues(redis_url: str, go: Go, inspector: Inspector) -> None:
    definition = ScheduleDefinition(
        name="ours",
        task_type="report",
        specs=["@every 1s"],
        payload={"day": 1},
        queue="low",
        max_retry=3,
        timeout="90s",
        headers={"a": "ü"},
        overlap="allow",
    )
    app = Rota(redis_url)
    async with app, app.scheduler(schedules=[definition]):

        async def listed() -> bool:
            return len(await inspector.enqueue_events(OURS)) >= 2

        await eventually(listed)
        [entry] = (await go.inspect()).schedulers
        assert (entry["id"], entry["spec"], entry["type"]) == (OURS, "@every 1s", "report")
        assert json.loads(base64.b64decode(entry["payload"])) == {"day": 1}
        assert entry["options"] == OPTIONS  # Go's parser does not know headers
        assert entry["next"] > 0
        [ours] = await inspector.scheduler_entries()
        assert ours.options == (*OPTIONS, 'Header(["a","ü"])')
        assert (ours.id, ours.is_go, ours.next_at is not None) == (OURS, False, True)
        theirs = await go.enqueue_events(OURS)
        seen = [event.task_id for event in await inspector.enqueue_events(OURS, size=500)]
        assert theirs == [task_id for task_id in seen if task_id in theirs]  # it fires on between the two looks
    assert (await go.inspect()).schedulers == []  # a scheduler that stops leaves no entries


async def test_entries_of_a_go_scheduler_are_listed(go: Go, inspector: Inspector) -> None:
    # It never fires while the test runs, whatever the time of the day.
    async with go.scheduler("@every 24h") as entry_id:
        found: list[SchedulerEntrySnapshot] = []

        async def listed() -> bool:
            found[:] = await inspector.scheduler_entries()
            return bool(found)

        await eventually(listed)
    [entry] = found
    assert (entry.id, entry.spec, entry.task_type) == (entry_id, "@every 24h", "cron:go")
    assert (entry.payload, entry.options, entry.is_go) == (b'{"a":1}', ('Queue("low")', "MaxRetry(3)"), True)
    assert entry.next_at is not None
    assert entry.previous_at is None


async def test_run_of_a_go_server_is_recorded_with_its_outcome_and_result(app: Rota, go: Go, tmp_path: Path) -> None:
    words = {"specs": ["@every 1s"], "max_runs": 1, "max_retry": 0}
    good = ScheduleDefinition.read({"name": "good", "task_type": "good", **words})
    bad = ScheduleDefinition.read({"name": "bad", "task_type": "bad", **words})
    url = f"sqlite:///{tmp_path}/rota.db"
    tasks = {"good": {"result": "printed"}, "bad": {"fail": -1, "error": "no paper"}}
    async with open_store(url) as store, go.server(tasks=tasks):
        made = [await store.create(each, by="anna") for each in (good, bad)]
        async with app.scheduler(store=url):

            async def over() -> bool:
                pages = [await store.runs(each.id) for each in made]
                return all(any(run.ended_at for run in page.items) for page in pages)

            await eventually(over)
        [printed] = (await store.runs(made[0].id, outcome="succeeded")).items
        [failed] = (await store.runs(made[1].id, outcome="failed")).items
        run = await store.run(printed.id)
    assert (run.result, run.started_at, run.attempts, run.log) == (b"printed", None, (), ())
    assert run.enqueued_at is not None
    assert run.ended_at is not None
    assert run.enqueued_at <= run.ended_at
    assert failed.error == "no paper"
