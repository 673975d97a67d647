"""A broker on a database of its own, and hands to put there what Asynq or Rota would have written."""

from collections.abc import AsyncIterator, Iterator

import pytest

from rota.broker import Broker
from rota.client import Client
from rota.inspect import Actions, Inspector
from tests.integration.client.conftest import Desk
from tests.integration.inspect.state import State
from tests.servers import clients
from tests.servers.overseen import Overseen
from tests.servers.roles import as_role


@pytest.fixture
def state(redis_url: str) -> Iterator[State]:
    raw = clients.client(redis_url)
    yield State(raw)
    raw.close()


@pytest.fixture
async def inspector(redis_url: str) -> AsyncIterator[Inspector]:
    async with Broker.from_url(as_role(redis_url, "inspector")) as broker:
        yield Inspector(broker)


@pytest.fixture
async def broker(any_url: str) -> AsyncIterator[Overseen]:
    async with Overseen.from_url(any_url) as broker:
        yield broker


@pytest.fixture
async def client(any_url: str) -> AsyncIterator[Client]:
    async with Broker.from_url(as_role(any_url, "producer")) as broker:
        yield Client(broker)


@pytest.fixture
async def actions(any_url: str) -> AsyncIterator[Actions]:
    """Actions with a producer's rights, without a store."""
    async with Broker.from_url(as_role(any_url, "producer")) as broker:
        yield Actions(broker)


@pytest.fixture
def desk(broker: Overseen) -> Desk:
    return Desk(broker)
