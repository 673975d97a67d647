"""The slot map of a Cluster. Does no I/O, so the async and the sync broker share it."""

from binascii import crc_hqx
from functools import lru_cache
from typing import Any

from rota.broker.url import Endpoint

SLOTS = 16384
UNSERVED = "No node of the Cluster serves the slot of {!r} now; wait for its fail-over, or mend the Cluster."


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

    def owner(self, key: str) -> Endpoint | None:
        """Return the node that serves a key; None if it is not known."""
        return self._owners[slot_of(key)]

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
