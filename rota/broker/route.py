"""Which server a key lives on, and the one connection to it that many callers share.

One server here; `sentinel` and `cluster` know the other two ways.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from rota.broker.dial import Login, dial
from rota.broker.failure import NotNow
from rota.broker.link import Link
from rota.broker.retry_budget import pause_seconds
from rota.broker.url import Endpoint
from rota.errors import BrokerError, BrokerUnavailable

T = TypeVar("T")


class ServerRoute(Protocol):
    """Finds the shared link for a key, and learns from failures that what it knew is stale."""

    def current(self, key: str | None) -> Link | None:
        """Return the shared link if it is ready right now."""
        ...

    async def connect(self, key: str | None, patience_seconds: float) -> Link:
        """Return the shared link, connecting where needed."""
        ...

    async def dial(self, key: str | None) -> Link:
        """Make a further link of its own."""
        ...

    async def redirected(self, endpoint: Endpoint, patience_seconds: float) -> Link:
        """Return the shared link to the node that a Cluster's `ASK` names."""
        ...

    def learn(self, error: BrokerError) -> None:
        """Take note of why a request was not carried out."""
        ...

    async def survey(self) -> None:
        """Ask again which server holds which key, where that can change without an error."""
        ...

    async def links(self, patience_seconds: float) -> list[Link]:
        """Return one shared link to every server that takes writes."""
        ...

    async def aclose(self) -> None:
        """Close all shared links."""
        ...


class Node:
    """Keeps the shared link. Callers that need it at the same time share one attempt and its outcome."""

    def __init__(self, dial: Callable[[], Awaitable[Link]]) -> None:
        self._dial = dial
        self.latest: Link | None = None
        """The link that was made last. It may be closed."""
        self._attempt: asyncio.Task[Link] | None = None
        self._failures = 0
        self._last: BrokerError | None = None
        self._not_before = 0.0
        self._closed = False

    @property
    def link(self) -> Link | None:
        """The link if it is usable right now."""
        link = self.latest
        return None if link is None or link.closed else link

    async def connect(self, patience_seconds: float) -> Link:
        """Return the link, connecting first where needed.

        An attempt that failed makes the next one wait; who cannot wait that long gets the same error at once.
        """
        if (link := self.link) is not None:
            return link
        if self._closed:
            raise closed()
        if self._attempt is None or self._attempt.done():
            pause = self._not_before - asyncio.get_running_loop().time()
            if self._last is not None and pause > patience_seconds:
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
        """Let the link end once it has answered what is under way. A new one would be made for who still asks."""
        if self.latest is not None:
            self.latest.retire(reason)

    async def aclose(self) -> None:
        """Close for good."""
        self._closed = True
        if self._attempt is not None and not self._attempt.done():
            self._attempt.cancel()
            await asyncio.wait([self._attempt])
        if self.latest is not None:
            await self.latest.aclose()


def closed() -> BrokerUnavailable:
    """Say that nobody may connect any more."""
    return BrokerUnavailable(
        "The connections of this client were closed, by `aclose()` or at the end of a block such as `async with app:`. "
        "Use a receipt before that, or ask the app: `app.client` opens new connections, as in "
        "`await app.client.result(queue, task_id)`."
    )


async def shared(attempt: "asyncio.Task[T]") -> T:
    """Wait for an attempt that others wait for too: who is cancelled leaves it to them."""
    try:
        return await asyncio.shield(attempt)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if attempt.cancelled() and task is not None and not task.cancelling():
            # Not we are cancelled: the attempt is.
            raise BrokerUnavailable("The broker was closed while the request waited for a connection.") from None
        raise


def look_at(attempt: "asyncio.Future[Any]") -> None:
    """See the outcome of a shared attempt, in case every caller was cancelled: else asyncio complains of it."""
    if not attempt.cancelled():
        attempt.exception()


class SingleRoute:
    """One server that never changes its address."""

    def __init__(self, endpoint: Endpoint, login: Login) -> None:
        self._endpoint = endpoint
        self._login = login
        self._node = Node(lambda: self.dial(None))

    def current(self, key: str | None) -> Link | None:
        """Return the shared link if it is ready right now."""
        link = self._node.latest  # as `Node.link` says it, without one more call for each request
        return None if link is None or link.closed else link

    async def connect(self, key: str | None, patience_seconds: float) -> Link:
        """Return the shared link, connecting where needed."""
        return await self._node.connect(patience_seconds)

    async def dial(self, key: str | None) -> Link:
        """Make a further link of its own."""
        return await dial(self._endpoint, self._login)

    async def redirected(self, endpoint: Endpoint, patience_seconds: float) -> Link:
        """Stay here: the server belongs to a Cluster, but the URL does not say so."""
        return await self.connect(None, patience_seconds)

    def learn(self, error: BrokerError) -> None:
        """Take no note: there is nowhere else to go."""

    async def survey(self) -> None:
        """Ask nothing: all keys are on the one server."""

    async def links(self, patience_seconds: float) -> list[Link]:
        """Return the one link."""
        return [await self.connect(None, patience_seconds)]

    async def aclose(self) -> None:
        """Close the shared link."""
        await self._node.aclose()
