"""A broker on a database of its own, and hands to put there what Asynq or Rota would have written."""

from collections.abc import AsyncIterator, Iterator

import pytest

from rota.broker import Broker
from rota.inspect import Inspector
from tests.integration.inspect.state import State
from tests.servers.clients import client
from tests.servers.roles import as_role


@pytest.fixture
def state(redis_url: str) -> Iterator[State]:
    raw = client(redis_url)
    yield State(raw)
    raw.close()


@pytest.fixture
async def inspector(redis_url: str) -> AsyncIterator[Inspector]:
    async with Broker.from_url(as_role(redis_url, "inspector")) as broker:
        yield Inspector(broker)
