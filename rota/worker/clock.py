"""The clocks of a worker: the broker's, read off its replies, and the one by which it measures its own leases.

Machines of a fleet disagree about the time; Redis is the one clock that all of them can see.
"""

import math
import sys
import time

JUMP_SECONDS = 3.0
"""So far ahead of what it should show, the server's clock was set, or another server has taken over."""


def lease_clock() -> float:
    """Seconds of the clock by which `lease_until` of an attempt counts: it goes on while the machine is suspended."""
    # As Redis does. `time.monotonic` rests then, but on Windows.
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    if sys.platform == "darwin":
        return time.clock_gettime(time.CLOCK_MONOTONIC_RAW)  # mach_continuous_time; on Linux it is another clock
    return time.monotonic()


class BrokerClock:
    """Server time, carried on between replies by this machine's monotonic clock.

    It is the event loop's, and rests while the machine is suspended. So it is well behind then, until the next reply;
    and that shows as a jump, as it should: with Redis on the same machine nobody could extend a lease meanwhile.
    """

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
