"""A request that was given up is sent again elsewhere. What of it has not left this machine must never leave it."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
import uvloop

from rota.broker import Broker, BrokerOptions
from rota.errors import BrokerUnavailable
from tests.servers.fake import HELLO

LARGE = b"x" * 16_000_000
"""More than the buffers of both sockets hold."""
HASTY = BrokerOptions(response_timeout=timedelta(milliseconds=300), retry_for=timedelta(0))


class DeafServer:
    """Answers the greeting, and reads nothing more until it is asked what else came."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connection: socket.socket | None = None
        self._thread = threading.Thread(target=self._greet)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._listener.getsockname()[1]}"

    def _greet(self) -> None:
        self._connection, _ = self._listener.accept()
        self._connection.recv(10_000)
        self._connection.sendall(HELLO)

    def read(self) -> int:
        """Read all that comes until the connection is closed; a connection that was reset raises."""
        assert self._connection is not None
        self._connection.settimeout(20)
        count = 0
        while data := self._connection.recv(1 << 20):
            count += len(data)
        return count

    def close(self) -> None:
        self._thread.join()
        self._listener.close()
        if self._connection is not None:
            self._connection.close()


@pytest.fixture
def deaf() -> Iterator[DeafServer]:
    server = DeafServer()
    yield server
    server.close()


async def test_what_was_not_sent_when_a_request_was_given_up_is_never_sent(deaf: DeafServer) -> None:
    async with Broker.from_url(deaf.url, options=HASTY) as broker:
        with pytest.raises(BrokerUnavailable):
            await broker.execute("SET", "key", LARGE)
        with pytest.raises(ConnectionResetError):
            await asyncio.to_thread(deaf.read)


def test_what_blocking_code_gave_up_is_never_sent_either(deaf: DeafServer) -> None:
    with Broker.from_url(deaf.url, options=HASTY).sync() as broker:
        with pytest.raises(BrokerUnavailable):
            broker.execute("SET", "key", LARGE)
        with pytest.raises(ConnectionResetError):
            deaf.read()


def test_uvloop_gives_up_as_asyncio_does(deaf: DeafServer) -> None:
    uvloop.run(test_what_was_not_sent_when_a_request_was_given_up_is_never_sent(deaf))
