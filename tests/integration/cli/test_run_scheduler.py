"""The program of a scheduler, in the process of the test."""

import asyncio
import gc
from pathlib import Path

import pytest

from rota.app import Rota
from rota.cli.run_scheduler import until_stopped
from rota.scheduler.assembly import scheduler_of


async def test_what_the_start_has_made_is_kept_from_the_collector_once_the_scheduler_is_ready(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = asyncio.Event()
    monkeypatch.setattr(gc, "freeze", frozen.set)
    async with Rota(redis_url, settings={"store": f"sqlite:///{tmp_path}/rota.db"}) as app:
        broker = app.connect(app.settings)
        scheduler = scheduler_of(app, app.settings, broker)
        running = asyncio.create_task(until_stopped(scheduler))
        await frozen.wait()
        assert scheduler.ready.is_set()
        scheduler.stop()
        await running
        await broker.aclose()
