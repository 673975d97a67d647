"""A broker that goes away and comes back, as a producer sees it: wait, or fail at once."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest

from rota.broker import Broker, BrokerOptions, SyncBroker, sync
from rota.broker.sync_link import SyncLink
from rota.client import Client, SyncClient
from rota.errors import BrokerUnavailable, ResultTimeout
from tests.integration.client.conftest import plan
from tests.servers.overseen import Overseen
from tests.servers.process import Server, wait_until

SHORT = BrokerOptions(retry_for=timedelta(milliseconds=200), response_timeout=timedelta(seconds=5))


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that keeps its data over a kill."""
    server = Server(config={"appendonly": "yes", "appendfsync": "always"}).start()
    yield server
    server.stop()


@pytest.fixture
async def broker(server: Server) -> AsyncIterator[Overseen]:
    async with Overseen.from_url(server.unix_url, options=SHORT) as broker:
        yield broker


@pytest.fixture
async def client(broker: Broker) -> AsyncIterator[Client]:
    client = Client(broker)
    await client.enqueue(plan(queue="warm"))
    yield client
    await client.aclose()


async def test_waiting_ends_after_the_time_for_it(client: Client, server: Server) -> None:
    server.kill()
    started = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        await client.enqueue(plan())
    assert time.monotonic() - started < 10


async def test_waiting_sees_the_broker_return(server: Server) -> None:
    patient = BrokerOptions(retry_for=timedelta(seconds=20))
    async with Broker.from_url(server.unix_url, options=patient) as broker:
        client = Client(broker)
        await client.enqueue(plan())
        server.kill()
        job = asyncio.create_task(client.enqueue(plan()))
        await asyncio.sleep(0)
        await asyncio.to_thread(server.start)
        assert (await job).created


async def test_failing_does_not_wait_at_all(server: Server) -> None:
    patient = BrokerOptions(retry_for=timedelta(seconds=20))
    async with Broker.from_url(server.unix_url, options=patient) as broker:
        client = Client(broker).sending(when_away="fail")
        await client.enqueue(plan())
        server.kill()
        started = time.monotonic()
        for _ in range(5):
            with pytest.raises(BrokerUnavailable):
                await client.enqueue(plan())
        assert time.monotonic() - started < 10  # each would be tried for 20 s
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(30):
            while True:
                try:
                    await client.enqueue(plan())
                    break
                except BrokerUnavailable:
                    await asyncio.sleep(0)


async def test_a_call_whose_wait_is_broken_off_says_that_its_task_is_enqueued(
    client: Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the caller would call again, and the task would run twice."""
    enqueue, jobs = client._enqueue_within, []

    async def enqueue_and_kill(*some: Any) -> Any:
        jobs.append(await enqueue(*some))
        server.kill()
        return jobs[0]

    monkeypatch.setattr(client, "_enqueue_within", enqueue_and_kill)
    with pytest.raises(BrokerUnavailable, match=r"is enqueued, but the wait .* Do not enqueue it again") as caught:
        await client.call(plan())
    assert (caught.value.maybe_applied, caught.value.task_id) == (True, jobs[0].id)


def test_a_call_of_blocking_code_whose_wait_is_broken_off_says_so_too(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Broker.from_url(server.unix_url, options=SHORT).sync() as broker:
        client = SyncClient(broker)
        enqueue, jobs = client._enqueue_within, []

        async def enqueue_and_kill(*some: Any) -> Any:
            jobs.append(await enqueue(*some))
            server.kill()
            return jobs[0]

        monkeypatch.setattr(client, "_enqueue_within", enqueue_and_kill)
        with pytest.raises(BrokerUnavailable, match="Do not enqueue it again") as caught:
            client.call(plan(), "20s")
        assert (caught.value.maybe_applied, caught.value.task_id) == (True, jobs[0].id)


def test_a_blocking_enqueue_at_a_server_that_hangs_connects_again_for_no_longer_than_retries_are_allowed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[SyncLink] = []
    hasty = BrokerOptions(
        connect_timeout=timedelta(seconds=1),
        response_timeout=timedelta(seconds=1),
        retry_for=timedelta(milliseconds=900),
    )

    class Counted(SyncLink):
        def __init__(self, *words: Any) -> None:
            opened.append(self)
            super().__init__(*words)

    monkeypatch.setattr(sync, "SyncLink", Counted)
    with SyncBroker.from_url(server.unix_url, options=hasty) as broker:
        client = SyncClient(broker)
        client.enqueue(plan())
        server.freeze()
        with pytest.raises(BrokerUnavailable) as caught:
            client.enqueue(plan())

    assert caught.value.maybe_applied
    assert len(opened) == 2  # the lost answer, and one more connection, whose opening took longer than `retry_for`


def test_a_large_request_of_blocking_code_has_its_whole_time_after_one_that_had_little(server: Server) -> None:
    with SyncBroker.from_url(server.unix_url) as broker:
        broker.execute("PING")
        broker.until(time.monotonic() + 0.2).execute("PING")  # such as the last look of a wait, on the same connection
        server.freeze()
        again = threading.Timer(1, server.thaw)
        again.start()
        assert broker.execute("SET", "large", bytes(8 * 2**20)) == b"OK"
        again.join()


def test_blocking_code_fails_at_once_where_asked(server: Server) -> None:
    patient = BrokerOptions(retry_for=timedelta(seconds=20))
    with Broker.from_url(server.unix_url, options=patient).sync() as broker:
        client = SyncClient(broker).sending(when_away="fail")
        server.kill()
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            client.enqueue(plan())
        assert time.monotonic() - started < 10  # it would be tried for 20 s


@pytest.mark.parametrize("first", ["subscribed", "frozen"])
@pytest.mark.parametrize("blocking", [False, True])
def test_wait_for_a_result_ends_in_time_when_the_server_hangs(server: Server, blocking: bool, first: str) -> None:
    patient = BrokerOptions(connect_timeout=timedelta(seconds=60), response_timeout=timedelta(seconds=60))

    def freeze() -> None:
        with server.client() as client:
            wait_until(client.pubsub_channels if first == "subscribed" else lambda: True)
        server.freeze()

    def wait_blocking() -> None:
        with SyncBroker.from_url(server.unix_url, options=patient) as broker:
            job = SyncClient(broker).enqueue(plan(retention="1h"))
            freezing.start() if first == "subscribed" else freeze()
            job.result(timeout="2s")

    async def wait() -> None:
        async with Broker.from_url(server.unix_url, options=patient) as broker:
            job = await Client(broker).enqueue(plan(retention="1h"))
            freezing.start() if first == "subscribed" else freeze()
            await job.result(timeout="2s")

    freezing, started = threading.Thread(target=freeze), time.monotonic()
    with pytest.raises(ResultTimeout, match="its state is not known, because the broker does not answer"):
        wait_blocking() if blocking else asyncio.run(wait())
    assert time.monotonic() - started < 40  # an answer would be awaited for 60 s, and then once more


async def test_closing_does_not_wait_for_a_server_that_hangs(server: Server) -> None:
    slow = BrokerOptions(retry_for=timedelta(seconds=60), response_timeout=timedelta(seconds=60))
    client = Client(Broker.from_url(server.unix_url, options=slow))
    await client.enqueue(plan())
    server.freeze()
    try:
        waiting = asyncio.create_task(client.enqueue(plan()))
        await asyncio.sleep(0)
        async with asyncio.timeout(30):
            await client.aclose()
            with pytest.raises(BrokerUnavailable) as caught:
                await waiting
    finally:
        server.thaw()
    assert caught.value.maybe_applied
