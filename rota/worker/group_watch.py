"""Tells the aggregator of groups that change, whoever changes them, a Go client too.

The server remembers which keys a connection has read (`CLIENT TRACKING ON`) and sends one notification when such a key
changes; to hear of the next change the key has to be read again. So a look at a group is also what arms its
notification, nothing can change in between unseen, and a group that is joined a thousand times in a second costs one
notification for each look. The keys are declared keys of the scripts, because older servers remember only those.

The connection is one of its own for each node. Where the server or the user's rights do not allow this, the aggregator
polls.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from rota.broker import Broker
from rota.broker.link import Link
from rota.errors import BrokerRefused
from rota.wire.keys import QueueKeys
from rota.wire.script import Call

logger = logging.getLogger("rota.worker")

T = TypeVar("T")


class GroupWatch:
    """Runs the looks at groups. `changed(queue, group)` is called once when something that was read has changed.

    `group` is None for the list of groups, and both are None where anything may have changed.
    """

    def __init__(self, broker: Broker, changed: Callable[[str | None, str | None], None]) -> None:
        self._broker = broker
        self._changed = changed
        self._links: dict[str, Link] = {}
        self._watched: dict[bytes, tuple[str, str | None]] = {}
        self.notifies = False
        """Whether changes are told. Set it to ask for that; it turns false again where the server refuses."""

    async def look(self, keys: QueueKeys, call: Call[T], groups: Mapping[str, str | None]) -> T:
        """Run a script that reads keys, and hear of their next changes. `groups` names the group of each key."""
        link = await self._link(keys) if self.notifies else None
        if link is None:
            return await self._broker.run(call)
        # Before the look: its notification may come right behind its reply.
        self._watched.update({key.encode(): (keys.queue, group) for key, group in groups.items()})
        return await self._broker.run_via(link, call)

    def is_watched(self, key: str) -> bool:
        """Whether a change of this key would be told."""
        return key.encode() in self._watched

    async def aclose(self) -> None:
        """Close the connections."""
        links, self._links = self._links, {}
        for link in links.values():
            link.on_close = None
            await link.aclose()

    async def _link(self, keys: QueueKeys) -> Link | None:
        node = await self._broker.place(keys.groups)
        link = self._links.get(node)
        if link is None or link.closed:
            link = await self._broker.open_link(keys.groups)
            link.on_push = self._pushed
            try:
                await link.execute("CLIENT", "TRACKING", "ON")
            except BrokerRefused as error:
                self.notifies = False
                self._changed(None, None)
                logger.warning("The server does not tell of changed groups (%s); they are polled instead.", error)
                await link.aclose()
                return None
            link.on_close = self._closed
            self._links[node] = link
        return link

    def _closed(self) -> None:
        self._watched.clear()
        self._changed(None, None)

    def _pushed(self, words: list[Any]) -> None:
        if words[0] != b"invalidate":
            return
        if words[1] is None:  # the whole database was flushed, or the server forgets for want of memory
            self._watched.clear()
            self._changed(None, None)
            return
        for key in words[1]:
            known = self._watched.pop(key, None)
            if known is not None:
                self._changed(*known)
