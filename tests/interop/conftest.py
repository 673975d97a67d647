"""The Go programs on a database of its own for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from interop.build import binaries
from interop.programs import Go
from rota.app import Rota
from rota.broker import Broker
from rota.inspect import Inspector
from rota.tasks.context import Context

pytest.register_assert_rewrite("tests.interop.both_views")

from tests.interop.both_views import assert_they_agree  # noqa: E402
from tests.interop.runs import Runs  # noqa: E402
from tests.servers.clients import async_client  # noqa: E402
from tests.servers.roles import as_role  # noqa: E402

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("interop")


@pytest.fixture(scope="session", autouse=True)
def go_programs() -> None:
    """Build the Go programs, once. Without Go these tests fail: whoever asks for them wants to know."""
    binaries()


@pytest_asyncio.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A bare client, to look at the bytes."""
    async with async_client(redis_url) as client:
        yield client


@pytest.fixture
def go(redis_url: str) -> Go:
    """Go's client, inspector and servers."""
    return Go(as_role(redis_url, "go"))


@pytest_asyncio.fixture
async def app(redis_url: str, go: Go) -> AsyncIterator[Rota]:
    """An app. After each test with it both inspectors must show the same."""
    app = Rota(redis_url, settings={"heartbeat": "1s", "lease": "5s", "shutdown_timeout": "2s"})
    yield app
    broker = Broker.from_url(as_role(redis_url, "inspector"))
    await assert_they_agree(go, Inspector(broker))
    await broker.aclose()
    await app.aclose()


@pytest.fixture
def runs(app: Rota) -> Runs:
    """The runs of tasks of type `t`."""
    runs = Runs()

    @app.handler("t")
    async def t(ctx: Context, payload: bytes) -> None:
        await runs(ctx, payload)

    return runs
