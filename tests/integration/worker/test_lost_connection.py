"""An idle worker whose fetch connection goes away: it connects again by itself, before there is a task."""

import asyncio
import logging
import socket
import time
from collections.abc import Iterator

import pytest

from rota.app import Rota
from rota.broker import Broker
from rota.broker.link import Link
from rota.worker.consume.fetcher import Fetcher
from rota.worker.worker import Worker
from tests.crash.proxy import Proxy, drop_arriving
from tests.integration.worker.conftest import Bench, eventually
from tests.servers.fleet import SentinelFleet
from tests.servers.process import Server

PROBES = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of our own: every connection to it is closed."""
    server = Server().start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(server: Server) -> str:
    return server.url


def the_fetcher(worker: Worker) -> Fetcher:
    [consumer] = worker.consumers
    return consumer.fetcher


async def listens(worker: Worker, *, other_than: object = None) -> Link:
    """Wait until the worker has nothing to do and listens on a connection that is open; return it."""

    async def look() -> Link | None:
        fetcher = the_fetcher(worker)
        link = fetcher.link
        ready = link is not None and not link.closed and fetcher.statistics.waiting
        return link if ready and link is not other_than else None

    found = await eventually(look)
    assert isinstance(found, Link)
    return found


@pytest.mark.parametrize("kind", ["normal", "everything"])
async def test_idle_worker_connects_again_when_its_fetch_connection_is_killed(
    app: Rota, bench: Bench, kind: str
) -> None:
    async with app.worker(slow_poll="1h") as worker:
        for _ in range(3):
            before = await listens(worker)
            if kind == "everything":
                await bench.execute("CLIENT", "KILL", "TYPE", "pubsub")
            await bench.execute("CLIENT", "KILL", "TYPE", "normal")
            await listens(worker, other_than=before)
        assert the_fetcher(worker).statistics.reconnects == 3


async def test_idle_worker_connects_again_when_the_server_restarts(app: Rota, server: Server) -> None:
    async with app.worker(slow_poll="1h") as worker:
        before = await listens(worker)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        await listens(worker, other_than=before)


async def test_idle_worker_connects_again_when_the_server_closes_idle_connections(app: Rota, server: Server) -> None:
    async with app.worker(slow_poll="1h") as worker:
        before = await listens(worker)
        with server.admin() as admin:
            admin.config_set("timeout", 1)
        await listens(worker, other_than=before)


async def test_full_worker_connects_again_when_its_fetch_connection_is_killed(app: Rota, bench: Bench) -> None:
    go_on = asyncio.Event()
    running: list[int] = []

    @app.task("lost:long")
    async def long(number: int) -> None:
        running.append(number)
        await go_on.wait()

    async with app.worker(slow_poll="1h", concurrency=2) as worker:
        for number in range(2):
            await long.enqueue(number)
        await eventually(lambda: asyncio.sleep(0, len(running) == 2))
        await eventually(lambda: asyncio.sleep(0, not the_fetcher(worker)._wakeup.armed))  # type: ignore[union-attr]
        before = the_fetcher(worker).link
        await bench.execute("CLIENT", "KILL", "TYPE", "normal")

        async def connected() -> bool:
            link = the_fetcher(worker).link
            return link is not None and link is not before and not link.closed

        await eventually(connected)
        go_on.set()


async def test_idle_worker_notices_a_half_open_connection_without_a_task(server: Server) -> None:
    proxy = Proxy(server.port)
    app = Rota(proxy.url, settings={"response_timeout": "200ms", "slow_poll": "1h"})
    try:
        async with app.worker() as worker:
            before = await listens(worker)
            with proxy.swallowing():
                await eventually(lambda: asyncio.sleep(0, the_fetcher(worker).link is not before))
            await listens(worker, other_than=before)
    finally:
        await app.aclose()
        await asyncio.to_thread(proxy.close)


async def test_kernel_probes_connections_so_that_a_dead_one_is_closed_after_10_seconds(server: Server) -> None:
    async with Broker.from_url(server.url) as broker:
        link = await broker.open_link("key")
        blocking = broker.sync()
        await asyncio.to_thread(blocking.execute, "PING")
        [pool] = blocking._pools.values()
        for connection in (link._transport.get_extra_info("socket"), pool._idle[0]._socket):  # type: ignore[union-attr]
            idle, interval, count = (connection.getsockopt(socket.IPPROTO_TCP, name) for name in PROBES)  # type: ignore[union-attr]
            assert idle + interval * count == 10
        await link.aclose()
        blocking.close()


@pytest.mark.slow
async def test_idle_worker_notices_dropped_packets_by_the_probes_of_the_kernel(server: Server) -> None:
    proxy = Proxy(server.port)
    app = Rota(proxy.url, settings={"slow_poll": "1h"})
    try:
        async with app.worker() as worker:
            before = await listens(worker)
            drop_arriving(before._transport.get_extra_info("socket"))  # type: ignore[union-attr]
            proxy.drop_packets()
            await listens(worker, other_than=before)
            assert "timed out" in str(before.reason)
            assert the_fetcher(worker).statistics.reconnects == 1
    finally:
        await app.aclose()
        await asyncio.to_thread(proxy.close)


async def test_worker_backs_off_when_each_new_connection_is_closed_at_once(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rota.worker")
    proxy = Proxy(server.port)
    app = Rota(proxy.url, settings={"slow_poll": "1h", "retry_for": "0s"})
    try:
        async with app.worker() as worker:
            before = await listens(worker)
            until = time.monotonic() + 2
            while time.monotonic() < until:
                proxy.cut()
                await asyncio.sleep(0.005)
            assert 1 <= the_fetcher(worker).statistics.reconnects <= 12, "at most a few, each later than the last"
            await listens(worker, other_than=before)
    finally:
        await app.aclose()
        await asyncio.to_thread(proxy.close)
    said = [each for each in caplog.messages if each.startswith(("Fetching", "Listening for tasks"))]
    assert len(said) == 1


@pytest.mark.slow
async def test_worker_leaves_the_old_master_after_a_failover_by_sentinel() -> None:
    fleet = await asyncio.to_thread(SentinelFleet, patience_ms=2000)
    app = Rota(fleet.url, settings={"slow_poll": "1h", "response_timeout": "2s", "retry_for": "20s"})

    @app.task("lost:failover", retention="10m")
    async def task() -> int:
        return 1

    try:
        async with app.worker() as worker:
            await listens(worker)
            [before] = worker.consumers
            await asyncio.to_thread(fleet.master().kill_replicated)
            await eventually(lambda: asyncio.sleep(0, before not in list(worker.consumers)), 60)
            await eventually(lambda: asyncio.sleep(0, before.finishing.done() and before.fetcher.link is None), 60)
            await listens(worker)
            assert await (await task.enqueue()).result("30s") == 1
    finally:
        await app.aclose()
        await asyncio.to_thread(fleet.stop)


async def test_idle_worker_turns_tracking_on_again_when_it_was_turned_off(server: Server) -> None:
    app = Rota(server.url, settings={"response_timeout": "200ms", "slow_poll": "1h"})
    started = asyncio.Event()

    @app.task("lost:tracking")
    async def task() -> None:
        started.set()

    async with app.worker(sweep_interval="1h") as worker:
        await listens(worker)
        link = the_fetcher(worker).link
        assert link is not None
        await link.execute("CLIENT", "TRACKING", "OFF")
        await task.enqueue()
        await asyncio.wait_for(started.wait(), 30)
        assert the_fetcher(worker).link is link
    await app.aclose()
