"""The broker as the async program sees it: run scripts on whatever server holds their keys."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from copy import copy
from dataclasses import replace
from datetime import timedelta
from typing import Any, Self, TypeVar

from rota.broker.cluster import ClusterRoute
from rota.broker.dial import Login
from rota.broker.failure import NotNow, SlotMoved
from rota.broker.link import Link
from rota.broker.options import BrokerOptions
from rota.broker.retry_budget import RetryBudget
from rota.broker.route import ServerRoute, SingleRoute
from rota.broker.sentinel import SentinelRoute, sentinel_login
from rota.broker.server_info import NO_INFO, ServerInfo, merge, read
from rota.broker.subscription import Channels, Subscription
from rota.broker.sync import SyncBroker
from rota.broker.url import Address, parse
from rota.errors import BrokerError, BrokerRefused
from rota.wire.keys import Keys
from rota.wire.script import Argument, Call

T = TypeVar("T")


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
        # Half as often as a fetcher: what is missed here is found by a heartbeat, or by whoever waits for a result.
        self._channels = Channels(lambda: self._dial(None), self._retry_seconds, 2 * options.silence_seconds)

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
            return await self._persist(key, lambda link, asking: link.run(call, asking=asking), error)

    async def run_via(self, link: Link, call: Call[T]) -> T:
        """Run one script on a link of the caller's own. Where its slot has moved meanwhile, it follows the slot."""
        try:
            return await link.run(call)
        except SlotMoved:
            return await self.run(call)

    async def run_on(self, call: Call[T]) -> tuple[T, Link]:
        """Run one script, and tell on which link: what follows there comes after its writes (`WAIT`)."""

        async def request(link: Link, asking: bool) -> tuple[T, Link]:
            return await link.run(call, asking=asking), link

        return await self._persist(call.keys[0], request)

    async def execute(self, *words: Argument, key: str | None = None) -> Any:
        """Run one plain command where `key` lives (anywhere without one) and return its raw reply."""
        return await self._persist(key, lambda link, asking: link.execute(*words, asking=asking))

    async def execute_everywhere(self, *words: Argument) -> dict[str, Any]:
        """Run one plain command on every server that takes writes, and return the raw replies by server."""
        await self._persist(None, _itself)
        links = await self._route.links(self._retry_seconds)
        replies = await asyncio.gather(*(link.execute(*words) for link in links))
        return {str(link.endpoint): reply for link, reply in zip(links, replies, strict=True)}

    async def run_many(self, calls: Sequence[Call[T]]) -> list[T | BrokerError]:
        """Run scripts in one burst for each server; results in order, errors as values."""
        links = await self._links({call.keys[0] for call in calls})
        places: dict[Link, list[int]] = {}
        results: list[Any] = [None] * len(calls)
        for i, call in enumerate(calls):
            link = links[call.keys[0]]
            if isinstance(link, Link):
                places.setdefault(link, []).append(i)
            else:
                results[i] = link
        bursts = [self._burst(link, [calls[i] for i in indexes]) for link, indexes in places.items()]
        for indexes, outcomes in zip(places.values(), await asyncio.gather(*bursts), strict=True):
            for i, outcome in zip(indexes, outcomes, strict=True):
                results[i] = outcome
        return results

    async def reach(self, keys: Iterable[str]) -> dict[str, BrokerError]:
        """Connect to the servers of keys, so that what is run next is sent at once; return what cannot be reached."""
        links = await self._links(set(keys))
        return {key: link for key, link in links.items() if not isinstance(link, Link)}

    async def _links(self, keys: set[str]) -> dict[str, Link | BrokerError]:
        links: dict[str, Link | BrokerError] = {}
        missing: list[str] = []
        for key in keys:
            link = self._route.current(key)
            if link is None:
                missing.append(key)
            else:
                links[key] = link
        if missing:
            found = await asyncio.gather(*(self._persist(key, _itself) for key in missing), return_exceptions=True)
            for key, outcome in zip(missing, found, strict=True):
                if isinstance(outcome, BaseException) and not isinstance(outcome, BrokerError):
                    raise outcome
                links[key] = outcome
        return links

    async def _burst(self, link: Link, calls: Sequence[Call[T]]) -> list[T | BrokerError]:
        outcomes = await link.run_many(calls)
        again = [(i, outcome) for i, outcome in enumerate(outcomes) if isinstance(outcome, NotNow)]
        if again:
            second = [self._second_chance(calls[i], error) for i, error in again]
            for (i, _), outcome in zip(again, await asyncio.gather(*second), strict=True):
                outcomes[i] = outcome
        return outcomes

    async def _second_chance(self, call: Call[Any], error: NotNow) -> Any:
        try:
            return await self._persist(call.keys[0], lambda link, asking: link.run(call, asking=asking), error)
        except BrokerError as final:
            return final

    def subscribe(self, *channels: str) -> Subscription:
        """Listen to channels, from `async with` on: `async for channel, payload in subscription`."""
        return Subscription(self._channels, channels)

    async def open_link(self, key: str) -> Link:
        """Open a further connection of the caller's own, to the server that holds `key`."""
        return await self._dial(key)

    @property
    def clustered(self) -> bool:
        """Whether this is a Cluster, where the keys of one call must share a slot."""
        return isinstance(self._route, ClusterRoute)

    async def place(self, key: str) -> str:
        """Name the server that holds `key` now: keys with the same answer can share a link."""
        return str((await self._persist(key, _itself)).endpoint)

    async def survey(self) -> None:
        """Ask a Cluster again which node serves which slot. Elsewhere there is nothing to ask."""
        await self._route.survey()

    async def check(self) -> ServerInfo:
        """Look whether the server will do. Raises `BrokerRefused` where it will not; warnings come as values."""
        await self._persist(None, _itself)
        return merge([await _facts(link) for link in await self._route.links(self._retry_seconds)])

    def within(self, retry_for: timedelta) -> Self:
        """Return this broker with another patience. Both share their connections."""
        made = copy(self)
        made.options = replace(self.options, retry_for=retry_for)
        made._retry_seconds = retry_for.total_seconds()
        return made

    def sync(self) -> SyncBroker:
        """Make a broker for blocking code, with the same URL and options and connections of its own."""
        return SyncBroker(self.address, self.options)

    async def aclose(self) -> None:
        """Close every connection of this broker but those of `open_link`."""
        await self._channels.aclose()
        await self._route.aclose()

    async def __aenter__(self) -> "Broker":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    async def _dial(self, key: str | None) -> Link:
        patience = RetryBudget(self._retry_seconds)
        while True:
            try:
                return await self._route.dial(key)
            except NotNow as error:
                self._route.learn(error)
                await asyncio.sleep(patience.pause_after(error))

    async def _persist(
        self,
        key: str | None,
        request: Callable[[Link, bool], Awaitable[T]],
        error: NotNow | None = None,
    ) -> T:
        """Repeat a request that was not carried out until it is, or until the time for that is over."""
        patience = RetryBudget(self._retry_seconds)
        while True:
            if error is not None:
                self._route.learn(error)
                await asyncio.sleep(patience.pause_after(error))
            left = patience.left_seconds()
            try:
                if isinstance(error, SlotMoved) and error.ask:
                    return await request(await self._route.redirected(error.endpoint, left), True)
                link = self._route.current(key) or await self._route.connect(key, left)
                return await request(link, False)
            except NotNow as again:
                error = again


async def _itself(link: Link, asking: bool) -> Link:
    return link


async def _facts(link: Link) -> ServerInfo:
    try:
        text: bytes = await link.execute("INFO")
    except BrokerRefused:
        return ServerInfo(warnings=(NO_INFO,))
    return read(text.decode(errors="replace"), link.endpoint)


def _route(address: Address, options: BrokerOptions) -> ServerRoute:
    login = Login.to_server(address, options)
    if address.mode == "sentinel":
        return SentinelRoute(address, login, sentinel_login(address, options))
    if address.mode == "cluster":
        return ClusterRoute(address, login)
    return SingleRoute(address.endpoints[0], login)
