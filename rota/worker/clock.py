"""The broker's clock, read off its replies: what a worker compares deadlines and due times with.

Machines of a fleet disagree about the time; Redis is the one clock that all of them can see.
"""

import math
import time

JUMP_SECONDS = 3.0
"""So far ahead of what it should show, the server's clock was set, or another server has taken over."""


class BrokerClock:
    """Server time, carried on between replies by this machine's monotonic clock."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()
        self._furthest = math.inf
        self._jumped_at = -math.inf

    def set(self, now: float) -> None:
        """Take over the time (in seconds since 1970) that a reply just brought."""
        at = time.monotonic()
        self._offset = now - at
        # A reply that was read late shows less than it is: only what is ahead of all before counts.
        if self._offset > self._furthest + JUMP_SECONDS:
            self._jumped_at = at
        self._furthest = self._offset if self._furthest == math.inf else max(self._furthest, self._offset)

    def jumped_within(self, seconds: float) -> bool:
        """Whether the server's clock was seen to jump ahead so short a time ago."""
        return time.monotonic() - self._jumped_at < seconds

    def now(self) -> float:
        """Seconds since 1970, as the server counts them."""
        return time.monotonic() + self._offset

    def monotonic(self, at: float) -> float:
        """The moment on this machine's monotonic clock at which the server's clock shows `at`."""
        return at - self._offset
