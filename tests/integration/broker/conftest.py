"""Every way to reach a server, so that each promise of the broker is held on all of them."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import count

import pytest

from rota.broker import TLS, Broker, BrokerOptions, SyncBroker
from tests.conftest import TLSServer
from tests.servers.process import Server

_names = count(1)

WAYS = ["redis", "valkey", "unix", "acl", "tls", pytest.param("sentinel"), pytest.param("cluster")]

# What a worker needs, and nothing more: no CONFIG, KEYS or MEMORY.
LIMITED = (
    "on >p*s#w@r/d ~* &* -@all +hello +auth +select +ping +info +evalsha +eval +rpush +lrange +get +set +publish "
    "+subscribe +unsubscribe +time +client|setname +client|tracking +client|id"
)


@dataclass(frozen=True)
class Way:
    name: str
    url: str
    options: BrokerOptions


def way_to(name: str, request: pytest.FixtureRequest) -> Way:
    options = BrokerOptions()
    if name == "tls":
        server: TLSServer = request.getfixturevalue("tls_server")
        return Way(name, server.url, BrokerOptions(tls=TLS(server.ca, server.client.cert, server.client.key)))
    if name in ("sentinel", "cluster"):
        return Way(name, request.getfixturevalue(name).url, options)
    plain: Server = request.getfixturevalue("valkey_server" if name == "valkey" else "redis_server")
    if name == "unix":
        return Way(name, plain.unix_url, options)
    if name == "acl":
        with plain.admin() as admin:
            admin.execute_command("ACL", "SETUSER", "limited", "reset", *LIMITED.split())
        return Way(name, f"redis://limited:p*s#w@r/d@127.0.0.1:{plain.port}/3", options)
    return Way(name, plain.url, options)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return way_to(request.param, request)


@pytest.fixture
async def broker(way: Way) -> AsyncIterator[Broker]:
    async with Broker.from_url(way.url, options=way.options) as broker:
        yield broker


@pytest.fixture
def sync_broker(way: Way) -> Iterator[SyncBroker]:
    with SyncBroker.from_url(way.url, options=way.options) as broker:
        yield broker


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server that a test may kill, freeze and start again."""
    server = Server().start()
    yield server
    server.stop()


@pytest.fixture
def name() -> str:
    """A key that nobody else uses."""
    return f"test:{{q{next(_names)}}}:{id(_names)}"
