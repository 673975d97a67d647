"""The event loop polls for the reply to a single request instead of sleeping."""

import asyncio
import selectors
from typing import Any

import pytest

from rota.broker import Broker, busy_poll
from tests.integration.broker.scripts import PUSH, call
from tests.servers.process import Server


class Sockets(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    """Notes how long each poll of the sockets may sleep."""

    def __init__(self) -> None:
        super().__init__()
        self.sleeps: list[float | None] = []

    def select(self, timeout: float | None = None) -> Any:
        self.sleeps.append(timeout)
        return super().select(timeout)


def test_a_loop_does_not_sleep_while_a_single_request_is_under_way(
    redis_server: Server, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(busy_poll, "perf_counter", lambda: 0.0)  # however long a busy server takes
    sockets = Sockets()

    async def act() -> list[float | None]:
        async with Broker.from_url(redis_server.url) as broker:
            await broker.run(call(PUSH, name, "0"))
            del sockets.sleeps[:]
            await broker.run(call(PUSH, name, "1"))
            return list(sockets.sleeps)

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(sockets)) as runner:
        sleeps = runner.run(act())
    assert sleeps
    assert set(sleeps) == {0}
