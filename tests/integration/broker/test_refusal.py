"""One clear error for each thing that can be wrong with a server or the way to it; the same for both faces."""

import asyncio
import socket
from collections.abc import Iterator
from datetime import timedelta

import pytest

from rota.broker import TLS, Broker, BrokerOptions, SyncBroker
from rota.errors import BrokerError, BrokerRefused, BrokerUnavailable, ConfigError
from tests.conftest import TLSServer
from tests.integration.broker.scripts import READ, call
from tests.servers.fake import HELLO, fake_server
from tests.servers.process import Server, free_port

AT_ONCE = BrokerOptions(retry_for=timedelta(0), connect_timeout=timedelta(seconds=10))


async def told(url: str, options: BrokerOptions = AT_ONCE) -> BrokerError:
    """The error of both faces, which must agree."""
    with pytest.raises(BrokerError) as by_async:
        await _by_async(url, options)
    with pytest.raises(BrokerError) as by_sync:
        await asyncio.to_thread(_by_sync, url, options)
    assert str(by_async.value) == str(by_sync.value)
    assert type(by_async.value) is type(by_sync.value)
    assert by_async.value.maybe_applied is False
    return by_async.value


async def _by_async(url: str, options: BrokerOptions) -> None:
    async with Broker.from_url(url, options=options) as broker:
        await broker.check()
        await broker.run(call(READ, "q"))


def _by_sync(url: str, options: BrokerOptions) -> None:
    with SyncBroker.from_url(url, options=options) as broker:
        broker.check()
        broker.run(call(READ, "q"))


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """A server with a password."""
    server = Server(config={"requirepass": "right"}).start()
    yield server
    server.stop()


async def test_a_wrong_password(guarded: Server) -> None:
    error = await told(f"redis://:wrong@127.0.0.1:{guarded.port}")
    assert isinstance(error, BrokerRefused)
    assert "wrong user name or password" in str(error)


def test_a_blocking_check_raises_what_refuses_the_connection(guarded: Server) -> None:
    url = f"redis://:wrong@127.0.0.1:{guarded.port}"
    with SyncBroker.from_url(url, options=AT_ONCE) as broker, pytest.raises(BrokerRefused, match="wrong user name"):
        broker.check()


async def test_a_missing_password(guarded: Server) -> None:
    error = await told(f"redis://127.0.0.1:{guarded.port}")
    assert isinstance(error, BrokerRefused)
    assert "asks for a password" in str(error)


async def test_a_password_by_option_wins_over_the_url(guarded: Server) -> None:
    options = BrokerOptions(password="right")
    async with Broker.from_url(f"redis://:wrong@127.0.0.1:{guarded.port}", options=options) as broker:
        assert await broker.execute("PING") in (b"PONG", "PONG")


async def test_a_missing_permission_names_the_command(redis_server: Server) -> None:
    with redis_server.admin() as admin:
        admin.execute_command("ACL", "SETUSER", "blind", "reset", "on", ">p", "~*", "-@all", "+hello", "+info")
    error = await told(f"redis://blind:p@127.0.0.1:{redis_server.port}")
    assert isinstance(error, BrokerRefused)
    assert "may not run EVAL:" in str(error)
    assert "ACL SETUSER" in str(error)


async def test_a_user_who_may_not_run_info_gets_a_warning_and_no_error(redis_server: Server) -> None:
    with redis_server.admin() as admin:
        admin.execute_command("ACL", "SETUSER", "quiet", "reset", "on", ">p", "~*", "+@all", "-info")
    url = f"redis://quiet:p@127.0.0.1:{redis_server.port}"
    async with Broker.from_url(url) as broker:
        facts = await broker.check()
        with broker.sync() as sync:
            assert sync.check() == facts
    [warning] = facts.warnings
    assert "may not run INFO" in warning
    assert facts.version is None


async def test_a_replica_names_its_master(redis_server: Server) -> None:
    replica = Server(lines=f"replicaof 127.0.0.1 {redis_server.port}\n").start()
    try:
        error = await told(replica.url)
        assert isinstance(error, BrokerRefused)
        assert f"read-only replica of 127.0.0.1:{redis_server.port}" in str(error)
    finally:
        replica.stop()


async def test_an_evicting_policy_is_warned_of(own_server: Server) -> None:
    with own_server.admin() as admin:
        admin.config_set("maxmemory-policy", "allkeys-lru")
        admin.config_set("appendonly", "yes")
    async with Broker.from_url(own_server.url) as broker:
        [warning] = (await broker.check()).warnings
    assert "maxmemory-policy allkeys-lru" in warning


async def test_a_full_server_is_unavailable_and_applied_nothing(own_server: Server, name: str) -> None:
    with own_server.admin() as admin:
        admin.config_set("maxmemory", "1")
    async with Broker.from_url(own_server.url, options=AT_ONCE) as broker:
        with pytest.raises(BrokerUnavailable, match="accepts no writes: OOM") as caught:
            await broker.execute("SET", name, "x")
    assert caught.value.maybe_applied is False


async def test_an_unknown_host() -> None:
    error = await told("redis://no-such-host.invalid:1")
    assert isinstance(error, BrokerUnavailable)
    assert "The host 'no-such-host.invalid' is unknown" in str(error)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_nothing_listens(host: str) -> None:
    error = await told(f"redis://{host}:{free_port()}")
    assert isinstance(error, BrokerUnavailable)
    assert "connection refused" in str(error)


async def test_no_socket(tmp_path: object) -> None:
    error = await told(f"unix://{tmp_path}/none.sock")
    assert isinstance(error, BrokerUnavailable)
    assert "There is no socket" in str(error)


