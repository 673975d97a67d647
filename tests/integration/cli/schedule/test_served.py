"""The warning about a task type that no live worker takes, with real workers."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rota.app import Rota
from rota.cli.schedule.served import warnings_of
from rota.inspect import Inspector
from rota.schedule.definition import ScheduleDefinition
from tests.integration.scheduler.conftest import eventually


@pytest.fixture
async def app(redis_url: str) -> AsyncIterator[Rota]:
    app = Rota(redis_url)
    yield app
    await app.aclose()


def define(task_type: str) -> ScheduleDefinition:
    return ScheduleDefinition.read({"name": task_type, "task_type": task_type, "specs": ["@daily"]})


async def warnings(url: str, *types: str) -> list[str]:
    return await asyncio.to_thread(warnings_of, [define(each) for each in types], url)


async def test_type_that_no_live_worker_takes_is_named(app: Rota, redis_url: str) -> None:
    @app.task("backup")
    async def backup() -> None: ...

    assert await warnings(redis_url, "backup", "report") == []  # no worker is there, so nothing is known
    async with app.worker():

        async def published() -> Any:
            return (await Inspector(app.connect(app.settings)).types()).types

        await eventually(published)
        assert await warnings(redis_url, "backup", "backup:nightly") == []
        [warning] = await warnings(redis_url, "bakcup", "backup")
    assert "'bakcup'" in warning
    assert "Did you mean 'backup'?" in warning


def test_server_that_is_away_gives_no_warning() -> None:
    assert warnings_of([define("t")], "redis://127.0.0.1:1/0") == []
