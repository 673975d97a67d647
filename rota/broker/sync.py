"""The broker for blocking code (Django, Flask, scripts). It can be shared by threads and survives a fork.

`SyncBroker` mirrors `Broker`, but each request takes an idle connection from a pool (`rota.broker.sync_link`) and gives
it back, because a blocking caller cannot share a connection. Requests of several threads are not pipelined.
"""

import math
import time
import weakref
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from hiredis import ReplyError

from rota.broker import failure
from rota.broker.broker_options import BrokerOptions
from rota.broker.dial import Login
from rota.broker.failure import NotNow, RetryBudget, SlotMoved
from rota.broker.script_cache import Words, is_unknown_script
from rota.broker.sentinel import sentinel_login
from rota.broker.server_info import NO_INFO, ServerInfo, merge, read
from rota.broker.sync_link import SHORTEST_SECONDS, Pool, SyncLink
from rota.broker.sync_route import SyncClusterRoute, SyncRoute, SyncSentinelRoute, SyncSingleRoute
from rota.broker.url import Address, Endpoint, parse
from rota.errors import BrokerError, BrokerRefused, BrokerUnavailable
from rota.wire.keys import Keys
from rota.wire.script import Argument, Call

T = TypeVar("T")


class SyncSubscription:
    """Messages of some channels, on a separate connection. Inside `with` the server has confirmed the channels."""

    def __init__(self, broker: "SyncBroker", channels: Sequence[str]) -> None:
        self._broker = broker
        self._channels = channels
        self._link: SyncLink | None = None

    def __enter__(self) -> "SyncSubscription":
        words: list[Words] = [("SUBSCRIBE", channel) for channel in self._channels]
        self._link = self._broker.open_link()
        for reply in self._link.request(words):
            if isinstance(reply, ReplyError):
                self._link.close()
                raise failure.of_reply(reply, ("SUBSCRIBE",), self._link.endpoint)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._link is not None:
            self._link.close()

    def get(self, timeout: timedelta) -> tuple[str, bytes] | None:
        """Wait for the next message. Returns None after the time-out; raises if the connection is lost."""
        if self._link is not None and self._link.wait_for_push(timeout.total_seconds()):
            return self._link.messages.popleft()
        return None


