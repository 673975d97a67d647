"""A broker on a database of its own, and hands to put there what Asynq or Rota would have written."""

from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from rota.broker import Broker
from rota.inspect import Inspector
from tests.integration.inspect.state import State


@pytest.fixture
def state(redis_url: str) -> Iterator[State]:
    client = redis.Redis.from_url(redis_url)
    yield State(client)
    client.close()


@pytest.fixture
async def inspector(redis_url: str) -> AsyncIterator[Inspector]:
    async with Broker.from_url(redis_url) as broker:
        yield Inspector(broker)
