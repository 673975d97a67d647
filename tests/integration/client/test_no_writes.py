"""A server that is there and takes no writes for a while, as a producer sees it: wait, or fail at once."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta

import pytest
import redis

from rota.broker import Broker, BrokerOptions
from rota.broker.failure import NotNow, RetryBudget
from rota.client import Client, SyncClient
from rota.errors import BrokerUnavailable
from rota.tasks.policy import Debounce
from tests.conftest import redis62_binary
from tests.integration.client.conftest import plan
from tests.servers.process import Server, free_port, wait_until

PATIENT = BrokerOptions(retry_for=timedelta(seconds=30))
AT_ONCE = BrokerOptions(retry_for=timedelta(milliseconds=200))
PENDING = "asynq:{default}:pending"
Closing = Callable[[Server], AbstractContextManager[None]]


@contextlib.contextmanager
def configured(server: Server, name: str) -> Iterator[None]:
    """A setting that is off with 0, and with 1 is more than the server can meet."""
    with server.admin() as admin:
        admin.config_set(name, 1)
        try:
            yield
        finally:
            admin.config_set(name, 0)


def oom(server: Server) -> AbstractContextManager[None]:
    return configured(server, "maxmemory")


def noreplicas(server: Server) -> AbstractContextManager[None]:
    return configured(server, "min-replicas-to-write")


@contextlib.contextmanager
def misconf(server: Server) -> Iterator[None]:
    """A snapshot that cannot be written: a folder is in its place."""
    folder = server.folder / "dump.rdb"
    folder.mkdir()
    (folder / "full").touch()
    with server.admin() as admin:
        admin.config_set("save", "3600 1")
        admin.bgsave()
        wait_until(lambda: admin.info("persistence")["rdb_last_bgsave_status"] == "err")
        try:
            yield
        finally:
            admin.config_set("save", "")


@contextlib.contextmanager
def busy(server: Server) -> Iterator[None]:
    """A script of somebody that does not end."""

    def block() -> None:
        with server.admin(socket_timeout=None) as other, contextlib.suppress(redis.ResponseError):
            other.eval("while true do end", 0)

    with server.admin() as admin:
        admin.config_set("lua-time-limit", 1)
        blocking = threading.Thread(target=block)
        blocking.start()
        wait_until(lambda: _is_busy(admin))
        try:
            yield
        finally:
            admin.script_kill()
            blocking.join()


@contextlib.contextmanager
def demoted(server: Server) -> Iterator[None]:
    """A master that became a replica, and later is the master again."""
    with server.admin() as admin:
        admin.execute_command("REPLICAOF", "127.0.0.1", free_port())
        try:
            yield
        finally:
            admin.execute_command("REPLICAOF", "NO", "ONE")


def _is_busy(admin: redis.Redis) -> bool:
    try:
        return not admin.ping()
    except redis.exceptions.ResponseError as error:
        return "BUSY" in str(error) or "running a script" in str(error)


closed = pytest.mark.parametrize("close", [oom, noreplicas, misconf, busy, demoted])


@pytest.fixture(params=["redis", "redis62"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    # Redis 6.2 wraps the error of a command inside of a script, and its code with it.
    server = Server(redis62_binary() if request.param == "redis62" else "redis-server").start()
    yield server
    server.stop()


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once a request was refused and waits for its next turn."""
    refused = threading.Event()
    pause_after = RetryBudget.pause_after

    def spy(self: RetryBudget, error: NotNow) -> float:
        pause = pause_after(self, error)
        refused.set()
        return pause

    monkeypatch.setattr(RetryBudget, "pause_after", spy)
    return refused


@closed
async def test_waiting_sees_the_server_take_writes_again(
    server: Server, refused: threading.Event, close: Closing
) -> None:
    async with Broker.from_url(server.unix_url, options=PATIENT) as broker:
        client = Client(broker)
        await client.enqueue(plan(b"0"))
        with close(server):
            one = asyncio.create_task(client.enqueue(plan(b"1")))
            many = asyncio.create_task(client.enqueue_many([plan(b"2"), plan(b"3")]))
            assert await asyncio.to_thread(refused.wait, 20)
            assert not one.done()
        assert (await one).created
        assert all(job.created for job in await many)  # type: ignore[union-attr]
    assert _pending(server) == 4


@closed
def test_blocking_code_waits_too(server: Server, refused: threading.Event, close: Closing) -> None:
    with Broker.from_url(server.unix_url, options=PATIENT).sync() as broker:
        client = SyncClient(broker)
        client.enqueue(plan(b"0"))
        created: list[bool] = []
        waiting = threading.Thread(target=lambda: created.append(client.enqueue(plan(b"1")).created))
        with close(server):
            waiting.start()
            assert refused.wait(20)
            assert created == []
        waiting.join()
        assert created == [True]
    assert _pending(server) == 2


@closed
async def test_waiting_ends_after_the_time_for_it_with_nothing_carried_out(server: Server, close: Closing) -> None:
    kinds = [plan(), plan(delay="1h"), plan(unique="10m"), plan(group="g"), plan(debounce=Debounce("k", "1h"))]
    async with Broker.from_url(server.unix_url, options=AT_ONCE) as broker:
        client = Client(broker)
        with close(server):
            alone = await asyncio.gather(*map(client.enqueue, kinds), return_exceptions=True)
            together = [outcome async for outcome in client.enqueue_stream(kinds)]
    for error in (*alone, *together):
        assert isinstance(error, BrokerUnavailable)
        assert error.maybe_applied is False
    with server.admin() as admin:
        assert admin.dbsize() == 0


@closed
async def test_failing_does_not_wait(server: Server, refused: threading.Event, close: Closing) -> None:
    async with Broker.from_url(server.unix_url, options=PATIENT) as broker:
        client = Client(broker).sending(when_away="fail")
        await client.enqueue(plan())
        with close(server), pytest.raises(BrokerUnavailable):
            await client.enqueue(plan())
    assert not refused.is_set()


def _pending(server: Server) -> int:
    with server.admin() as admin:
        return admin.llen(PENDING)  # type: ignore[return-value]