class SyncBroker:
    """Gives the same guarantees as `Broker`: retries only what the server certainly did not carry out."""

    def __init__(self, address: Address, options: BrokerOptions) -> None:
        self.address = address
        self.options = options
        self.keys = Keys(options.key_prefix)
        self._retry_seconds = options.retry_for.total_seconds()
        self._answer_by = math.inf
        self._login = Login.to_server(address, options)
        self._pools: dict[Endpoint, Pool] = {}
        # Closes the sockets of a program that ends without closing its broker.
        weakref.finalize(self, _close, self._pools)
        self._route = self._choose_route()

    @classmethod
    def from_url(cls, url: str, *, options: BrokerOptions | None = None) -> "SyncBroker":
        """Parse the URL without connecting. Raises `ConfigError` if the URL is not valid."""
        return cls(parse(url), options or BrokerOptions())

    def run(self, call: Call[T]) -> T:
        """Run one script on the server that holds its first key."""
        return self._persist(call.keys[0], lambda link, asking: _run(link, call, asking))

    def run_then(self, call: Call[T], *words: Argument) -> tuple[T, Any]:
        """Run one script, then a command on the same connection (`WAIT`), and return both replies.

        If the server refuses the command, the second reply is a `BrokerRefused`, because the script has run.
        """

        def request(link: SyncLink, asking: bool) -> tuple[T, Any]:
            result = _run(link, call, asking)
            try:
                [reply] = link.request([words])
            except NotNow as error:  # the script was carried out, so the request as a whole must not be retried
                raise failure.lost(link.endpoint, error) from error
            return result, failure.of_reply(reply, words, link.endpoint) if isinstance(reply, ReplyError) else reply

        return self._persist(call.keys[0], request)

    def execute(self, *words: Argument, key: str | None = None) -> Any:
        """Run one plain command on the server of `key` (on any server without a key) and return its raw reply."""
        return self._persist(key, lambda link, asking: link.execute(words, asking=asking))

    def execute_everywhere(self, *words: Argument) -> dict[str, Any]:
        """Run one plain command on every master, and return the raw replies by server."""
        masters = self._repeat(lambda error: self._route.masters())
        return {str(each): self._on(each, lambda link: link.execute(words)) for each in masters}

    def run_many(self, calls: Sequence[Call[T]]) -> list[T | BrokerError]:
        """Run scripts in one burst for each server. Returns results in order, with errors as values."""
        deadline = time.monotonic() + self._retry_seconds
        indexes_by_server: dict[Endpoint, list[int]] = {}
        results: list[Any] = [None] * len(calls)
        for i, call in enumerate(calls):
            try:
                indexes_by_server.setdefault(self._route.locate(call.keys[0]), []).append(i)
            except BrokerError as error:
                results[i] = error
        for endpoint, indexes in indexes_by_server.items():
            burst = [calls[i] for i in indexes]
            for i, outcome in zip(indexes, self._burst(endpoint, burst), strict=True):
                results[i] = outcome
        for i, outcome in enumerate(results):
            if isinstance(outcome, NotNow):
                results[i] = self._second_chance(calls[i], outcome, deadline)
        return results

    def subscribe(self, *channels: str) -> SyncSubscription:
        """Subscribe to channels: `with broker.subscribe("a") as messages: messages.get(timedelta(seconds=5))`."""
        return SyncSubscription(self, channels)

    def wait_for_message(self, channel: str, timeout: timedelta) -> bytes | None:
        """Subscribe to one channel and return its first message, or None after the time-out."""
        with self.subscribe(channel) as messages:
            message = messages.get(timeout)
        return None if message is None else message[1]

    def open_link(self, key: str | None = None) -> SyncLink:
        """Open a connection for the caller alone. The caller closes it."""
        return self._repeat(lambda error: self._connect(self._route.locate(key)))

    @property
    def clustered(self) -> bool:
        """Whether this is a Cluster, where the keys of one call must share a slot."""
        return isinstance(self._route, SyncClusterRoute)

    def check(self) -> ServerInfo:
        """Check version, role and settings of each master. Raises `BrokerRefused` if one cannot be used.

        Problems that do not prevent use are returned as `warnings`.
        """
        masters = self._repeat(lambda error: self._route.masters())
        return merge([self._facts(endpoint) for endpoint in masters])

    def within(self, retry_for: timedelta) -> Self:
        """Return a copy of this broker with another `retry_for`. Both share their connections."""
        made = copy(self)
        made.options = replace(self.options, retry_for=retry_for)
        made._retry_seconds = retry_for.total_seconds()
        return made

    def until(self, instant: float) -> Self:
        """Return a copy of this broker that gives up each request at an instant of `time.monotonic()`.

        Both share their connections. Only the search for the nodes of Sentinel and a Cluster may take longer.
        """
        made = copy(self)
        made._answer_by = instant
        return made

    def close(self) -> None:
        """Close the idle connections. Connections in use stay open, and the broker can still be used."""
        _close(self._pools)

    def __enter__(self) -> "SyncBroker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _choose_route(self) -> SyncRoute:
        if self.address.mode == "sentinel":
            return SyncSentinelRoute(self.address, sentinel_login(self.address, self.options))
        if self.address.mode == "cluster":
            return SyncClusterRoute(self.address, self._ask)
        return SyncSingleRoute(self.address.endpoints[0])

    async def _ask(self, node: Endpoint, words: Words) -> Any:
        return self._on(node, lambda link: link.execute(words))

    def _persist(self, key: str | None, request: Callable[[SyncLink, bool], T]) -> T:
        """Run a request, and repeat it after each `NotNow` until it succeeds or `retry_for` is over."""

        def attempt(error: NotNow | None) -> T:
            asking = isinstance(error, SlotMoved) and error.ask
            endpoint = error.endpoint if isinstance(error, SlotMoved) and error.ask else self._route.locate(key)
            return self._on(endpoint, lambda link: request(link, asking))

        return self._repeat(attempt)

    def _repeat(self, attempt: Callable[[NotNow | None], T], error: NotNow | None = None) -> T:
        budget = RetryBudget(min(self._retry_seconds, self._answer_by - time.monotonic()))
        while True:
            if error is not None:
                self._route.learn(error)
                time.sleep(budget.pause_after(error))
            try:
                return attempt(error)
            except NotNow as again:
                error = again
            except BrokerUnavailable as final:
                self._route.learn(final)
                raise

    def _on(self, endpoint: Endpoint, request: Callable[[SyncLink], T]) -> T:
        pool = self._pool(endpoint)
        link = pool.take() or self._connect(endpoint)
        link.answer_by = self._answer_by
        try:
            return request(link)
        except failure.Demoted:
            link.close()
            raise
        finally:
            pool.give(link)

    def _pool(self, endpoint: Endpoint) -> Pool:
        # `setdefault` is atomic, so two threads that ask for a new endpoint at the same time get the same pool.
        return self._pools.get(endpoint) or self._pools.setdefault(endpoint, Pool())

    def _connect(self, endpoint: Endpoint) -> SyncLink:
        seconds = max(SHORTEST_SECONDS, min(self._login.connect_timeout_seconds, self._answer_by - time.monotonic()))
        link = SyncLink(endpoint, replace(self._login, connect_timeout_seconds=seconds))
        link.answer_by = self._answer_by
        try:
            self._route.verify(link)
        except BaseException:
            link.close()
            raise
        return link

    def _burst(self, endpoint: Endpoint, calls: Sequence[Call[Any]]) -> list[Any]:
        try:
            return self._on(endpoint, lambda link: _run_many(link, calls))
        except BrokerError as error:
            return [error] * len(calls)

    def _second_chance(self, call: Call[T], error: NotNow, deadline: float) -> T | BrokerError:
        if time.monotonic() > deadline:
            return error  # the burst, or retries of its other calls, have used up the time
        try:
            return self.run(call)
        except BrokerError as final:
            return final

    def _facts(self, endpoint: Endpoint) -> ServerInfo:
        text = self._on(endpoint, _info)
        return ServerInfo(warnings=(NO_INFO,)) if text is None else read(text.decode(errors="replace"), endpoint)


