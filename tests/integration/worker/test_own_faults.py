"""A fault of ours must be seen: a worker that does nothing must not look alive."""

import asyncio

import pytest

from rota.app import Rota
from rota.worker.fetcher import Fetcher
from rota.worker.finisher import Finisher
from rota.worker.worker import Worker


@pytest.mark.parametrize("part", [Fetcher, Finisher])
async def test_a_lane_that_ends_by_a_fault_ends_the_worker(
    app: Rota, part: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(self: object) -> None:
        raise ArithmeticError("ours")

    monkeypatch.setattr(part, "run", broken)
    async with asyncio.timeout(10):
        with pytest.raises(ExceptionGroup) as caught:
            await Worker(app, app.settings).run()
    assert caught.group_contains(ArithmeticError, match="ours")
