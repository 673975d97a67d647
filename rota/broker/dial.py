"""Opens a `Link` to an endpoint: connect, log in, switch to RESP3, select the database.

A failure raises an error that says what to correct. For that, a connection that may have used the wrong kind of port
(TLS or plain) is followed by a probe of the port; see `rota.broker.wrong_port`. `dial` makes one attempt only.
"""

import asyncio
import ssl
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from hiredis import ReplyError

from rota.broker import failure, tcp, wrong_port
from rota.broker.broker_options import BrokerOptions
from rota.broker.link import Link
from rota.broker.url import Address, Endpoint
from rota.errors import BrokerError, BrokerRefused
from rota.wire.script import Argument


@dataclass(frozen=True, slots=True)
class Login:
    """Everything about a connection except its endpoint: credentials, database, client name, TLS, time-outs."""

    username: str | None
    password: str | None = field(repr=False)
    database: int
    client_name: str
    tls: ssl.SSLContext | None
    connect_timeout_seconds: float
    response_timeout_seconds: float
    clustered: bool
    test_clock: bool = False
    server_name: str | None = None

    @classmethod
    def to_server(cls, address: Address, options: BrokerOptions) -> "Login":
        """Combine URL and options. Credentials in the options win over those in the URL."""
        return cls(
            options.username or address.username,
            options.password or address.password,
            address.database,
            options.client_name,
            options.tls.context() if address.tls else None,
            options.connect_timeout.total_seconds(),
            options.response_timeout.total_seconds(),
            address.mode == "cluster",
            address.test_clock,
            options.tls.server_name,
        )


async def dial(endpoint: Endpoint, login: Login) -> Link:
    """Connect and log in. Every failure is raised as a `BrokerError` that says what to do."""
    link: Link | None = None
    try:
        async with asyncio.timeout(login.connect_timeout_seconds):
            link = await _connect(endpoint, login)
            await _greet(link, login)
    except BaseException as error:
        if link is not None:
            link.close()
        if isinstance(error, BrokerError):
            if may_expect_tls(endpoint, login, error) and await wrong_port.answers_tls(endpoint):
                raise wrong_port.is_tls(endpoint) from error
            reason = link and link.reason
            raise failure.before_use(error, endpoint, reason, tls=login.tls is not None) from error.__cause__
        if isinstance(error, OSError):
            raise failure.of_connecting(error, endpoint, tls=login.tls is not None) from error
        raise
    return link


async def _connect(endpoint: Endpoint, login: Login) -> Link:
    loop = asyncio.get_running_loop()

    def protocol() -> Link:
        return Link(endpoint, login.response_timeout_seconds, clustered=login.clustered, test_clock=login.test_clock)

    if endpoint.path is not None:
        _, link = await loop.create_unix_connection(protocol, endpoint.path)
        return link
    server_hostname = (login.server_name or endpoint.host) if login.tls is not None else None
    connection = await tcp.connected(endpoint)
    opening = loop.create_connection(protocol, sock=connection, ssl=login.tls, server_hostname=server_hostname)
    _, link = await (opening if login.tls is None else _unless_plain(opening, endpoint, login))
    return link


async def _unless_plain(
    opening: Coroutine[Any, Any, tuple[asyncio.Transport, Link]], endpoint: Endpoint, login: Login
) -> tuple[asyncio.Transport, Link]:
    """Open a TLS connection, or raise `BrokerRefused` if the port does not use TLS.

    A plain port does not answer a TLS handshake, so it is checked before the connect time-out is over.
    """
    task = asyncio.ensure_future(opening)
    try:
        await asyncio.wait([task], timeout=wrong_port.silence_seconds(login.connect_timeout_seconds))
        if not task.done() and await wrong_port.answers_plainly(endpoint):
            raise wrong_port.is_plain(endpoint)
        return await task
    except BaseException:
        task.cancel()
        task.add_done_callback(_hang_up)
        raise


def _hang_up(opening: "asyncio.Task[tuple[asyncio.Transport, Link]]") -> None:
    """Close the connection of an attempt that was given up."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result()[0].abort()


def may_expect_tls(endpoint: Endpoint, login: Login, error: BrokerError) -> bool:
    """Whether a plain TCP connection was closed at the login, perhaps because the port expects TLS."""
    return login.tls is None and endpoint.path is None and error.maybe_applied


async def _greet(link: Link, login: Login) -> None:
    if link.closed:
        raise failure.lost(link.endpoint, link.reason)
    for words in greeting(login):
        reply = await link.send(words)
        if isinstance(reply, ReplyError):
            raise refusal(reply, words, link.endpoint)


def greeting(login: Login) -> list[tuple[Argument, ...]]:
    """Return the commands that log in and select the database."""
    hello: tuple[Argument, ...] = ("HELLO", 3)
    if login.password is not None:
        hello += ("AUTH", login.username or "default", login.password)
    hello += ("SETNAME", login.client_name)
    return [hello, ("SELECT", login.database)] if login.database else [hello]


def refusal(reply: Exception, words: Sequence[Argument], endpoint: Endpoint) -> BrokerError:
    """Translate an error reply to one command of the login."""
    text = str(reply)
    if words[0] == "HELLO" and text.startswith(("ERR unknown command", "NOPROTO")):
        return BrokerRefused(
            "The server is too old or is a proxy: it does not speak RESP3 (HELLO 3). "
            "Rota needs Redis 6.2 or Valkey 7.2, or a later one."
        )
    if words[0] == "SELECT":
        return BrokerRefused(f"The server refused database {words[1]!r}: {text}; correct the broker URL.")
    return failure.of_reply(reply, words, endpoint)
