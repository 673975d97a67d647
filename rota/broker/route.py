"""Finds the server that holds a key, and keeps the one connection to it that all callers share.

`ServerRoute` is the interface and `SingleRoute` serves a single server; see `sentinel` and `cluster` for the others.
A `Node` connects to one server: callers that arrive during an attempt share it, and failed attempts back off.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias, TypeVar

from rota.broker.dial import Login, dial
from rota.broker.failure import NotNow, pause_seconds
from rota.broker.link import Link
from rota.broker.script_cache import Words
from rota.broker.url import Endpoint
from rota.errors import BrokerError, BrokerUnavailable

T = TypeVar("T")

Ask: TypeAlias = Callable[[Endpoint, Words], Awaitable[Any]]
"""Sends a command to a server and returns its reply. Raises `BrokerError`, also for an error reply."""


class ServerRoute(Protocol):
    """Finds the shared link for a key, and updates what it knows of the servers after failures."""

    def current(self, key: str | None) -> Link | None:
        """Return the shared link if it is connected, else None."""
        ...

    async def connect(self, key: str | None, timeout_seconds: float) -> Link:
        """Return the shared link, after connecting if necessary."""
        ...

    async def dial(self, key: str | None) -> Link:
        """Open another link, which is not shared."""
        ...

    async def redirected(self, endpoint: Endpoint, timeout_seconds: float) -> Link:
        """Return the shared link to the node that a Cluster's `ASK` names."""
        ...

    def learn(self, error: BrokerError) -> None:
        """Update what is known of the servers from the error of a request that was not carried out."""
        ...

    async def survey(self) -> None:
        """Look up again which server holds which key, if that can change without an error."""
        ...

    async def links(self, timeout_seconds: float) -> list[Link]:
        """Return the shared link to each master."""
        ...

    async def aclose(self) -> None:
        """Close all shared links."""
        ...


class Node:
    """Keeps the shared link to one server. Concurrent callers share one attempt to connect and its outcome."""

    def __init__(self, dial: Callable[[], Awaitable[Link]]) -> None:
        self._dial = dial
        self.latest: Link | None = None
        """The most recent link. It may be closed."""
        self._attempt: asyncio.Task[Link] | None = None
        self._failures = 0
        self._last: BrokerError | None = None
        self._not_before = 0.0
        self._closed = False

    @property
    def link(self) -> Link | None:
        """The link if it is open, else None."""
        link = self.latest
        return None if link is None or link.closed else link

    async def connect(self, timeout_seconds: float) -> Link:
        """Return the link, after connecting if necessary.

        After a failed attempt the next one is delayed. If that delay exceeds `timeout_seconds`, the error of the
        failed attempt is raised at once.
        """
        if (link := self.link) is not None:
            return link
        if self._closed:
            raise closed()
        if self._attempt is None or self._attempt.done():
            pause = self._not_before - asyncio.get_running_loop().time()
            if self._last is not None and pause > timeout_seconds:
                raise type(self._last)(str(self._last))
            self._attempt = asyncio.create_task(self._try(pause))
            self._attempt.add_done_callback(look_at)
        return await shared(self._attempt)

    async def _try(self, pause: float) -> Link:
        if pause > 0:
            await asyncio.sleep(pause)
        try:
            self.latest = await self._dial()
        except BrokerError as error:
            self._failures += 1
            self._last = NotNow(str(error)) if isinstance(error, NotNow) else error
            self._not_before = asyncio.get_running_loop().time() + pause_seconds(self._failures)
            raise
        self._failures, self._last, self._not_before = 0, None, 0.0
        return self.latest

    def retire(self, reason: str) -> None:
        """Close the link after the replies to requests already sent. A later caller would get a new link."""
        if self.latest is not None:
            self.latest.retire(reason)

    async def aclose(self) -> None:
        """Close the link, and refuse to connect again."""
        self._closed = True
        if self._attempt is not None and not self._attempt.done():
            self._attempt.cancel()
            await asyncio.wait([self._attempt])
        if self.latest is not None:
            await self.latest.aclose()


def closed() -> BrokerUnavailable:
    """Make the error of a request after the connections were closed."""
    return BrokerUnavailable(
        "The connections of this client were closed, by `aclose()` or at the end of a block such as `async with app:`. "
        "Use a receipt before that, or ask the app: `app.client` opens new connections, as in "
        "`await app.client.result(queue, task_id)`."
    )


async def shared(attempt: "asyncio.Task[T]") -> T:
    """Wait for a shared attempt. Cancelling one caller does not cancel the attempt for the others."""
    try:
        return await asyncio.shield(attempt)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if attempt.cancelled() and task is not None and not task.cancelling():
            # The attempt was cancelled, not the caller.
            raise BrokerUnavailable("The broker was closed while the request waited for a connection.") from None
        raise


def look_at(attempt: "asyncio.Future[Any]") -> None:
    """Retrieve the outcome of a shared attempt, because asyncio logs an exception that no caller retrieved."""
    if not attempt.cancelled():
        attempt.exception()


class SingleRoute:
    """A single server with a fixed address."""

    def __init__(self, endpoint: Endpoint, login: Login) -> None:
        self._endpoint = endpoint
        self._login = login
        self._node = Node(lambda: self.dial(None))

    def current(self, key: str | None) -> Link | None:
        """Return the shared link if it is connected, else None."""
        link = self._node.latest  # the same as `Node.link`, which would cost one more call for each request
        return None if link is None or link.closed else link

    async def connect(self, key: str | None, timeout_seconds: float) -> Link:
        """Return the shared link, after connecting if necessary."""
        return await self._node.connect(timeout_seconds)

    async def dial(self, key: str | None) -> Link:
        """Open another link, which is not shared."""
        return await dial(self._endpoint, self._login)

    async def redirected(self, endpoint: Endpoint, timeout_seconds: float) -> Link:
        """Return the shared link: the server belongs to a Cluster, but the URL is not a Cluster URL."""
        return await self.connect(None, timeout_seconds)

    def learn(self, error: BrokerError) -> None:
        """Do nothing: there is no other server."""

    async def survey(self) -> None:
        """Do nothing: all keys are on the one server."""

    async def links(self, timeout_seconds: float) -> list[Link]:
        """Return the one link."""
        return [await self.connect(None, timeout_seconds)]

    async def aclose(self) -> None:
        """Close the shared link."""
        await self._node.aclose()
