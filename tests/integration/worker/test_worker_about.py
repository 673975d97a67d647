"""A worker tells its version, its memory and by what its loop is blocked, in its record of its own."""

import platform
from datetime import timedelta

from rota.app import Rota
from rota.core.this_process import rota_version
from rota.inspect import ServerSnapshot
from rota.wire.worker_about import WorkerAbout
from tests.integration.worker.conftest import Bench, eventually
from tests.servers import clients
from tests.servers.process import wait_until


async def only_server(bench: Bench) -> ServerSnapshot:
    async def look() -> list[ServerSnapshot]:
        return await bench.inspector.servers()

    found = await eventually(look)
    assert isinstance(found, list)
    return found[0]


async def test_a_worker_tells_its_version_and_its_memory(app: Rota, bench: Bench) -> None:
    async with app.worker():
        server = await only_server(bench)
        assert (server.version, server.python_version) == (rota_version(), platform.python_version())
        assert server.memory_bytes is not None
        assert 10_000_000 < server.memory_bytes < 10_000_000_000
        assert (server.blocked_by, server.blocked_for) == ("", timedelta(0))
        assert server.concurrency == 5
    assert await bench.inspector.servers() == []


async def test_a_worker_tells_what_blocks_its_loop_while_it_is_blocked_and_for_how_long_it_was(
    app: Rota, bench: Bench
) -> None:
    seen: list[WorkerAbout] = []

    @app.task("about:block", retention="1h")
    async def block() -> None:
        with clients.client(app.settings.broker.url) as redis:

            def is_told() -> bool:
                seen.append(WorkerAbout.from_json(redis.get(key)))
                return bool(seen[-1].blocked_by)

            wait_until(is_told, 30)

    async with app.worker(blocked_after="100ms") as worker:
        key = app_key(worker.host, worker.pid, worker.server_id)
        job = await block.options(task_id="culprit").enqueue()
        await job.result("60s")

        async def is_over() -> bool:
            server = await only_server(bench)
            return server.blocked_by == "" and (server.last_blocked_for or timedelta(0)) >= timedelta(seconds=0.1)

        await eventually(is_over)
    assert seen[-1].blocked_by == "task culprit (about:block) in queue default"
    assert (seen[-1].blocked_seconds or 0) >= 0.1


def app_key(host: str, pid: int, server_id: str) -> str:
    return f"rota:about:{{{host}:{pid}:{server_id}}}"
