"""Connections that break: what is repeated, what is not, and that everything comes back."""

import asyncio
import itertools
import time
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace

import pytest
import uvloop

from rota.broker import Broker, BrokerOptions, Link, SyncBroker
from rota.errors import BrokerUnavailable
from tests.integration.broker.conftest import Way
from tests.integration.broker.scripts import PUSH, READ, call
from tests.servers.fake import HELLO, fake_server
from tests.servers.process import Server, wait_until

AT_ONCE = BrokerOptions(retry_for=timedelta(0))
PATIENT = BrokerOptions(retry_for=timedelta(seconds=20))


async def until_waiting(link: Link) -> None:
    async with asyncio.timeout(20):
        while not link.pending:
            await asyncio.sleep(0)


async def until_noticed(broker: Broker) -> None:
    """Ask until the broker knows that its server is gone: from then on nothing is sent."""
    async with asyncio.timeout(20):
        while True:
            try:
                async with asyncio.timeout(0.05):
                    await broker.execute("PING")
            except BrokerUnavailable:
                continue
            except TimeoutError:
                return


async def answered(broker: Broker) -> None:
    """Ask until there is an answer in the short time for it."""
    async with asyncio.timeout(20):
        while True:
            try:
                await broker.execute("PING")
            except BrokerUnavailable:
                await asyncio.sleep(0)
            else:
                return


async def test_a_request_under_way_may_have_been_carried_out(own_server: Server) -> None:
    async with Broker.from_url(own_server.url) as broker:
        link = await broker.open_link("q")
        blocked = asyncio.create_task(link.execute("BLPOP", "none", 0, timeout_seconds=60))
        await until_waiting(link)
        own_server.kill()
        with pytest.raises(BrokerUnavailable, match="may have been carried out") as caught:
            await blocked
        assert caught.value.maybe_applied is True
        assert link.closed
        with pytest.raises(BrokerUnavailable, match="was not sent") as caught:
            await link.execute("PING")
        assert caught.value.maybe_applied is False


async def test_link_that_finishes_waits_for_its_replies_and_refuses_further_requests(redis_url: str) -> None:
    async with Broker.from_url(redis_url) as broker:
        link = await broker.open_link("q")
        asked = asyncio.create_task(link.execute("PING", "hello"))
        await until_waiting(link)
        finishing = asyncio.create_task(link.finish(20))
        assert await asked == b"hello"
        await finishing
        with pytest.raises(BrokerUnavailable, match="was not sent"):
            await link.execute("PING")


async def test_link_that_finishes_is_closed_if_no_reply_comes_in_time(own_server: Server) -> None:
    async with Broker.from_url(own_server.url) as broker:
        link = await broker.open_link("q")
        blocked = asyncio.create_task(link.execute("BLPOP", "none", 0, timeout_seconds=60))
        await until_waiting(link)
        await link.finish(0.05)
        with pytest.raises(BrokerUnavailable, match="may have been carried out"):
            await blocked


async def test_without_retries_a_server_that_is_gone_fails_at_once(own_server: Server) -> None:
    async with Broker.from_url(own_server.url, options=AT_ONCE) as broker:
        await broker.execute("PING")
        own_server.kill()
        for _ in range(50):
            with pytest.raises(BrokerUnavailable):
                await broker.execute("PING")
        results = await broker.run_many([call(READ, f"q{i}") for i in range(100)])
        assert all(isinstance(result, BrokerUnavailable) for result in results)


async def test_requests_outlast_a_restart_of_the_server(own_server: Server, name: str) -> None:
    async with Broker.from_url(own_server.url, options=PATIENT) as broker:
        await broker.execute("PING")
        own_server.kill()
        await until_noticed(broker)
        waiting = [asyncio.create_task(broker.run(call(PUSH, name, i))) for i in range(20)]
        many = asyncio.create_task(broker.run_many([call(PUSH, name, i) for i in range(20)]))
        await asyncio.to_thread(own_server.start)
        await asyncio.gather(*waiting)
        assert not any(isinstance(result, Exception) for result in await many)
        assert len(await broker.run(call(READ, name))) == 40


async def test_a_server_that_stopped_answering_is_left_after_the_response_timeout(own_server: Server) -> None:
    options = BrokerOptions(response_timeout=timedelta(milliseconds=200), retry_for=timedelta(0))
    async with Broker.from_url(own_server.url, options=options) as broker:
        await answered(broker)
        own_server.freeze()
        async with asyncio.timeout(20):
            with pytest.raises(BrokerUnavailable, match=r"no answer for 0\.2 s") as caught:
                await broker.execute("PING")
        assert caught.value.maybe_applied is True
        own_server.thaw()
        await answered(broker)


