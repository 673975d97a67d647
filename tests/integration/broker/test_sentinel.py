"""A fail-over, while requests keep coming."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

from rota.broker import Broker, BrokerOptions, SyncBroker
from rota.errors import BrokerRefused, BrokerUnavailable
from tests.conftest import STEADY_MS
from tests.integration.broker.scripts import PUSH, READ, call, written
from tests.servers.fleet import SentinelFleet

PATIENT = BrokerOptions(retry_for=timedelta(seconds=30), response_timeout=timedelta(seconds=2))


@pytest.fixture
def fleet() -> Iterator[SentinelFleet]:
    # A busy machine must not look like a dead master before the test says so.
    fleet = SentinelFleet(patience_ms=2000)
    yield fleet
    fleet.stop()


@pytest.fixture(scope="module")
def guarded() -> Iterator[SentinelFleet]:
    fleet = SentinelFleet(password="p*s#w@r/d", patience_ms=STEADY_MS)
    yield fleet
    fleet.stop()


@pytest.mark.slow
async def test_the_password_of_the_url_serves_the_master_and_the_sentinels(guarded: SentinelFleet) -> None:
    async with Broker.from_url(guarded.url) as broker:
        assert (await broker.check()).role == "master"
        with broker.sync() as sync:
            assert sync.check().role == "master"


@pytest.mark.slow
async def test_a_password_for_the_master_alone_can_be_given(guarded: SentinelFleet) -> None:
    bare = guarded.url.replace(f":{guarded.password}@", "")
    options = BrokerOptions(password=guarded.password, retry_for=timedelta(0))
    async with Broker.from_url(bare, options=options) as broker:
        assert (await broker.check()).role == "master"


async def test_an_unknown_master_name_is_refused(sentinel: SentinelFleet) -> None:
    async with Broker.from_url(sentinel.url.replace("mymaster", "other")) as broker:
        with pytest.raises(BrokerRefused, match=r"knows no master named 'other'; correct \?master="):
            await broker.execute("PING")


@pytest.mark.slow
async def test_one_dead_sentinel_is_passed_over(fleet: SentinelFleet) -> None:
    fleet.sentinels[0].kill()
    async with Broker.from_url(fleet.url, options=BrokerOptions(retry_for=timedelta(0))) as broker:
        assert await broker.execute("ECHO", "x") == b"x"
        with broker.sync() as sync:
            assert await asyncio.to_thread(sync.execute, "ECHO", "x") == b"x"


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["kill", "freeze"])
async def test_requests_go_on_at_the_new_master_after_a_failover(fleet: SentinelFleet, fault: str, name: str) -> None:
    old = fleet.master()
    async with Broker.from_url(fleet.url, options=PATIENT) as broker, broker.subscribe(name) as messages:
        await broker.run(call(PUSH, name, "before"))
        # The master acknowledges before its replica has it; wait, so that the test may ask for it afterwards.
        await broker.execute("WAIT", 1, 5000)
        with SyncBroker.from_url(fleet.url, options=PATIENT) as sync:
            await asyncio.to_thread(sync.execute, "PING")
            getattr(old, fault)()
            async with asyncio.timeout(40):
                while not await written(broker, name):
                    pass
            assert (await broker.run(call(READ, name)))[0] == b"before"
            assert await asyncio.to_thread(_until_read, sync, name) >= 2
        link = await broker.open_link(name)
        assert link.endpoint.port != old.port
        await link.aclose()
        async with asyncio.timeout(30):
            while not messages.reconnects or not await broker.execute("PUBLISH", name, "after"):
                await asyncio.sleep(0)
            assert await messages.get() == (name, b"after")


def _until_read(sync: SyncBroker, name: str) -> int:
    while True:
        try:
            return len(sync.run(call(READ, name)))
        except BrokerUnavailable as error:
            if not error.maybe_applied:
                raise


@pytest.mark.slow
async def test_a_master_that_becomes_a_replica_is_left(fleet: SentinelFleet, name: str) -> None:
    async with Broker.from_url(fleet.url, options=PATIENT) as broker:
        link = await broker.open_link(name)
        await broker.run(call(PUSH, name, "a"))
        old = fleet.master()
        with fleet.sentinels[0].admin() as admin:
            admin.execute_command("SENTINEL", "FAILOVER", "mymaster")
        async with asyncio.timeout(30):
            while not link.closed:
                # A link of one's own does not repeat: it closes itself once its server is a replica.
                try:
                    await link.run(call(PUSH, name, "a"))
                except BrokerUnavailable:
                    break
        await _until_settled(broker, name, old.port)
        await link.aclose()


async def _until_settled(broker: Broker, name: str, old_port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            if not await written(broker, name):
                continue
            link = await broker.open_link(name)
            port = link.endpoint.port
            await link.aclose()
            if port != old_port:
                return
