"""Large messages and results: no request and no reply is larger than the server and the event loop can bear."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rota.app import Rota
from rota.worker.finisher import MOST_BYTES
from tests.integration.worker.conftest import eventually
from tests.servers.process import Server

MEGABYTE = 1024 * 1024


@asynccontextmanager
async def a_server(**config: str) -> AsyncIterator[Server]:
    server = Server(config={name.replace("_", "-"): value for name, value in config.items()})
    await asyncio.to_thread(server.start)
    try:
        yield server
    finally:
        await asyncio.to_thread(server.stop)


@pytest.mark.parametrize(("limit", "count"), [("8mb 8mb 0", 40), ("2mb 2mb 0", 6)])
async def test_worker_runs_tasks_whose_messages_are_larger_together_than_the_output_buffer(
    limit: str, count: int
) -> None:
    done: list[int] = []
    async with a_server(client_output_buffer_limit=f"normal {limit}") as server:
        app = Rota(server.url, settings={"concurrency": 50})

        @app.task("large:message")
        async def message(number: int, text: str) -> None:
            done.append(number)

        for number in range(count):
            await message.enqueue(number, "x" * MEGABYTE)
        async with app.worker():
            await eventually(lambda: asyncio.sleep(0, len(done) == count))
        await app.aclose()
    assert sorted(done) == list(range(count))


async def test_worker_leaves_a_message_that_never_fits_to_its_lease_and_runs_the_others() -> None:
    done: list[str] = []
    async with a_server(client_output_buffer_limit="normal 1mb 1mb 0") as server:
        app = Rota(server.url, settings={"concurrency": 10})

        @app.task("large:never")
        async def never(name: str, text: str = "") -> None:
            done.append(name)

        await never.enqueue("huge", "x" * 2 * MEGABYTE)
        for number in range(20):
            await never.enqueue(str(number))
        async with app.worker():
            await eventually(lambda: asyncio.sleep(0, len(done) == 20), 60)
        await app.aclose()
    assert sorted(done) == sorted(map(str, range(20)))


async def test_results_are_recorded_in_requests_of_a_few_megabytes() -> None:
    async with a_server() as server:
        await end_at_once(server, count=20, size=2 * MEGABYTE)


async def end_at_once(server: Server, count: int, size: int) -> None:
    """Let tasks end at the same moment with large results, and wait until all are recorded."""
    app = Rota(server.url, settings={"concurrency": count, "result_limit_bytes": 2 * size})
    go_on = asyncio.Event()
    running: list[int] = []

    @app.task("large:result", retention="1h")
    async def result(number: int) -> str:
        running.append(number)
        await go_on.wait()
        return "x" * size

    for number in range(count):
        await result.enqueue(number)
    async with app.worker() as worker:
        await eventually(lambda: asyncio.sleep(0, len(running) == count))
        go_on.set()
        await eventually(lambda: asyncio.sleep(0, not worker.held()), 60)
        [lane] = worker.lanes
        assert lane.finisher.statistics.calls >= count * size // MOST_BYTES
    with server.admin() as admin:
        assert admin.zcard("asynq:{default}:completed") == count
    await app.aclose()
