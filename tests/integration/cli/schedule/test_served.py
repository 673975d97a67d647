"""The warning about a task type that no live worker takes, with real workers."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rota.app import Rota
from rota.cli.schedule import served
from rota.cli.schedule.served import warnings_of
from rota.schedule.definition import ScheduleDefinition
from rota.settings import origin
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
            return (await app.inspector().types()).types

        await eventually(published)
        assert await warnings(redis_url, "backup", "backup:nightly") == []
        [warning] = await warnings(redis_url, "bakcup", "backup")
    assert "'bakcup'" in warning
    assert "Did you mean 'backup'?" in warning


@pytest.mark.parametrize(
    ("declared", "named", "wanted"), [("default", None, "default"), ("low", None, ""), ("low", "mail", "mail")]
)
async def test_type_that_workers_take_only_in_other_queues_is_named(
    app: Rota, redis_url: str, declared: str, named: str | None, wanted: str
) -> None:
    @app.task("backup", queue=declared)
    async def backup() -> None: ...

    async with app.worker(queues={"low": 1}):

        async def published() -> Any:
            return (await app.inspector().types()).types

        await eventually(published)
        definition = ScheduleDefinition(name="b", task_type="backup", specs=["@daily"], queue=named)
        found = await asyncio.to_thread(warnings_of, [definition], redis_url)
    expected = f"only in other queues (low), so its tasks would wait in the queue '{wanted}'."
    assert [expected in each for each in found] == ([True] if wanted else [])


def test_server_that_is_away_gives_no_warning() -> None:
    assert warnings_of([define("t")], "redis://127.0.0.1:1/0") == []


class Terminal(io.StringIO):
    """Standard input as a terminal, with what the user types."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "is_saved"), [("", False), ("yes\n", False), ("prod\n", True)])
def test_yes_is_not_enough_in_a_guarded_profile(
    typed: str, is_saved: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiles = tmp_path / "profiles.toml"
    profiles.write_text("[prod]\nconfirm = true\n")
    monkeypatch.setenv("ROTA_PROFILES_FILE", str(profiles))
    monkeypatch.setenv("ROTA_PROFILE", "prod")
    monkeypatch.setattr(origin, "_is_command", True)
    monkeypatch.setattr(served, "warnings_of", lambda *_: ["No live worker publishes a handler."])
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    assert served.confirmed(define("t"), None, yes=True) == is_saved