def _info(link: SyncLink) -> bytes | None:
    """Return the text of `INFO`; None if this user may not run it."""
    try:
        text: bytes = link.execute(("INFO",))
    except BrokerRefused:
        return None
    return text


def _close(pools: dict[Endpoint, Pool]) -> None:
    for pool in list(pools.values()):
        pool.close()


def _run(link: SyncLink, call: Call[T], asking: bool) -> T:
    words = link.sources.words(call)
    reply = link.request([("ASKING",), words] if asking else [words])[-1]
    if is_unknown_script(reply):
        reply = link.execute(link.sources.again([call])[0], asking=asking)
    elif isinstance(reply, ReplyError):
        raise failure.of_reply(reply, words, link.endpoint)
    return _decoded(link, call, reply)


def _decoded(link: SyncLink, call: Call[T], reply: Any) -> T:
    try:
        return call.decode(reply)
    except Exception as error:  # the reply may belong to another request, as may all later ones (see `Link`)
        link.close()
        raise _nonsense(link, call) from error


def _nonsense(link: SyncLink, call: Call[Any]) -> BrokerUnavailable:
    return failure.lost(link.endpoint, f"the reply to {call.script.name} makes no sense")


def _run_many(link: SyncLink, calls: Sequence[Call[T]]) -> list[T | BrokerError]:
    makes_sense = True

    def outcome(call: Call[T], reply: Any) -> Any:
        nonlocal makes_sense
        if isinstance(reply, ReplyError):
            return reply
        try:
            return call.decode(reply)
        except Exception as error:
            makes_sense = False
            fault = _nonsense(link, call)
            fault.__cause__ = error
            return fault

    results = link.request([link.sources.words(call) for call in calls], lambda i, reply: outcome(calls[i], reply))
    unknown = [i for i, result in enumerate(results) if is_unknown_script(result)]
    if unknown and makes_sense:
        words = link.sources.again(calls[i] for i in unknown)
        again = link.request(words, lambda n, reply: outcome(calls[unknown[n]], reply))
        for i, result in zip(unknown, again, strict=True):
            results[i] = result
    if not makes_sense:
        link.close()
    return [
        failure.of_reply(result, call.command(), link.endpoint) if isinstance(result, ReplyError) else result
        for call, result in zip(calls, results, strict=True)
    ]
