"""Which address of a host is connected to."""

import asyncio
import socket
from typing import Any

import pytest

from rota.broker import tcp
from rota.broker.url import Endpoint

SILENT = ("127.0.0.1", 1)


def addresses(*found: tuple[str, int]) -> Any:
    def resolve(*_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address) for address in found]

    return resolve


async def test_address_that_does_not_answer_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        loop, real = asyncio.get_running_loop(), asyncio.get_running_loop().sock_connect

        async def connect(connection: socket.socket, address: Any) -> None:
            await (real(connection, address) if address != SILENT else loop.create_future())

        monkeypatch.setattr(loop, "sock_connect", connect)
        monkeypatch.setattr(tcp, "ADDRESS_SECONDS", 0.05)
        monkeypatch.setattr(socket, "getaddrinfo", addresses(SILENT, server.getsockname()))
        async with asyncio.timeout(30):
            connection = await tcp.connected(Endpoint("some.host", 6379))
        assert connection.getpeername() == server.getsockname()
        connection.close()


async def test_lack_of_threads_is_an_error_of_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(tcp, "in_own_thread", refuse)
    with pytest.raises(OSError, match="can't start new thread"):
        await tcp.connected(Endpoint("some.host", 6379))
