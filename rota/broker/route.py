"""Which server a key lives on. One server here; `sentinel` and `cluster` know the other two ways."""

from typing import Protocol

from rota.broker.dial import Login, dial
from rota.broker.link import Link
from rota.broker.node import Node
from rota.broker.url import Endpoint
from rota.errors import BrokerError


class Route(Protocol):
    """Finds the shared link for a key, and learns from failures that what it knew is stale."""

    def current(self, key: str | None) -> Link | None:
        """Return the shared link if it is ready right now."""
        ...

    async def connect(self, key: str | None, patience_seconds: float) -> Link:
        """Return the shared link, connecting where needed."""
        ...

    async def dial(self, key: str | None) -> Link:
        """Make a further link of its own."""
        ...

    async def redirected(self, endpoint: Endpoint, patience_seconds: float) -> Link:
        """Return the shared link to the node that a Cluster's `ASK` names."""
        ...

    def learn(self, error: BrokerError) -> None:
        """Take note of why a request was not carried out."""
        ...

    async def survey(self) -> None:
        """Ask again which server holds which key, where that can change without an error."""
        ...

    async def links(self, patience_seconds: float) -> list[Link]:
        """Return one shared link to every server that takes writes."""
        ...

    async def aclose(self) -> None:
        """Close all shared links."""
        ...


class SingleRoute:
    """One server that never changes its address."""

    def __init__(self, endpoint: Endpoint, login: Login) -> None:
        self._endpoint = endpoint
        self._login = login
        self._node = Node(lambda: self.dial(None))

    def current(self, key: str | None) -> Link | None:
        """Return the shared link if it is ready right now."""
        return self._node.link

    async def connect(self, key: str | None, patience_seconds: float) -> Link:
        """Return the shared link, connecting where needed."""
        return await self._node.connect(patience_seconds)

    async def dial(self, key: str | None) -> Link:
        """Make a further link of its own."""
        return await dial(self._endpoint, self._login)

    async def redirected(self, endpoint: Endpoint, patience_seconds: float) -> Link:
        """Stay here: the server belongs to a Cluster, but the URL does not say so."""
        return await self.connect(None, patience_seconds)

    def learn(self, error: BrokerError) -> None:
        """Take no note: there is nowhere else to go."""

    async def survey(self) -> None:
        """Ask nothing: all keys are on the one server."""

    async def links(self, patience_seconds: float) -> list[Link]:
        """Return the one link."""
        return [await self.connect(None, patience_seconds)]

    async def aclose(self) -> None:
        """Close the shared link."""
        await self._node.aclose()
