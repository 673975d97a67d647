"""The little HTTP server: what it takes, and what it does not."""

import asyncio
import socket
from datetime import timedelta
from pathlib import Path

import pytest

from rota.errors import ConfigError
from rota.health.discovery import ProbeReply, ask_socket
from rota.health.endpoints import MAX_CONNECTIONS, MAX_HEAD_BYTES, Answer, HealthPort, in_thread


def answer(path: str, *, named: bool = False) -> Answer:
    if path == "/broken":
        raise RuntimeError("no")
    return Answer(200, f"you asked for {path}{' by the socket' if named else ''}\n")


async def ask(port: HealthPort, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
    writer.write(request)
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_a_path_is_answered_without_its_query() -> None:
    async with HealthPort(answer, port=0) as port:
        said = await ask(port, b"GET /live?x=1 HTTP/1.1\r\nHost: h\r\n\r\n")

    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == b"you asked for /live\n"


@pytest.mark.parametrize(
    ("request_line", "status"),
    [(b"HEAD /live", b"200"), (b"POST /live", b"405"), (b"GET /broken", b"500"), (b"nonsense", b"405")],
)
async def test_what_is_no_get_brings_a_status_alone(request_line: bytes, status: bytes) -> None:
    async with HealthPort(answer, port=0) as port:
        said = await ask(port, request_line + b" HTTP/1.1\r\n\r\n")

    assert said.startswith(b"HTTP/1.1 " + status)


async def test_a_request_without_end_is_cut_off() -> None:
    async with HealthPort(answer, port=0) as port:
        assert await ask(port, b"GET /" + b"x" * 2 * MAX_HEAD_BYTES) == b""


async def test_more_connections_than_the_limit_are_closed_at_once() -> None:
    async with HealthPort(answer, port=0) as port:
        idle = [await asyncio.open_connection("127.0.0.1", port.port) for _ in range(MAX_CONNECTIONS)]
        assert await ask(port, b"GET /live HTTP/1.1\r\n\r\n") == b""
        for _, writer in idle:
            writer.close()


async def test_a_port_that_is_taken_is_said_in_one_sentence() -> None:
    async with HealthPort(answer, port=0) as port:
        with pytest.raises(ConfigError, match=r"health port 127\.0\.0\.1:\d+ cannot be opened"):
            async with HealthPort(answer, port=port.port):
                raise AssertionError("it was opened twice")


async def test_a_socket_that_cannot_be_made_is_no_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with HealthPort(answer, port=0, socket_path=tmp_path / "gone" / "7.sock") as port:
        assert (await ask(port, b"GET /live HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")
    assert "will not find this worker" in caplog.text


def test_a_thread_of_its_own_answers_while_nothing_else_runs() -> None:
    with (
        in_thread(HealthPort(answer, port=0)) as port,
        socket.create_connection(("127.0.0.1", port.port or 0), timeout=5) as connection,
    ):
        connection.sendall(b"GET /live HTTP/1.1\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    assert not port_is_open(port.port or 0)


def port_is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


async def test_the_socket_asks_for_names_and_the_port_does_not(tmp_path: Path) -> None:
    path = tmp_path / "7.sock"
    async with HealthPort(answer, port=0, socket_path=path) as port:
        by_port = await ask(port, b"GET /live HTTP/1.1\r\n\r\n")
        by_socket = await asyncio.to_thread(ask_socket, path, "/live", timedelta(seconds=20))

    assert by_port.endswith(b"you asked for /live\n")
    assert by_socket == ProbeReply(200, "you asked for /live by the socket")
