"""Connections whose event loop was closed before them.

A transport of a closed loop can do nothing any more, not even close itself. So its socket would stay open until the
garbage is collected. `asyncio.run` closes no transports either; an app closes its own at the end of the loop (see
`rota.client.connections`), and what was left behind all the same is closed here.
"""

import asyncio
from contextlib import suppress
from typing import Protocol
from weakref import WeakSet


class Closable(Protocol):
    """A connection that can be closed without its event loop."""

    def abandon(self) -> None:
        """Close the socket."""
        ...


# No lock: a set is added to by the one thread of its loop, and is taken out as a whole once that loop is closed.
_by_loop: dict[asyncio.AbstractEventLoop, WeakSet[Closable]] = {}


def remember(loop: asyncio.AbstractEventLoop, connection: Closable) -> None:
    """Note a connection that belongs to this loop. With the first one of a loop, what others left is closed."""
    if loop not in _by_loop:
        close_connections_of_closed_loops()
    _by_loop.setdefault(loop, WeakSet()).add(connection)


def end_without_loop(transport: asyncio.Transport) -> None:
    """Close the socket of a transport whose loop is closed.

    `abort` has asyncio's loop call the rest. A closed loop cannot, so the rest is called here. uvloop closes its
    sockets when it is closed, and must not be touched after that.
    """
    under_tls = getattr(getattr(transport, "_ssl_protocol", None), "_transport", None)
    end = getattr(under_tls or transport, "_call_connection_lost", None)
    if end is None:
        return
    with suppress(RuntimeError):
        transport.abort()
    with suppress(RuntimeError):
        end(None)


def close_connections_of_closed_loops() -> None:
    """Close what was left open when its loop was closed."""
    for loop in list(_by_loop):
        if loop.is_closed():
            for connection in list(_by_loop.pop(loop, ())):
                connection.abandon()
