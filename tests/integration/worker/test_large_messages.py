"""Large messages and results: no request and no reply is larger than the server and the event loop can bear."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rota.app import Rota
from rota.broker import Broker
from rota.inspect import Inspector
from rota.wire.fetch import fetch, lost_sizes
from rota.worker.consume.lost_fetches import Oversized
from rota.worker.run.finisher import MOST_BYTES
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


async def test_message_that_never_fits_is_set_aside_and_runs_once_the_limit_is_raised(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done: list[str] = []
    caplog.set_level("ERROR")
    async with a_server(client_output_buffer_limit="normal 2mb 2mb 0") as server:
        app = Rota(without_config(server), settings={"concurrency": 10})

        @app.task("large:never")
        async def never(name: str, text: str = "") -> None:
            done.append(name)

        huge = [await never.enqueue(f"huge {number}", "x" * 3 * MEGABYTE) for number in range(3)]
        for number in range(20):
            await never.enqueue(str(number))
        with server.admin() as admin:
            broker, key = Broker.from_url(app.settings.broker.url), "asynq:{default}:"
            async with broker, app.worker():
                await eventually(lambda: asyncio.sleep(0, admin.zcard(f"{key}archived") == 3 and len(done) == 20), 60)
                # A task is done before its end is recorded.
                await eventually(
                    lambda: asyncio.sleep(0, admin.llen(f"{key}active") == admin.zcard(f"{key}lease") == 0)
                )
                assert admin.get(f"{key}failed") == "3"
                admin.config_set("client-output-buffer-limit", "normal 8mb 8mb 0")
                for job in huge:
                    task = await Inspector(broker).task("default", job.id)
                    assert task.end == "quarantined"
                    assert "has 3.0 MB" in task.last_error
                    assert "client-output-buffer-limit" in task.last_error
                    await job.run_now()
                await eventually(lambda: asyncio.sleep(0, len(done) == 23))
        await app.aclose()
    assert sorted(done) == sorted([*map(str, range(20)), "huge 0", "huge 1", "huge 2"])
    assert "when their leases expire" not in caplog.text


async def test_large_task_is_not_archived_because_replies_were_lost_on_the_way() -> None:
    async with a_server() as server:
        app = Rota(server.url)
        app.task("large:fits")(fits)
        await app.enqueue("large:fits", {"text": "x" * MEGABYTE})
        async with Broker.from_url(server.url) as broker:
            queue = broker.keys.queue("default")
            await broker.run(fetch([(queue, 1)], token="lost", wanted=1, lease_seconds=30))
            assert min((await broker.run(lost_sizes(queue, "lost"))).values()) > MEGABYTE
            assert await Oversized(broker).set_aside(queue, "lost", broker.run, unexplained=True) == 0
            assert len(await broker.run(lost_sizes(queue, "lost"))) == 1
        await app.aclose()


async def fits(text: str) -> None: ...


def without_config(server: Server) -> str:
    """Make a user without the right to CONFIG, as most services give out; return its URL."""
    with server.admin() as admin:
        admin.execute_command("ACL", "SETUSER", "limited", "on", ">secret", "~*", "&*", "+@all", "-config")
    return server.url.replace("redis://", "redis://limited:secret@")


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
        [consumer] = worker.consumers
        assert consumer.finisher.statistics.calls >= count * size // MOST_BYTES
    with server.admin() as admin:
        assert admin.zcard("asynq:{default}:completed") == count
    await app.aclose()
