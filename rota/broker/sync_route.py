"""Finds the server that holds a key, for the sync broker: single server, Sentinel or Cluster.

How the sentinels and the nodes of a Cluster are asked stands in `sentinel` and `slots`, once for both brokers. The
routes differ in what they keep: the async ones share one link to each server, these only remember addresses.
"""

import os
import threading
from typing import Any, Protocol

from rota.broker.dial import Login
from rota.broker.failure import NotNow, SlotMoved
from rota.broker.route import Ask
from rota.broker.script_cache import Words
from rota.broker.sentinel import Sentinels, confirm_master
from rota.broker.slots import SlotMap
from rota.broker.sync_link import SyncLink
from rota.broker.url import Address, Endpoint
from rota.core.sync_bridge import finish
from rota.errors import BrokerError


class SyncRoute(Protocol):
    """Finds the server for a key, and updates what it knows of the servers after failures."""

    def locate(self, key: str | None) -> Endpoint:
        """Return the server of `key`; without a key, any master."""
        ...

    def masters(self) -> tuple[Endpoint, ...]:
        """Return all masters."""
        ...

    def verify(self, link: SyncLink) -> None:
        """Check a new connection before its first use."""
        ...

    def learn(self, error: BrokerError) -> None:
        """Update what is known of the servers from the error of a request that was not carried out."""
        ...


class SyncSingleRoute:
    """A single server with a fixed address."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def locate(self, key: str | None) -> Endpoint:
        """Return the one server."""
        return self._endpoint

    def masters(self) -> tuple[Endpoint, ...]:
        """Return the one server."""
        return (self._endpoint,)

    def verify(self, link: SyncLink) -> None:
        """Accept every connection."""

    def learn(self, error: BrokerError) -> None:
        """Do nothing: there is no other server."""


class SyncSentinelRoute:
    """Asks the sentinels for the master, and asks again after every failure."""

    def __init__(self, address: Address, sentinel_login: Login) -> None:
        self._sentinels = Sentinels(address)
        self._login = sentinel_login
        self._master: Endpoint | None = None

    def locate(self, key: str | None) -> Endpoint:
        """Return the current master."""
        master = self._master
        if master is None:
            master = self._master = finish(self._sentinels.find(self._ask_sentinel))
        return master

    def masters(self) -> tuple[Endpoint, ...]:
        """Return the current master."""
        return (self.locate(None),)

    def verify(self, link: SyncLink) -> None:
        """Check that the server itself reports the role of a master."""

        async def ask(_: Endpoint, words: Words) -> Any:
            return link.execute(words)

        finish(confirm_master(link.endpoint, ask))

    def learn(self, error: BrokerError) -> None:
        """Forget the master, so that the next request asks the sentinels."""
        self._master = None

    async def _ask_sentinel(self, sentinel: Endpoint, words: Words) -> Any:
        link = SyncLink(sentinel, self._login)
        try:
            return link.execute(words)
        finally:
            link.close()


class SyncClusterRoute:
    """Finds the master of a key's slot."""

    def __init__(self, address: Address, ask: Ask) -> None:
        """`ask` never waits: it blocks."""
        self._seeds = address.endpoints
        self._ask = ask
        self._slots = SlotMap()
        self._survey, self._pid = threading.Lock(), os.getpid()

    def locate(self, key: str | None) -> Endpoint:
        """Return the master of `key`; without a key, any master."""
        self._refresh()
        return self._slots.locate(key)

    def masters(self) -> tuple[Endpoint, ...]:
        """Return all masters."""
        self._refresh()
        return self._slots.masters

    def verify(self, link: SyncLink) -> None:
        """Accept every connection: a wrong node replies MOVED."""

    def learn(self, error: BrokerError) -> None:
        """Record the new node of a `MOVED`; after any other failure, reload the whole slot map."""
        if isinstance(error, SlotMoved):
            if not error.ask:
                self._slots.assign(error.slot, error.endpoint)
        elif error.maybe_applied or isinstance(error, NotNow):
            self._slots.stale = True

    def _refresh(self) -> None:
        if not self._slots.stale:
            return
        if self._pid != os.getpid():  # else the lock may be held by a thread that the fork has left behind
            self._survey, self._pid = threading.Lock(), os.getpid()
        with self._survey:
            if self._slots.stale:  # else another thread reloaded the slot map meanwhile
                nodes = dict.fromkeys((*self._slots.masters, *self._seeds))
                finish(self._slots.reload(nodes, self._ask))
