"""Closes connections whose event loop was closed before them.

A transport cannot close itself after its loop was closed, so its socket would stay open until it is garbage collected.
`asyncio.run` does not close transports. An app closes its connections at the end of the loop (see
`rota.client.connections`); this module closes those that were still left open.
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


# No lock is needed: only the thread of a loop adds to the loop's set, and the set is removed after that loop is closed.
_by_loop: dict[asyncio.AbstractEventLoop, WeakSet[Closable]] = {}


def remember(loop: asyncio.AbstractEventLoop, connection: Closable) -> None:
    """Register a connection of this loop. The first one of a loop also closes the connections of closed loops."""
    if loop not in _by_loop:
        close_connections_of_closed_loops()
    _by_loop.setdefault(loop, WeakSet()).add(connection)


def end_without_loop(transport: asyncio.Transport) -> None:
    """Close the socket of a transport whose loop is closed.

    `abort` schedules `_call_connection_lost` on the loop. A closed loop does not run it, so it is called here. The
    transports of uvloop lack this method: uvloop closes its sockets with the loop and must not be touched afterwards.
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
    """Close the connections of every loop that is closed."""
    for loop in list(_by_loop):
        if loop.is_closed():
            for connection in list(_by_loop.pop(loop, ())):
                connection.abandon()
