"""One Redis for each test process, emptied for each test, and the Go programs on it."""

import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import ConnectionError as RedisConnectionError

from interop.build import GoMissing, binaries
from interop.programs import Go

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("interop")


@pytest.fixture(scope="session", autouse=True)
def go_programs() -> None:
    """Build the Go programs, once."""
    try:
        binaries()
    except GoMissing as missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start a redis-server on a unix socket of its own."""
    program = shutil.which("redis-server")
    assert program, "no redis-server found: run scripts/install-servers"
    folder = tmp_path_factory.mktemp("redis")
    socket = folder / "r.sock"
    server = subprocess.Popen(
        [program, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    with Redis(unix_socket_path=str(socket)) as client:
        _wait_until_it_answers(client)
    yield socket
    server.terminate()
    server.wait(10)


@pytest.fixture
def url(redis_server: Path) -> str:
    """The URL of an empty database, in a form that Go and Python read."""
    with Redis(unix_socket_path=str(redis_server)) as client:
        client.flushall()
    return f"unix://{redis_server}"


@pytest_asyncio.fixture
async def redis(url: str) -> AsyncIterator[AsyncRedis]:
    """A bare client, to look at the bytes."""
    async with AsyncRedis.from_url(url) as client:
        yield client


@pytest.fixture
def go(url: str) -> Go:
    """Go's client, inspector and servers."""
    return Go(url)


def _wait_until_it_answers(client: Redis) -> None:
    end = time.monotonic() + 10
    while True:
        try:
            client.ping()
        except RedisConnectionError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return
