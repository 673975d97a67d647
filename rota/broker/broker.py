"""The broker as the async program sees it: run scripts on whatever server holds their keys."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from rota.broker.dial import Login
from rota.broker.failure import Moved, NotNow
from rota.broker.link import Link
from rota.broker.node import pause_seconds
from rota.broker.options import BrokerOptions
from rota.broker.route import Route, SingleRoute
from rota.broker.subscription import Channels, Subscription
from rota.broker.url import Address, parse
from rota.errors import BrokerError, BrokerUnavailable
from rota.wire.keys import Keys
from rota.wire.script import Argument, Call

T = TypeVar("T")

_MOST_REDIRECTS = 5


class Broker:
    """Connections are made when first needed and made again when lost.

    A request is tried again by itself only when it surely was not carried out, for at most `options.retry_for`.
    One that may have been carried out fails with `BrokerUnavailable(maybe_applied=True)`: the caller knows whether
    it may be repeated. Use one broker in one event loop.
    """

    def __init__(self, address: Address, options: BrokerOptions) -> None:
        self.address = address
        self.options = options
        self.keys = Keys(options.key_prefix)
        self._retry_seconds = options.retry_for.total_seconds()
        self._route = _route(address, options)
        self._channels = Channels(lambda: self._dial(None), self._retry_seconds)

    @classmethod
    def from_url(cls, url: str, *, options: BrokerOptions | None = None) -> "Broker":
        """Read the URL; connect later. Raises `ConfigError` on a wrong one."""
        return cls(parse(url), options or BrokerOptions())

    async def run(self, call: Call[T]) -> T:
        """Run one script where its first key lives."""
        key = call.keys[0]
        link = self._route.current(key)
        if link is None:
            return await self._persist(key, lambda link, asking: link.run(call, asking=asking))
        try:
            return await link.run(call)
        except NotNow as error:
            return await self._persist(key, lambda link, asking: link.run(call, asking=asking), error, link)

    async def execute(self, *words: Argument, key: str | None = None) -> Any:
        """Run one plain command where `key` lives (anywhere without one) and return its raw reply."""
        return await self._persist(key, lambda link, asking: link.execute(*words, asking=asking))

    async def run_many(self, calls: Sequence[Call[T]]) -> list[T | BrokerError]:
        """Run scripts in one burst for each server; results in order, errors as values."""
        by_link: dict[Link, list[int]] = {}
        results: list[Any] = [None] * len(calls)
        for i, call in enumerate(calls):
            try:
                link = self._route.current(call.keys[0]) or await self._persist(call.keys[0], _itself)
            except BrokerError as error:
                results[i] = error
            else:
                by_link.setdefault(link, []).append(i)
        bursts = [self._burst(link, [calls[i] for i in places]) for link, places in by_link.items()]
        for places, replies in zip(by_link.values(), await asyncio.gather(*bursts), strict=True):
            for i, reply in zip(places, replies, strict=True):
                results[i] = reply
        return results

    async def _burst(self, link: Link, calls: Sequence[Call[T]]) -> list[T | BrokerError]:
        results = await link.run_many(calls)
        for i, result in enumerate(results):
            if isinstance(result, NotNow):
                try:
                    results[i] = await self.run(calls[i])
                except BrokerError as error:
                    results[i] = error
        return results

    def subscribe(self, *channels: str) -> Subscription:
        """Listen to channels: `async with broker.subscribe("a") as messages: async for channel, payload in messages`."""
        return Subscription(self._channels, channels)

    async def open_link(self, key: str) -> Link:
        """Open a further connection of the caller's own, to the server that holds `key`."""
        return await self._dial(key)

    async def aclose(self) -> None:
        """Close every connection of this broker but those of `open_link`."""
        await self._channels.aclose()
        await self._route.aclose()

    async def __aenter__(self) -> "Broker":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    async def _dial(self, key: str | None) -> Link:
        deadline = asyncio.get_running_loop().time() + self._retry_seconds
        failures = 0
        while True:
            try:
                return await self._route.dial(key)
            except NotNow as error:
                self._route.learn(error, None)
                failures += 1
                await self._pause(failures, deadline, error)

    async def _persist(
        self,
        key: str | None,
        request: Callable[[Link, bool], Awaitable[T]],
        error: NotNow | None = None,
        link: Link | None = None,
    ) -> T:
        """Repeat a request that was not carried out until it is, or until the time for that is over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._retry_seconds
        failures = redirects = 0
        while True:
            asking = False
            if error is not None:
                self._route.learn(error, link)
                if isinstance(error, Moved) and redirects < _MOST_REDIRECTS:
                    redirects += 1
                    asking = error.ask
                else:
                    failures += 1
                    await self._pause(failures, deadline, error)
            left = max(0.0, deadline - loop.time())
            try:
                if asking and isinstance(error, Moved):
                    link = await self._route.redirected(error.endpoint, left)
                else:
                    link = self._route.current(key) or await self._route.connect(key, left)
                return await request(link, asking)
            except NotNow as again:
                error = again

    async def _pause(self, failures: int, deadline: float, error: BrokerUnavailable) -> None:
        pause = pause_seconds(failures)
        if asyncio.get_running_loop().time() + pause > deadline:
            raise error
        await asyncio.sleep(pause)


async def _itself(link: Link, asking: bool) -> Link:
    return link


def _route(address: Address, options: BrokerOptions) -> Route:
    login = Login.to_server(address, options)
    return SingleRoute(address.endpoints[0], login)
