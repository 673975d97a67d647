"""The broker's clock, read off its replies: what a worker compares deadlines and due times with.

Machines of a fleet disagree about the time; Redis is the one clock that all of them can see.
"""

import time


class BrokerClock:
    """Server time, carried on between replies by this machine's monotonic clock."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def set(self, now: float) -> None:
        """Take over the time (in seconds since 1970) that a reply just brought."""
        self._offset = now - time.monotonic()

    def now(self) -> float:
        """Seconds since 1970, as the server counts them."""
        return time.monotonic() + self._offset

    def monotonic(self, at: float) -> float:
        """The moment on this machine's monotonic clock at which the server's clock shows `at`."""
        return at - self._offset
