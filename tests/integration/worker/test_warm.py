"""A worker with tasks for processes has one ready before the first task comes."""

import logging

import pytest

from rota.app import Rota
from tests.integration.worker.conftest import Bench, eventually
from tests.unit.worker.process_functions import add


async def test_a_process_is_started_with_the_worker(app: Rota, bench: Bench) -> None:
    task = app.task("warm:add", run="process", retention="10m")(add)

    async with app.worker() as worker:
        processes = worker.parts.processes

        async def warm() -> bool:
            return processes.statistics().processes == 1

        await eventually(warm)
        assert await (await task.enqueue(1, 2)).result("30s") == 3
        assert processes.statistics().processes == 1


async def test_a_worker_without_such_tasks_starts_none(app: Rota, bench: Bench) -> None:
    @app.task("warm:here", retention="10m")
    async def here() -> int:
        return 1

    async with app.worker() as worker:
        assert await (await here.enqueue()).result("30s") == 1
        assert worker.parts.processes.statistics().processes == 0


async def test_a_process_that_cannot_start_does_not_keep_the_worker_from_its_other_tasks(
    app: Rota, bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(type(app), "modules", ["no.such.module"])

    @app.task("warm:other", retention="10m")
    async def other() -> int:
        return 1

    with caplog.at_level(logging.ERROR, "rota.worker"):
        async with app.worker():

            async def said() -> bool:
                return "No pool process could be started" in caplog.text

            await eventually(said)
            assert await (await other.enqueue()).result("30s") == 1