async def test_a_database_that_does_not_exist(redis_server: Server) -> None:
    error = await told(f"redis://127.0.0.1:{redis_server.port}/99999")
    assert isinstance(error, BrokerRefused)
    assert "refused database 99999" in str(error)


async def test_an_untrusted_certificate(tls_server: TLSServer) -> None:
    tls = TLS(tls_server.stranger_ca, tls_server.client.cert, tls_server.client.key)
    error = await told(tls_server.url, BrokerOptions(tls=tls, retry_for=timedelta(0)))
    assert isinstance(error, BrokerRefused)
    assert "certificate is not trusted" in str(error)


async def test_an_untrusted_certificate_may_be_accepted_explicitly(tls_server: TLSServer) -> None:
    tls = TLS(tls_server.stranger_ca, tls_server.client.cert, tls_server.client.key, verify=False)
    async with Broker.from_url(tls_server.url, options=BrokerOptions(tls=tls)) as broker:
        assert (await broker.check()).role == "master"


@pytest.mark.parametrize(("name", "is_refused"), [("localhost", False), ("elsewhere.example", True)])
async def test_certificate_is_compared_with_the_name_that_the_options_give(
    tls_server: TLSServer, name: str, is_refused: bool
) -> None:
    tls = TLS(tls_server.ca, tls_server.client.cert, tls_server.client.key, server_name=name)
    options = BrokerOptions(tls=tls, retry_for=timedelta(0))
    if is_refused:
        assert "certificate is not trusted" in str(await told(tls_server.url, options))
        with pytest.raises(BrokerRefused), SyncBroker.from_url(tls_server.url, options=options) as sync_broker:
            sync_broker.execute("PING")
        return
    async with Broker.from_url(tls_server.url, options=options) as broker:
        assert (await broker.check()).role == "master"
    with SyncBroker.from_url(tls_server.url, options=options) as sync_broker:
        assert sync_broker.execute("PING") == b"PONG"


async def test_a_missing_client_certificate(tls_server: TLSServer) -> None:
    error = await told(tls_server.url, BrokerOptions(tls=TLS(tls_server.ca), retry_for=timedelta(0)))
    assert "does it ask for a client's certificate" in str(error)


@pytest.mark.parametrize("seconds", [0.5, 600])
async def test_tls_to_a_plain_port_is_told_before_the_time_is_over(redis_server: Server, seconds: float) -> None:
    options = BrokerOptions(retry_for=timedelta(0), connect_timeout=timedelta(seconds=seconds))
    error = await told(redis_server.url.replace("redis://", "rediss://"), options)
    assert isinstance(error, BrokerRefused)
    assert "answers there without TLS; write redis://" in str(error)


async def test_tls_to_a_plain_port_that_asks_for_a_password(guarded: Server) -> None:
    error = await told(f"rediss://:right@127.0.0.1:{guarded.port}")
    assert "answers there without TLS" in str(error)


async def test_tls_to_a_server_that_says_nothing_is_waited_for_until_the_time_is_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # the kernel accepts, and nobody answers
        options = BrokerOptions(retry_for=timedelta(0), connect_timeout=timedelta(milliseconds=300))
        error = await told(f"rediss://127.0.0.1:{server.getsockname()[1]}", options)
    assert "that this is its TLS port" in str(error)


async def test_tls_to_something_that_is_no_tls() -> None:
    async with fake_server(lambda words: None, greeting=b"-ERR plain\r\n") as url:
        error = await told(url.replace("redis://", "rediss://"))
    assert isinstance(error, BrokerRefused)
    assert "is it a TLS port" in str(error)


async def test_a_plain_connection_to_a_tls_port(tls_server: TLSServer) -> None:
    error = await told(tls_server.url.replace("rediss://", "redis://"))
    assert isinstance(error, BrokerRefused)
    assert "asks for TLS; write rediss://" in str(error)


async def test_a_connection_that_is_closed_at_the_login_is_no_tls_port() -> None:
    async with fake_server(lambda words: None) as url:
        error = await told(url)
    assert isinstance(error, BrokerUnavailable)
    assert "was not sent" in str(error)


@pytest.mark.parametrize("reply", [b"-ERR unknown command `HELLO`\r\n", b"-NOPROTO unsupported protocol version\r\n"])
async def test_a_server_without_resp3(reply: bytes) -> None:
    async with fake_server(lambda words: reply) as url:
        error = await told(url)
    assert isinstance(error, BrokerRefused)
    assert "too old or is a proxy: it does not speak RESP3" in str(error)


async def test_an_old_server_that_speaks_resp3() -> None:
    info = b"redis_version:6.0.16\r\nrole:master"

    def answer(words: list[bytes]) -> bytes:
        return HELLO if words[0] == b"HELLO" else b"$%d\r\n%b\r\n" % (len(info), info)

    async with fake_server(answer) as url:
        error = await told(url)
    assert isinstance(error, BrokerRefused)
    assert "Redis 6.0.16, which is too old" in str(error)


async def test_something_that_is_no_redis() -> None:
    async with fake_server(lambda words: b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
        error = await told(url)
    assert isinstance(error, BrokerUnavailable)
    assert "Protocol error" in str(error)


async def test_no_cluster_behind_a_cluster_url(redis_server: Server) -> None:
    error = await told(f"redis+cluster://127.0.0.1:{redis_server.port}")
    assert isinstance(error, BrokerRefused)
    assert "cluster support disabled" in str(error)


async def test_no_sentinel_behind_a_sentinel_url(redis_server: Server) -> None:
    error = await told(f"redis-sentinel://127.0.0.1:{redis_server.port}?master=m")
    assert isinstance(error, BrokerRefused)
    assert "No sentinel names the master 'm'" in str(error)


def test_a_wrong_url_is_told_before_anything_connects() -> None:
    with pytest.raises(ConfigError):
        SyncBroker.from_url("nonsense")
