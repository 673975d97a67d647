"""Pub/sub: one connection that all subscriptions of a broker share, and that reconnects after a loss.

`Channels` opens the connection with the first subscription, subscribes again to every channel after a reconnect, and
pings the server while the connection is idle. Messages published while it is down are lost, as always with pub/sub.
"""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any

from hiredis import ReplyError

from rota import events
from rota.broker import failure
from rota.broker.failure import NotNow, RetryBudget
from rota.broker.link import Link
from rota.broker.route import Node, look_at
from rota.errors import BrokerError, BrokerUnavailable

_AFTER_A_FAULT_SECONDS = 1.0


class Subscription:
    """Messages of some channels: `async for channel, payload in subscription`.

    Inside `async with` the server has confirmed the channels. Messages published while the connection was down are
    lost; `reconnects` counts how often that may have happened, so that the reader can poll once after each.
    """

    def __init__(self, channels: "Channels", names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.reconnects = 0
        self._channels = channels
        self._arrived: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    def put(self, channel: str, payload: bytes) -> None:
        """Add a message to those that `get` returns."""
        self._arrived.put_nowait((channel, payload))

    async def get(self) -> tuple[str, bytes]:
        """Wait for the next message."""
        return await self._arrived.get()

    async def __aenter__(self) -> "Subscription":
        try:
            await self._channels.add(self)
        except BaseException:
            await self._channels.remove(self)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channels.remove(self)

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> tuple[str, bytes]:
        return await self._arrived.get()


class Channels:
    """The subscriptions to each channel, and their shared connection."""

    def __init__(self, dial: Callable[[], Awaitable[Link]], timeout_seconds: float, ping_every_seconds: float) -> None:
        self._dial = dial
        self._ping_every_seconds = ping_every_seconds
        self._next_ping: asyncio.TimerHandle | None = None
        self._timeout_seconds = timeout_seconds
        self._listeners: dict[str, set[Subscription]] = {}
        self._node = Node(self._open)
        self._revival: asyncio.Task[None] | None = None

    async def add(self, subscription: Subscription) -> None:
        """Add a subscription. Returns when the server has confirmed every channel."""
        for name in subscription.names:
            self._listeners.setdefault(name, set()).add(subscription)
        budget = RetryBudget(self._timeout_seconds)
        while True:
            try:
                link = await self._node.connect(budget.left_seconds())
                # A second SUBSCRIBE to the same channel is harmless. Its confirmation shows that the channel is active.
                return await _confirm(link, subscription.names)
            except BrokerUnavailable as error:
                if not (isinstance(error, NotNow) or error.maybe_applied):
                    raise  # the broker was closed
                await asyncio.sleep(budget.pause_after(error))

    async def remove(self, subscription: Subscription) -> None:
        """Remove a subscription, and unsubscribe from its channels that have no other subscription."""
        unheard: list[str] = []
        for name in subscription.names:
            listeners = self._listeners.get(name, set())
            listeners.discard(subscription)
            if not listeners and self._listeners.pop(name, None) is not None:
                unheard.append(name)
        link = self._node.link
        if link is not None and unheard:
            with contextlib.suppress(BrokerError):
                # The replies are not awaited, so that a server that does not answer cannot delay a worker's shutdown.
                for future in link.burst([("UNSUBSCRIBE", name) for name in unheard]):
                    future.add_done_callback(look_at)

    async def aclose(self) -> None:
        """Close the connection. Subscriptions get no further messages."""
        self._listeners.clear()
        if self._revival is not None:
            self._revival.cancel()
            await asyncio.wait([self._revival])
        await self._node.aclose()

    async def _open(self) -> Link:
        link = await self._dial()
        link.on_push = self._deliver
        try:
            await _confirm(link, list(self._listeners))
        except BaseException:
            link.close()
            raise
        link.on_close = self._lost
        self._ping(link)
        return link

    def _ping(self, link: Link) -> None:
        # A subscription sends no requests, so only a ping shows that a server has vanished without closing the
        # connection. Any reply will do, so there is no ping while another request waits for one.
        if not link.closed:
            if not link.pending:
                link.send(("PING",)).add_done_callback(look_at)
            loop = asyncio.get_running_loop()
            self._next_ping = loop.call_later(self._ping_every_seconds, self._ping, link)

    def _deliver(self, words: list[Any]) -> None:
        if words[0] == b"message":
            name = words[1].decode()
            for subscription in tuple(self._listeners.get(name, ())):
                subscription.put(name, words[2])

    def _lost(self) -> None:
        if self._next_ping is not None:
            self._next_ping.cancel()
        if self._listeners:
            self._revival = asyncio.get_running_loop().create_task(self._revive())

    async def _revive(self) -> None:
        while self._listeners:
            try:
                await self._node.connect(math.inf)
            except BrokerError:
                continue  # `Node.connect` backs off by itself
            except Exception as error:
                events.emit(events.SubscriptionFailed(error=error))
                await asyncio.sleep(_AFTER_A_FAULT_SECONDS)
                continue
            for subscription in {each for listeners in self._listeners.values() for each in listeners}:
                subscription.reconnects += 1
            return


async def _confirm(link: Link, names: Sequence[str]) -> None:
    futures = link.burst([("SUBSCRIBE", name) for name in names])
    for reply in [await future for future in futures]:
        if isinstance(reply, ReplyError):
            raise failure.of_reply(reply, ("SUBSCRIBE",), link.endpoint)
