"""The slot map of a Cluster, for asyncio and for blocking code: it gets the function that asks a node."""

from binascii import crc_hqx
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from rota.broker.failure import NotNow
from rota.broker.route import Ask
from rota.broker.url import Endpoint
from rota.core.randomness import RANDOM
from rota.errors import BrokerError

SLOTS = 16384


@lru_cache(maxsize=4096)
def slot_of(key: str) -> int:
    """Return the slot of a key from its hash tag. Cached, because a worker uses few keys."""
    name = key.encode()
    start = name.find(b"{")
    end = name.find(b"}", start + 1)
    if start >= 0 and end > start + 1:
        name = name[start + 1 : end]
    return crc_hqx(name, 0) % SLOTS


class SlotMap:
    """The slots as of the last `CLUSTER SLOTS`, with single slots updated by each `MOVED` since then."""

    def __init__(self) -> None:
        self._owners: list[Endpoint | None] = [None] * SLOTS
        self.masters: tuple[Endpoint, ...] = ()
        self.stale = True
        """Whether the map has proved wrong, so that it has to be reloaded before a new connection is made."""

    def owner(self, key: str) -> Endpoint | None:
        """Return the node that serves a key; None if it is not known."""
        return self._owners[slot_of(key)]

    def locate(self, key: str | None) -> Endpoint:
        """Return the master of `key`; without a key, any master."""
        endpoint = RANDOM.choice(self.masters) if key is None else self.owner(key)
        if endpoint is None:
            self.stale = True
            raise NotNow(
                f"No node of the Cluster serves the slot of {key!r} now; wait for its fail-over, or mend the Cluster."
            )
        return endpoint

    async def reload(self, nodes: Iterable[Endpoint], ask: Ask) -> None:
        """Load the map from the first of these nodes that has one."""
        errors: list[BrokerError] = []
        for node in nodes:
            try:
                self.load(await ask(node, ("CLUSTER", "SLOTS")), node)
            except BrokerError as error:
                errors.append(error)
                continue
            if self.masters:
                self.stale = False
                return
        # Raises the first error: a refusal (wrong password, not a Cluster) is final, a `NotNow` is retried.
        raise (
            errors[0]
            if errors
            else NotNow("The Cluster has no slots assigned; create it with redis-cli --cluster create.")
        )

    def assign(self, slot: int, endpoint: Endpoint) -> None:
        """Record the node that a `MOVED` names."""
        self._owners[slot] = endpoint
        if endpoint not in self.masters:
            self.masters += (endpoint,)

    def load(self, reply: Any, asked: Endpoint) -> None:
        """Read the reply of `asked` to `CLUSTER SLOTS`. An entry without a host is on the host of `asked`."""
        owners: list[Endpoint | None] = [None] * SLOTS
        masters: dict[Endpoint, None] = {}
        for first, last, (host, port, *_), *_ in reply:
            name = host.decode() if host else ""
            endpoint = Endpoint(asked.host if name in ("", "?") else name, int(port))
            owners[first : last + 1] = [endpoint] * (last + 1 - first)
            masters[endpoint] = None
        self._owners = owners
        self.masters = tuple(masters)
