"""Enqueues that wait for replication: a `WAIT` command after the script, on the same connection."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

from rota.broker import failure
from rota.broker.broker import Broker
from rota.broker.link import Link
from rota.broker.route import look_at, shared
from rota.broker.sync import SyncBroker
from rota.client.delivery import Delivery, Demand
from rota.core.duration import display
from rota.errors import BrokerRefused, BrokerUnavailable, ConfigError
from rota.wire.script import Call

T = TypeVar("T")


class Replicas:
    """Runs scripts and waits for their replication. Has its own connections, because `WAIT` blocks a connection."""

    def __init__(self, broker: Broker, delivery: Delivery) -> None:
        self._broker = Broker(broker.address, broker.options)
        self._demand = Demand(delivery)
        self._seconds = (broker.options.response_timeout + delivery.wait_replicas_timeout).total_seconds()
        self._rounds: WeakKeyDictionary[Link, Rounds] = WeakKeyDictionary()

    async def run(self, call: Call[T]) -> T:
        """Run one script. Raises `Unreplicated` if the script ran, but too few replicas have its writes."""
        reply, link = await self._broker.run_on(call)
        rounds = self._rounds.get(link)
        if rounds is None:
            rounds = self._rounds[link] = Rounds(self._wait)
        try:
            answer = await rounds.next(link)
        except BrokerUnavailable as error:
            # The script ran, so the error must say that it may have been applied. The next attempt may reach a new
            # master.
            raise failure.lost(link.endpoint, error) from error
        return self._demand.judge(reply, answer)

    async def _wait(self, link: Link) -> int | BrokerRefused:
        try:
            return int(await link.execute(*self._demand.words, timeout_seconds=self._seconds))
        except BrokerRefused as error:
            return error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._broker.aclose()


class Rounds:
    """Runs one `WAIT` at a time on a connection. Calls that arrive while a `WAIT` is running share the next one."""

    def __init__(self, ask: Callable[[Link], Awaitable[int | BrokerRefused]]) -> None:
        self._ask = ask
        self._under_way = asyncio.Lock()
        self._next: asyncio.Task[int | BrokerRefused] | None = None

    async def next(self, link: Link) -> int | BrokerRefused:
        """Wait for a round that starts after this call, because a running `WAIT` does not cover the latest write."""
        if self._next is None or self._next.done():  # done if it was cancelled, by code that cancels every task
            self._next = asyncio.create_task(self._round(link))
            self._next.add_done_callback(look_at)
        return await shared(self._next)

    async def _round(self, link: Link) -> int | BrokerRefused:
        async with self._under_way:
            self._next = None
            return await self._ask(link)


class SyncReplicas:
    """The same as `Replicas` for blocking code, where each thread has its own connection."""

    def __init__(self, broker: SyncBroker, delivery: Delivery) -> None:
        if delivery.wait_replicas_timeout >= broker.options.response_timeout:
            raise ConfigError(
                f"wait_replicas_timeout ({display(delivery.wait_replicas_timeout)}) must be shorter than "
                f"response_timeout ({display(broker.options.response_timeout)}): no reply comes before."
            )
        self._broker = broker
        self._demand = Demand(delivery)

    def run(self, call: Call[T]) -> T:
        """Run one script. Raises `Unreplicated` if the script ran, but too few replicas have its writes."""
        reply, answer = self._broker.run_then(call, *self._demand.words)
        return self._demand.judge(reply, answer)
