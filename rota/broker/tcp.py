"""TCP connections for the event loop, and their keepalive settings."""

import asyncio
import contextlib
import socket
import struct
import sys
from typing import Any

from rota.broker.url import Endpoint
from rota.core.sync_bridge import in_own_thread

# The kernel closes a connection 4 + 3 x 2 s after its peer has vanished, even while the connection is idle.
# TCP_USER_TIMEOUT is not set: it would override the number of probes, and requests have the response time-out.
_IDLE = "TCP_KEEPIDLE" if hasattr(socket, "TCP_KEEPIDLE") else "TCP_KEEPALIVE"  # the second is its name on macOS
_KEEPALIVE = ((_IDLE, 4), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3))

ADDRESS_SECONDS = 1.0
"""An address that does not answer within this time must not use up the time for the next one."""


async def connected(endpoint: Endpoint) -> socket.socket:
    """Connect to the first address of the host that answers.

    The name is resolved in a separate thread. The event loop would resolve it in its default executor, where tasks of
    the application may occupy every thread, and then a worker could not reconnect.
    """
    try:
        found = await in_own_thread(socket.getaddrinfo, endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except RuntimeError as error:  # the process may not have more threads now
        raise OSError(f"the name {endpoint.host} cannot be resolved: {error}") from error
    last: OSError = OSError(f"{endpoint.host} has no address")
    for number, (family, kind, protocol, _, address) in enumerate(found, 1):
        try:
            async with asyncio.timeout(None if number == len(found) else ADDRESS_SECONDS):
                return await _connected_to(socket.socket(family, kind, protocol), address)
        except OSError as error:  # a passed time limit is one too
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
    """Turn on TCP keepalive, so that the kernel notices a peer that vanished without closing the connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


_AT_ONCE = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


def discard_unsent(connection: Any) -> None:
    """Make the kernel discard unsent bytes when the socket is closed.

    Otherwise the kernel could deliver a request minutes later, after its sender gave up and sent it elsewhere.
    """
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
