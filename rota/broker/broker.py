"""The broker for asyncio: runs each script on the server that holds its keys.

A request goes through these steps:

1. If the shared link to the server of its first key is connected, the request is sent on it at once.
2. Otherwise the route (`rota.broker.route`, `sentinel` or `cluster`) finds the server and connects.
3. After a `NotNow` error the route updates what it knows, and the request is sent again after a delay, for at most
   `retry_for`. Any other error is raised.

The broker does not decide whether a request that may have been carried out can be repeated. That depends on the script.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from copy import copy
from dataclasses import replace
from datetime import timedelta
from typing import Any, Self, TypeVar

from hiredis import ReplyError

from rota.broker.broker_options import BrokerOptions
from rota.broker.cluster import ClusterRoute
from rota.broker.dial import Login
from rota.broker.failure import NotNow, RetryBudget, SlotMoved
from rota.broker.link import Link
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
    """Runs scripts and commands over connections that it opens on first use and reopens after a loss.

    The broker retries a request only if the server certainly did not carry it out, for at most `options.retry_for`.
    A request that the server may have carried out fails with `BrokerUnavailable(maybe_applied=True)`, and the caller
    decides whether to repeat it. Use one broker in one event loop.
    """

    def __init__(self, address: Address, options: BrokerOptions) -> None:
        self.address = address
        self.options = options
        self.keys = Keys(options.key_prefix)
        self._retry_seconds = options.retry_for.total_seconds()
        self._route = _route(address, options)
        self.clustered = isinstance(self._route, ClusterRoute)
        """Whether this is a Cluster, where the keys of one call must share a slot."""
        # Pings half as often as a fetcher does: a heartbeat, or the caller that waits for a result, also polls for
        # what a lost message would have announced.
        self._channels = Channels(lambda: self._dial(None), self._retry_seconds, 2 * options.silence_seconds)

    @classmethod
    def from_url(cls, url: str, *, options: BrokerOptions | None = None) -> "Broker":
        """Parse the URL without connecting. Raises `ConfigError` if the URL is not valid."""
        return cls(parse(url), options or BrokerOptions())

    async def run(self, call: Call[T]) -> T:
        """Run one script on the server that holds its first key."""
        key = call.keys[0]
        link = self._route.current(key)
        if link is None:
            return await self._persist(key, lambda link, asking: link.run(call, asking=asking))
        try:
            # The same as `await link.run(call)`, with one coroutine less for each request.
            future = link.start(call)
            if future is None:
                return await link.run(call)
            reply = await future
            if reply.__class__ is ReplyError:
                return await link.run_refused(call, reply)
        except NotNow as error:
            return await self._persist(key, lambda link, asking: link.run(call, asking=asking), error)
        try:
            return call.decode(reply)
        except Exception as error:
            raise link.senseless(call) from error

    def run_via(self, link: Link, call: Call[T]) -> Coroutine[Any, Any, T]:
        """Run one script on a link that the caller opened; on the new node of its slot if the slot has moved."""
        return self._run_via(link, call) if self.clustered else link.run(call)

    async def _run_via(self, link: Link, call: Call[T]) -> T:
        try:
            return await link.run(call)
        except SlotMoved:
            return await self.run(call)

    async def run_on(self, call: Call[T]) -> tuple[T, Link]:
        """Run one script, and return its link too: a `WAIT` on the same link covers the script's writes."""

        async def request(link: Link, asking: bool) -> tuple[T, Link]:
            return await link.run(call, asking=asking), link

        return await self._persist(call.keys[0], request)

    async def execute(self, *words: Argument, key: str | None = None) -> Any:
        """Run one plain command on the server of `key` (on any server without a key) and return its raw reply."""
        return await self._persist(key, lambda link, asking: link.execute(*words, asking=asking))

    async def execute_everywhere(self, *words: Argument) -> dict[str, Any]:
        """Run one plain command on every master, and return the raw replies by server."""
        await self._persist(None, _itself)
        links = await self._route.links(self._retry_seconds)
        replies = await asyncio.gather(*(link.execute(*words) for link in links))
        return {str(link.endpoint): reply for link, reply in zip(links, replies, strict=True)}

    async def run_many(self, calls: Sequence[Call[T]]) -> list[T | BrokerError]:
        """Run scripts in one burst for each server. Returns results in order, with errors as values."""
        links = await self._links({call.keys[0] for call in calls})
        indexes_by_link: dict[Link, list[int]] = {}
        results: list[Any] = [None] * len(calls)
        for i, call in enumerate(calls):
            link = links[call.keys[0]]
            if isinstance(link, Link):
                indexes_by_link.setdefault(link, []).append(i)
            else:
                results[i] = link
        bursts = [self._burst(link, [calls[i] for i in indexes]) for link, indexes in indexes_by_link.items()]
        for indexes, outcomes in zip(indexes_by_link.values(), await asyncio.gather(*bursts), strict=True):
            for i, outcome in zip(indexes, outcomes, strict=True):
                results[i] = outcome
        return results

    async def reach(self, keys: Iterable[str]) -> dict[str, BrokerError]:
        """Connect to the servers of keys ahead of the next requests; return the errors by key."""
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
        """Subscribe to channels within `async with`: `async for channel, payload in subscription`."""
        return Subscription(self._channels, channels)

    async def open_link(self, key: str) -> Link:
        """Open a connection to the server that holds `key` for the caller alone. The caller closes it."""
        return await self._dial(key)

    async def node_of(self, key: str) -> str:
        """Return the name of the server that holds `key` now. Keys on the same server can share a link."""
        return str((await self._persist(key, _itself)).endpoint)

    async def survey(self) -> None:
        """Reload the slot map of a Cluster. Does nothing for other servers."""
        await self._route.survey()

    async def check(self) -> ServerInfo:
        """Check version, role and settings of each master. Raises `BrokerRefused` if one cannot be used.

        Problems that do not prevent use are returned as `warnings`.
        """
        await self._persist(None, _itself)
        return merge([await _facts(link) for link in await self._route.links(self._retry_seconds)])

    def within(self, retry_for: timedelta) -> Self:
        """Return a copy of this broker with another `retry_for`. Both share their connections."""
        made = copy(self)
        made.options = replace(self.options, retry_for=retry_for)
        made._retry_seconds = retry_for.total_seconds()
        return made

    def sync(self) -> SyncBroker:
        """Make a broker for blocking code with the same URL and options, but with separate connections."""
        return SyncBroker(self.address, self.options)

    async def aclose(self) -> None:
        """Close every connection of this broker except those made by `open_link`."""
        await self._channels.aclose()
        await self._route.aclose()

    async def __aenter__(self) -> "Broker":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    async def _dial(self, key: str | None) -> Link:
        budget = RetryBudget(self._retry_seconds)
        while True:
            try:
                return await self._route.dial(key)
            except NotNow as error:
                self._route.learn(error)
                await asyncio.sleep(budget.pause_after(error))

    async def _persist(
        self,
        key: str | None,
        request: Callable[[Link, bool], Awaitable[T]],
        error: NotNow | None = None,
    ) -> T:
        """Run a request, and repeat it after each `NotNow` until it succeeds or `retry_for` is over."""
        budget = RetryBudget(self._retry_seconds)
        while True:
            if error is not None:
                self._route.learn(error)
                await asyncio.sleep(budget.pause_after(error))
            left = budget.left_seconds()
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
