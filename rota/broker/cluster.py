"""A Cluster: one shared link to each master, and a slot map that is reloaded when it proves wrong.

The map is loaded from any node: first from connected ones, then from the other masters, then from the hosts in the URL.
A `MOVED` updates one slot at once and reloads the map in the background. A failed connection, or a slot without a node,
marks the map as stale, so that the next request that needs a connection reloads it first.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from rota.broker.dial import Login, dial
from rota.broker.failure import SlotMoved
from rota.broker.link import Link
from rota.broker.route import Node, closed, look_at, shared
from rota.broker.script_cache import Words
from rota.broker.slots import SlotMap
from rota.broker.url import Address, Endpoint
from rota.errors import BrokerError


class ClusterRoute:
    """Finds the master of a key's slot."""

    def __init__(self, address: Address, login: Login) -> None:
        self._seeds = address.endpoints
        self._login = login
        self._slots = SlotMap()
        self._nodes: dict[Endpoint, Node] = {}
        self._survey: asyncio.Task[None] | None = None
        self._closed = False

    def current(self, key: str | None) -> Link | None:
        """Return the shared link to the master of `key`, or to any master, if it is connected, else None."""
        if key is not None:
            endpoint = self._slots.owner(key)
            node = None if endpoint is None else self._nodes.get(endpoint)
            return None if node is None else node.link
        return next((link for node in self._nodes.values() if (link := node.link) is not None), None)

    async def connect(self, key: str | None, timeout_seconds: float) -> Link:
        """Return the shared link to the master of `key`, after connecting if necessary."""
        return await self._reach(await self._owner(key), timeout_seconds)

    async def redirected(self, endpoint: Endpoint, timeout_seconds: float) -> Link:
        """Return the shared link to the node that an `ASK` names."""
        return await self._reach(endpoint, timeout_seconds)

    async def dial(self, key: str | None) -> Link:
        """Open another link to the master of `key`, or to any master. It is not shared."""
        endpoint = await self._owner(key)
        try:
            return await dial(endpoint, self._login)
        except BrokerError:
            self._slots.stale = True
            raise

    def learn(self, error: BrokerError) -> None:
        """Record the new node of a `MOVED`, and reload the whole slot map because slots rarely move alone."""
        if isinstance(error, SlotMoved) and not error.ask:
            self._slots.assign(error.slot, error.endpoint)
            self._look()

    async def survey(self) -> None:
        """Reload the slot map."""
        await shared(self._look())

    async def links(self, timeout_seconds: float) -> list[Link]:
        """Return the shared link to each master."""
        await self._owner(None)
        return [await self._reach(endpoint, timeout_seconds) for endpoint in self._slots.masters]

    async def aclose(self) -> None:
        """Close all shared links, and refuse to connect again."""
        self._closed = True
        if self._survey is not None and not self._survey.done():
            self._survey.cancel()
            await asyncio.wait([self._survey])
        await asyncio.gather(*(node.aclose() for node in self._nodes.values()))

    async def _owner(self, key: str | None) -> Endpoint:
        if self._slots.stale:
            await shared(self._look())
        return self._slots.locate(key)

    async def _reach(self, endpoint: Endpoint, timeout_seconds: float) -> Link:
        try:
            return await self._node(endpoint).connect(timeout_seconds)
        except BrokerError:
            self._slots.stale = True
            raise

    def _node(self, endpoint: Endpoint) -> Node:
        node = self._nodes.get(endpoint)
        if node is None:
            if self._closed:  # a new `Node` would not know that the route was closed
                raise closed()
            node = self._nodes[endpoint] = Node(lambda: dial(endpoint, self._login))
        return node

    def _look(self) -> "asyncio.Task[None]":
        if self._survey is None or self._survey.done():
            self._survey = asyncio.create_task(self._load())
            self._survey.add_done_callback(look_at)
        return self._survey

    async def _load(self) -> None:
        await self._slots.reload(self._informants(), self._ask)
        for stranger in [each for each in self._nodes if each not in self._slots.masters]:
            self._nodes.pop(stranger).retire("it is not a master of the Cluster any more")

    async def _ask(self, node: Endpoint, words: Words) -> Any:
        link = await self._node(node).connect(0)
        return await link.execute(*words)

    def _informants(self) -> Iterable[Endpoint]:
        """Return the nodes to ask for the map: connected masters, then other masters, then the hosts in the URL."""
        known = sorted(self._slots.masters, key=lambda each: each not in self._nodes or self._nodes[each].link is None)
        return dict.fromkeys((*known, *self._seeds))
