"""The reloader of `rota dev` at moments that a terminal seldom meets."""

import asyncio
import os
import signal
from typing import Any

import pytest
from rich.console import Console

from rota.cli.reload import Reloader


async def test_ctrl_c_while_a_worker_is_being_started_ends_that_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    reloader = Reloader(["sleep", "600"], {**os.environ}, Console(stderr=True))
    create, workers = asyncio.create_subprocess_exec, list[asyncio.subprocess.Process]()

    async def interrupted(*words: str, **options: Any) -> asyncio.subprocess.Process:
        workers.append(await create(*words, **options))
        reloader._stop(signal.SIGINT)  # as the loop calls it, which knows of no worker yet
        return workers[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", interrupted)
    try:
        async with asyncio.timeout(30):
            assert await reloader._run(None) == 0
    finally:
        for worker in workers:
            if worker.returncode is None:
                worker.kill()
                await worker.wait()
