"""Tells a TLS port from a plain one, after a connection has failed that may have used the wrong kind.

A plain Redis port does not answer a TLS handshake, and a TLS port closes a plain connection without a reply. So a
second connection tries the other protocol, without sending a password. For asyncio and for blocking code.
"""

import asyncio
import socket
import ssl

from rota.broker.tcp import connected
from rota.broker.url import Endpoint
from rota.errors import BrokerRefused

PROBE_SECONDS = 1.0
_PING = b"PING\r\n"
_REPLIES = (b"+", b"-")


def silence_seconds(connect_timeout_seconds: float) -> float:
    """Return how long a TLS handshake may take before the port is probed without TLS."""
    return min(1.0, connect_timeout_seconds / 2)


def is_plain(endpoint: Endpoint) -> BrokerRefused:
    """Make the error of a TLS connection to a plain port."""
    return BrokerRefused(
        f"TLS to {endpoint} failed: the server answers there without TLS; write redis:// instead of rediss:// in the "
        "broker URL, or the TLS port of the server."
    )


def is_tls(endpoint: Endpoint) -> BrokerRefused:
    """Make the error of a plain connection to a TLS port."""
    return BrokerRefused(
        f"The server {endpoint} asks for TLS; write rediss:// instead of redis:// in the broker URL, or its port "
        "without TLS."
    )


async def answers_plainly(endpoint: Endpoint) -> bool:
    """Whether the server answers a command without TLS."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            reader, writer = await asyncio.open_connection(sock=await connected(endpoint))
            try:
                writer.write(_PING)
                return await reader.read(1) in _REPLIES
            finally:
                writer.transport.abort()
    except OSError:
        return False


async def answers_tls(endpoint: Endpoint) -> bool:
    """Whether the server takes part in a TLS handshake."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            _, writer = await asyncio.open_connection(
                sock=await connected(endpoint), ssl=_any_server(), server_hostname=endpoint.host
            )
            writer.transport.abort()
            return True
    except OSError as error:
        return _is_alert(error)


def answers_plainly_sync(endpoint: Endpoint) -> bool:
    """Do the same as `answers_plainly` from blocking code."""
    try:
        with socket.create_connection((endpoint.host, endpoint.port), PROBE_SECONDS) as connection:
            connection.sendall(_PING)
            return connection.recv(1) in _REPLIES
    except OSError:
        return False


def answers_tls_sync(endpoint: Endpoint) -> bool:
    """Do the same as `answers_tls` from blocking code."""
    try:
        with (
            socket.create_connection((endpoint.host, endpoint.port), PROBE_SECONDS) as connection,
            _any_server().wrap_socket(connection, server_hostname=endpoint.host),
        ):
            return True
    except OSError as error:
        return _is_alert(error)


def _any_server() -> ssl.SSLContext:
    """Make a context that accepts any certificate. This is safe because the probe sends nothing secret."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without certificates: loading them would hold the event loop up
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _is_alert(error: OSError) -> bool:
    """Whether the server refused the handshake by a TLS alert, for example because it asks for a client certificate."""
    return isinstance(error, ssl.SSLError) and "ALERT" in (getattr(error, "reason", None) or "")
