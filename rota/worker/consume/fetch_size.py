"""The size limit for the reply to a fetch, and the counts of a fetcher.

A server that limits the output buffer of its clients (`client-output-buffer-limit normal 8mb 8mb 0`) closes the
connection instead of sending a larger reply. The worker cannot distinguish that from a broken network. So it lowers the
limit of its replies after every lost reply, and raises it again slowly.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rota.wire.fetch import MAX_BYTES

LEAST_BYTES = 64 * 1024
FACTOR = 4
AGAIN_SECONDS = 60.0
"""How long a lowered limit stays. Without this pause, a limit that was too large would be tried again at once."""


class ReplyLimit:
    """How many bytes of messages the next reply may contain."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._bytes = MAX_BYTES
        self._changed_at = 0.0

    @property
    def bytes(self) -> int:
        """The current limit."""
        if self._bytes < MAX_BYTES and self._clock() - self._changed_at >= AGAIN_SECONDS:
            self._bytes = min(MAX_BYTES, self._bytes * FACTOR)
            self._changed_at = self._clock()
        return self._bytes

    @property
    def lowered(self) -> bool:
        """Whether a reply was lost in the last minutes, so that the limit is below its maximum."""
        return self.bytes < MAX_BYTES

    def shrink(self) -> None:
        """Lower the limit because a reply was lost."""
        self._bytes = max(LEAST_BYTES, self._bytes // FACTOR)
        self._changed_at = self._clock()


COUNTS = ("rounds", "empty_rounds", "taken", "dangling", "reconnects")


@dataclass(slots=True)
class FetchStatistics:
    """The counts of a fetcher since its start, and its current state."""

    wakeup: str = ""
    rounds: int = 0
    empty_rounds: int = 0
    taken: int = 0
    dangling: int = 0
    reconnects: int = 0
    waiting: bool = False
    last_success_at: float = field(default_factory=time.monotonic)

    def add(self, other: "FetchStatistics") -> None:
        """Add the counts of another fetcher."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
