"""How large the reply to a fetch may be, and what a fetcher counts.

A server that limits the output buffer of its clients (`client-output-buffer-limit normal 8mb 8mb 0`) closes the
connection instead of sending a larger reply. The worker cannot tell that from a broken network, so it asks for less
after every lost reply, and slowly for more again.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rota.wire.fetch import MAX_BYTES

LEAST_BYTES = 64 * 1024
FACTOR = 4
AGAIN_SECONDS = 60.0
"""A limit that has just proved too large must not be tried again with every other fetch."""


class ReplyLimit:
    """The bytes that the next reply may hold."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._bytes = MAX_BYTES
        self._changed_at = 0.0

    @property
    def bytes(self) -> int:
        """The limit now."""
        if self._bytes < MAX_BYTES and self._clock() - self._changed_at >= AGAIN_SECONDS:
            self._bytes = min(MAX_BYTES, self._bytes * FACTOR)
            self._changed_at = self._clock()
        return self._bytes

    @property
    def lowered(self) -> bool:
        """Whether a reply was lost within the last minutes."""
        return self.bytes < MAX_BYTES

    def shrink(self) -> None:
        """Note that a reply was lost."""
        self._bytes = max(LEAST_BYTES, self._bytes // FACTOR)
        self._changed_at = self._clock()


COUNTS = ("rounds", "empty_rounds", "taken", "dangling", "reconnects")


@dataclass(slots=True)
class FetchStatistics:
    """What a fetcher has done, and how it waits."""

    wakeup: str = ""
    rounds: int = 0
    empty_rounds: int = 0
    taken: int = 0
    dangling: int = 0
    reconnects: int = 0
    waiting: bool = False
    last_success_at: float = field(default_factory=time.monotonic)

    def add(self, other: "FetchStatistics") -> None:
        """Add what another fetcher has counted."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
