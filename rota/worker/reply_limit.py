"""How large the reply to a fetch may be: less after one was lost, and slowly more again.

A server that limits the output buffer of its clients (`client-output-buffer-limit normal 8mb 8mb 0`) closes the
connection instead of sending a larger reply. The worker cannot tell that from a broken network, so it asks for less
after every lost reply.
"""

import time
from collections.abc import Callable

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
