"""From an endpoint to a `Link` that is ready: connect, log in, speak RESP3, choose the database."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hiredis import ReplyError

from rota.broker import failure
from rota.broker.link import Link
from rota.broker.options import BrokerOptions
from rota.broker.url import Address, Endpoint
from rota.errors import BrokerError, BrokerRefused
from rota.own_thread import in_own_thread
from rota.wire.script import Argument

# A peer that vanished without a word is noticed after 15 + 3 x 5 s, also while nothing is asked.
_KEEPALIVE = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are, what for, and how the way there is protected."""

    username: str | None
    password: str | None = field(repr=False)
    database: int
    client_name: str
    tls: ssl.SSLContext | None
    connect_timeout_seconds: float
    response_timeout_seconds: float
    clustered: bool

    @classmethod
    def to_server(cls, address: Address, options: BrokerOptions) -> "Login":
        """Take what the server needs from the URL, and from the options where they say otherwise."""
        return cls(
            options.username or address.username,
            options.password or address.password,
            address.database,
            options.client_name,
            options.tls.context() if address.tls else None,
            options.connect_timeout.total_seconds(),
            options.response_timeout.total_seconds(),
            address.mode == "cluster",
        )


async def dial(endpoint: Endpoint, login: Login) -> Link:
    """Connect and log in. Every failure is a `BrokerError` that says what to do."""
    link: Link | None = None
    try:
        async with asyncio.timeout(login.connect_timeout_seconds):
            link = await _connect(endpoint, login)
            await _greet(link, login)
    except BaseException as error:
        if link is not None:
            link.close()
        if isinstance(error, BrokerError):
            reason = link and link.reason
            raise failure.before_use(error, endpoint, reason, tls=login.tls is not None) from error.__cause__
        if isinstance(error, OSError):
            raise failure.of_connecting(error, endpoint, tls=login.tls is not None) from error
        raise
    return link


async def _connect(endpoint: Endpoint, login: Login) -> Link:
    loop = asyncio.get_running_loop()

    def protocol() -> Link:
        return Link(endpoint, login.response_timeout_seconds, clustered=login.clustered)

    if endpoint.path is not None:
        _, link = await loop.create_unix_connection(protocol, endpoint.path)
        return link
    server_hostname = endpoint.host if login.tls is not None else None
    connection = await _connected(endpoint)
    _, link = await loop.create_connection(protocol, sock=connection, ssl=login.tls, server_hostname=server_hostname)
    return link


async def _connected(endpoint: Endpoint) -> socket.socket:
    """Connect to the first address of the host that answers.

    The name is resolved in a thread of its own. The event loop would do it in its default executor, where tasks of the
    application may occupy every thread: a worker could not reconnect then.
    """
    found = await in_own_thread(socket.getaddrinfo, endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    last: OSError = OSError(f"{endpoint.host} has no address")
    for family, kind, protocol, _, address in found:
        try:
            return await _connected_to(socket.socket(family, kind, protocol), address)
        except OSError as error:
            last = error
    raise last


async def _connected_to(connection: socket.socket, address: Any) -> socket.socket:
    try:
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, address)
        keep_alive(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def keep_alive(connection: Any) -> None:
    """Have the kernel notice a peer that vanished without a word."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def _greet(link: Link, login: Login) -> None:
    for words in greeting(login):
        reply = await link.send(words)
        if isinstance(reply, ReplyError):
            raise refusal(reply, words, link.endpoint)


def greeting(login: Login) -> list[tuple[Argument, ...]]:
    """List the commands that open a connection."""
    hello: tuple[Argument, ...] = ("HELLO", 3)
    if login.password is not None:
        hello += ("AUTH", login.username or "default", login.password)
    hello += ("SETNAME", login.client_name)
    return [hello, ("SELECT", login.database)] if login.database else [hello]


def refusal(reply: Exception, words: Sequence[Argument], endpoint: Endpoint) -> BrokerError:
    """Translate an error reply to one command of the greeting."""
    text = str(reply)
    if words[0] == "HELLO" and text.startswith(("ERR unknown command", "NOPROTO")):
        return BrokerRefused(
            "The server is too old or is a proxy: it does not speak RESP3 (HELLO 3). "
            "Rota needs Redis 6.2 or Valkey 7.2, or a later one."
        )
    if words[0] == "SELECT":
        return BrokerRefused(f"The server refused database {words[1]!r}: {text}; correct the broker URL.")
    return failure.of_reply(reply, words, endpoint)
