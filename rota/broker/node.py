"""One server as many callers see it: one shared `Link`, made when first needed and made again after a loss."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from rota.broker.failure import NotNow
from rota.broker.link import Link
from rota.broker.patience import pause_seconds
from rota.errors import BrokerError, BrokerUnavailable

T = TypeVar("T")


class Node:
    """Keeps the shared link. Callers that need it at the same time share one attempt and its outcome."""

    def __init__(self, dial: Callable[[], Awaitable[Link]]) -> None:
        self._dial = dial
        self._link: Link | None = None
        self._attempt: asyncio.Task[Link] | None = None
        self._failures = 0
        self._last: BrokerError | None = None
        self._not_before = 0.0
        self._closed = False

    @property
    def link(self) -> Link | None:
        """The link if it is usable right now."""
        link = self._link
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
            self._link = await self._dial()
        except BrokerError as error:
            self._failures += 1
            self._last = NotNow(str(error)) if isinstance(error, NotNow) else error
            self._not_before = asyncio.get_running_loop().time() + pause_seconds(self._failures)
            raise
        self._failures, self._last, self._not_before = 0, None, 0.0
        return self._link

    def retire(self, reason: str) -> None:
        """Let the link end once it has answered what is under way. A new one would be made for who still asks."""
        if self._link is not None:
            self._link.retire(reason)

    async def aclose(self) -> None:
        """Close for good."""
        self._closed = True
        if self._attempt is not None and not self._attempt.done():
            self._attempt.cancel()
            await asyncio.wait([self._attempt])
        if self._link is not None:
            await self._link.aclose()


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
