"""An app on a fresh database, a worker for it, and ways to wait for what a test expects."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from rota.app import Rota
from rota.client.connections import broker_options
from rota.inspect import Inspector, TaskSnapshot
from tests.servers.overseen import Overseen
from tests.servers.roles import as_role


async def eventually(condition: Callable[[], Awaitable[object]], seconds: float = 30) -> object:
    """Ask until the answer is true; return it."""
    async with asyncio.timeout(seconds):
        while not (answer := await condition()):
            await asyncio.sleep(0.005)
        return answer


class Bench:
    """What most tests of a worker need in one place."""

    def __init__(self, app: Rota) -> None:
        self.app = app
        self.broker = Overseen.from_url(
            as_role(app.settings.broker.url, "inspector"), options=broker_options(app.settings.broker)
        )
        self.inspector = Inspector(self.broker)

    async def task(self, task_id: str, queue: str = "default") -> TaskSnapshot | None:
        from rota.errors import TaskNotFound

        try:
            return await self.inspector.task(queue, task_id)
        except TaskNotFound:
            return None

    async def in_state(self, task_id: str, *states: str, queue: str = "default") -> TaskSnapshot:
        """Wait until the task is in one of these states."""

        async def look() -> TaskSnapshot | None:
            found = await self.task(task_id, queue)
            return found if found is not None and str(found.state) in states else None

        answer = await eventually(look)
        assert isinstance(answer, TaskSnapshot)
        return answer

    async def gone(self, task_id: str, queue: str = "default") -> None:
        """Wait until the task has left no trace."""

        async def look() -> bool:
            return await self.task(task_id, queue) is None

        await eventually(look)

    async def execute(self, *words: str | int | float) -> object:
        return await self.broker.admin.execute(*words)


@pytest.fixture
async def app(redis_url: str) -> AsyncIterator[Rota]:
    app = Rota(redis_url, settings={"heartbeat": "500ms", "shutdown_timeout": "5s", "concurrency": 5})
    yield app
    await app.aclose()


@pytest.fixture
async def bench(app: Rota) -> AsyncIterator[Bench]:
    bench = Bench(app)
    yield bench
    await bench.broker.aclose()
