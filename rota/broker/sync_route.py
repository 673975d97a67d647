"""Finds the server that holds a key, for the sync broker: single server, Sentinel or Cluster.

These classes mirror `route`, `sentinel` and `cluster`, and share those parts of them that do no I/O.
"""

import threading
from collections.abc import Callable
from typing import Any, Protocol

from hiredis import ReplyError

from rota.broker import failure
from rota.broker.dial import Login
from rota.broker.failure import NotNow, SlotMoved
from rota.broker.sentinel import check_role, master_of, no_master
from rota.broker.slots import UNSERVED, SlotMap
from rota.broker.sync_link import SyncLink
from rota.broker.url import Address, Endpoint
from rota.core.randomness import RANDOM
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
        self._name = address.master or ""
        self._sentinels = address.endpoints
        self._login = sentinel_login
        self._master: Endpoint | None = None

    def locate(self, key: str | None) -> Endpoint:
        """Return the current master."""
        master = self._master
        if master is None:
            master = self._master = self._resolve()
        return master

    def masters(self) -> tuple[Endpoint, ...]:
        """Return the current master."""
        return (self.locate(None),)

    def verify(self, link: SyncLink) -> None:
        """Check that the server itself reports the role of a master."""
        [role] = link.request([("ROLE",)])
        if not isinstance(role, ReplyError):  # the user may lack ROLE; then the first write tells a replica
            check_role(role, link.endpoint)

    def learn(self, error: BrokerError) -> None:
        """Forget the master, so that the next request asks the sentinels."""
        self._master = None

    def _resolve(self) -> Endpoint:
        errors: list[BrokerError] = []
        for sentinel in self._sentinels:
            try:
                return self._ask(sentinel)
            except BrokerError as error:
                errors.append(error)
        raise no_master(self._name, errors)

    def _ask(self, sentinel: Endpoint) -> Endpoint:
        link = SyncLink(sentinel, self._login)
        words = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name)
        try:
            [reply] = link.request([words])
        except BrokerError as error:
            raise failure.not_sent(sentinel, "it did not answer") from error
        finally:
            link.close()
        if isinstance(reply, ReplyError):
            raise failure.of_reply(reply, words, sentinel)
        return master_of(reply, self._name, sentinel)


class SyncClusterRoute:
    """Finds the master of a key's slot."""

    def __init__(self, address: Address, ask: Callable[[Endpoint], Any]) -> None:
        self._seeds = address.endpoints
        self._ask = ask
        self._slots = SlotMap()
        self._stale = True
        self._survey = threading.Lock()

    def locate(self, key: str | None) -> Endpoint:
        """Return the master of `key`; without a key, any master."""
        self._refresh()
        endpoint = RANDOM.choice(self._slots.masters) if key is None else self._slots.owner(key)
        if endpoint is None:
            self._stale = True
            raise NotNow(UNSERVED.format(key))
        return endpoint

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
            self._stale = True

    def _refresh(self) -> None:
        if not self._stale:
            return
        with self._survey:
            if not self._stale:
                return  # another thread reloaded the slot map meanwhile
            errors: list[BrokerError] = []
            for endpoint in dict.fromkeys((*self._slots.masters, *self._seeds)):
                try:
                    self._slots.load(self._ask(endpoint), endpoint)
                except BrokerError as error:
                    errors.append(error)
                    continue
                if self._slots.masters:
                    self._stale = False
                    return
            raise errors[0] if errors else NotNow("The Cluster has no slots assigned.")