async def test_a_command_that_blocks_by_nature_may_take_its_time(own_server: Server) -> None:
    options = BrokerOptions(response_timeout=timedelta(milliseconds=100))
    async with Broker.from_url(own_server.url, options=options) as broker:
        link = await broker.open_link("q")
        assert await link.execute("BLPOP", "none", 0.4, timeout_seconds=10) is None
        assert not link.closed
        await link.aclose()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_blocked_event_loop_is_not_taken_for_a_silent_server(
    own_server: Server, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def ask() -> bytes:
        options = BrokerOptions(response_timeout=timedelta(seconds=1), retry_for=timedelta(0))
        async with Broker.from_url(own_server.url, options=options) as broker:
            link = await broker.open_link("q")
            request = asyncio.create_task(link.execute("ECHO", "x"))
            await asyncio.sleep(0)
            time.sleep(1.5)  # a handler that blocks the loop
            reply: bytes = await request
            await link.aclose()
            return reply

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(ask()) == b"x"


async def test_callers_share_one_attempt_to_connect(own_server: Server) -> None:
    async with Broker.from_url(own_server.url) as broker:
        await asyncio.gather(*(broker.execute("PING") for _ in range(100)))
        with own_server.admin() as admin:
            assert len([each for each in admin.client_list() if each["name"] == "rota"]) == 1


async def test_passing_states_are_waited_out() -> None:
    states = iter([b"-LOADING loading\r\n", b"-READONLY replica\r\n", b"-CLUSTERDOWN down\r\n", b"+OK\r\n"])
    fake = fake_server(lambda words: HELLO if words[0] == b"HELLO" else next(states))
    async with fake as url, Broker.from_url(url) as broker:
        assert await broker.execute("SET", "a", "b") == b"OK"


async def test_a_passing_state_that_stays_is_told_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0
    # By this clock each answer takes 50 ms, however busy the machine is.
    monkeypatch.setattr("rota.broker.failure.time", SimpleNamespace(monotonic=lambda: 0.05 * asked))

    def answer(words: list[bytes]) -> bytes:
        nonlocal asked
        if words[0] == b"HELLO":
            return HELLO
        asked += 1
        return b"-LOADING\r\n"

    options = BrokerOptions(retry_for=timedelta(milliseconds=300))
    async with fake_server(answer) as url, Broker.from_url(url, options=options) as broker:
        with pytest.raises(BrokerUnavailable, match="still loads its data") as caught:
            await broker.execute("SET", "a", "b")
        assert caught.value.maybe_applied is False
    assert 2 < asked <= 6


async def test_a_write_whose_reply_is_lost_is_not_repeated() -> None:
    asked = itertools.count()

    def answer(words: list[bytes]) -> bytes | None:
        if words[0] == b"HELLO":
            return HELLO
        next(asked)
        return None

    async with fake_server(answer) as url, Broker.from_url(url) as broker:
        with pytest.raises(BrokerUnavailable) as caught:
            await broker.run(call(PUSH, "q", 1))
        assert caught.value.maybe_applied is True
        with broker.sync() as sync, pytest.raises(BrokerUnavailable) as caught:
            await asyncio.to_thread(sync.run, call(PUSH, "q", 1))
        assert caught.value.maybe_applied is True
    assert next(asked) == 2


async def test_a_subscription_comes_back_and_counts(own_server: Server) -> None:
    async with Broker.from_url(own_server.url, options=PATIENT) as broker, broker.subscribe("a", "b") as messages:
        own_server.kill()
        await asyncio.to_thread(own_server.start)
        async with asyncio.timeout(20):
            while await broker.execute("PUBLISH", "a", "again") == 0:
                await asyncio.sleep(0)
            assert await messages.get() == ("a", b"again")
            while not messages.reconnects:
                await asyncio.sleep(0)


async def test_a_subscription_notices_a_server_that_stopped_answering(own_server: Server) -> None:
    options = BrokerOptions(response_timeout=timedelta(milliseconds=100), retry_for=timedelta(seconds=20))
    async with Broker.from_url(own_server.url, options=options) as broker, broker.subscribe("a") as messages:
        own_server.freeze()
        async with asyncio.timeout(20):
            while len(asyncio.all_tasks()) < 2:  # the revival has begun
                await asyncio.sleep(0)
            own_server.thaw()
            while not messages.reconnects:
                await asyncio.sleep(0)
            # So short a time for a reply may be over again, and with it the subscription that was to hear it.
            heard = asyncio.create_task(messages.get())
            with own_server.admin() as admin:
                while not heard.done():
                    admin.publish("a", "back")
                    await asyncio.wait([heard], timeout=0.1)
            assert await heard == ("a", b"back")


async def test_a_subscription_that_cannot_be_made_leaves_nothing_behind(own_server: Server) -> None:
    own_server.kill()
    async with Broker.from_url(own_server.url, options=AT_ONCE) as broker:
        with pytest.raises(BrokerUnavailable):
            async with broker.subscribe("a"):
                pass


def test_the_sync_broker_outlasts_a_restart(own_server: Server, name: str) -> None:
    with SyncBroker.from_url(own_server.url, options=PATIENT) as broker:
        broker.run(call(PUSH, name, 1))
        own_server.kill()
        own_server.start()
        assert broker.run(call(PUSH, name, 1)) == 1
        assert broker.run_many([call(PUSH, name, 1)] * 3) == [2, 3, 4]


def test_the_sync_broker_leaves_a_server_that_stopped_answering(own_server: Server) -> None:
    options = BrokerOptions(response_timeout=timedelta(milliseconds=200), retry_for=timedelta(0))
    with SyncBroker.from_url(own_server.url, options=options) as broker:
        wait_until(lambda: _answers(broker))
        own_server.freeze()
        with pytest.raises(BrokerUnavailable, match=r"no answer for 0\.2 s") as caught:
            broker.execute("PING")
        assert caught.value.maybe_applied is True
        own_server.thaw()
        wait_until(lambda: _answers(broker))


def _answers(broker: SyncBroker) -> bool:
    try:
        return bool(broker.execute("PING"))
    except BrokerUnavailable:
        return False


async def test_a_closed_broker_says_so(way: Way) -> None:
    broker = Broker.from_url(way.url, options=way.options)
    await broker.execute("PING")
    await broker.aclose()
    for _ in range(20):  # in a Cluster each may go to another node
        with pytest.raises(BrokerUnavailable, match="connections of this client were closed"):
            await broker.execute("PING")


async def test_who_waits_for_a_connection_when_the_broker_closes_is_told() -> None:
    connected = asyncio.Event()

    def silent(words: list[bytes]) -> bytes:
        connected.set()
        return b""

    async with fake_server(silent) as url:
        broker = Broker.from_url(url)
        waiting = asyncio.create_task(broker.execute("PING"))
        await connected.wait()
        await broker.aclose()
        with pytest.raises(BrokerUnavailable, match="was closed while the request waited"):
            await waiting


async def test_a_server_that_never_greets_is_given_up_after_the_connect_timeout() -> None:
    options = BrokerOptions(connect_timeout=timedelta(milliseconds=100), retry_for=timedelta(0))
    async with fake_server(lambda words: b"") as url, Broker.from_url(url, options=options) as broker:
        with pytest.raises(BrokerUnavailable, match="No answer from") as caught:
            await broker.execute("PING")
        assert caught.value.maybe_applied is False
        with broker.sync() as sync, pytest.raises(BrokerUnavailable, match="No answer from"):
            await asyncio.to_thread(sync.execute, "PING")


async def test_a_burst_that_is_cut_says_for_each_call_what_became_of_it() -> None:
    def answer(words: list[bytes]) -> bytes | None:
        if words[0] == b"HELLO":
            return HELLO
        return None if words[-1] == b"3" else b":7\r\n"

    async with fake_server(answer) as url, Broker.from_url(url) as broker:
        results = await broker.run_many([call(PUSH, "q", i) for i in range(6)])
    assert results[:3] == [7, 7, 7]
    assert all(isinstance(result, BrokerUnavailable) and result.maybe_applied for result in results[3:])


async def test_a_reply_that_makes_no_sense_ends_its_connection_and_is_as_good_as_none(own_server: Server) -> None:
    senseless = call(READ, "q", decode=lambda reply: reply[0])
    async with Broker.from_url(own_server.url) as broker:
        link = await broker.open_link("q")
        with pytest.raises(BrokerUnavailable, match="the reply to test makes no sense") as caught:
            await link.run(senseless)
        assert (caught.value.maybe_applied, link.closed) == (True, True)
        fine, broken = await broker.run_many([call(PUSH, "q", 1), call(READ, "none", decode=lambda reply: reply[0])])
        assert fine == 1
        assert isinstance(broken, BrokerUnavailable)
        assert await broker.run(call(READ, "q")) == [b"1"]
        with broker.sync() as sync:
            with pytest.raises(BrokerUnavailable, match="makes no sense"):
                await asyncio.to_thread(sync.run, call(READ, "none", decode=lambda reply: reply[0]))
            [broken] = await asyncio.to_thread(sync.run_many, [call(READ, "none", decode=lambda reply: reply[0])])
            assert isinstance(broken, BrokerUnavailable)
            assert await asyncio.to_thread(sync.run, call(READ, "q")) == [b"1"]
