"""The clocks of a worker: the time of the Redis server, taken from its replies, and the clock for the worker's leases.

The clocks of the machines in a fleet differ; the server's clock is the only one that all of them can read.
"""

import math
import sys
import time
from collections.abc import Callable
from functools import partial

JUMP_SECONDS = 3.0
"""If the server's time is further ahead than this, its clock was set, or another server has taken over."""
REMEMBERED_SECONDS = 10.0
"""A reply that was read late shows a time in the past. After this time, and twice this time at most, a reply in time
has come too, or the clock was set back. Then it may be set ahead again, which must be seen as a jump."""


lease_clock: Callable[[], float]
"""Seconds on the clock in which `lease_until` of an attempt is given. It goes on while the machine is suspended."""

# Leases expire by the server's clock, which goes on. `time.monotonic` stops during a suspend, except on Windows. A
# worker reads this clock for each task, so it is not a function in Python.
if sys.platform == "linux":
    lease_clock = partial(time.clock_gettime, time.CLOCK_BOOTTIME)
elif sys.platform == "darwin":
    lease_clock = partial(time.clock_gettime, time.CLOCK_MONOTONIC_RAW)  # mach_continuous_time (not so on Linux)
else:
    lease_clock = time.monotonic


class BrokerClock:
    """The server's time, estimated between replies with this machine's monotonic clock.

    The monotonic clock is that of the event loop and stops while the machine is suspended. After a suspend the
    estimate is therefore behind until the next reply, which counts as a jump of the server's clock. That is intended:
    if Redis runs on the same machine, no worker could extend its leases during the suspend.
    """

    def __init__(self) -> None:
        self.offset = time.time() - time.monotonic()
        """The server's time less that of this machine's monotonic clock."""
        self._furthest = self._furthest_before = math.inf
        self._remembered_from = -math.inf
        self._jumped_at = -math.inf

    def set(self, now: float) -> None:
        """Set the server's time, in seconds since 1970, from a reply that was just read."""
        at = time.monotonic()
        self.offset = now - at
        # A reply that was read late gives a time in the past. So only an offset beyond the largest of late is a jump.
        if self.offset > max(self._furthest, self._furthest_before) + JUMP_SECONDS:
            self._jumped_at = at
        if at - self._remembered_from < REMEMBERED_SECONDS:
            self._furthest = max(self._furthest, self.offset)
        else:
            self._furthest_before = self.offset if self._furthest == math.inf else self._furthest
            self._furthest, self._remembered_from = self.offset, at

    def jumped_within(self, seconds: float) -> bool:
        """Whether the server's clock has jumped ahead within the last `seconds`."""
        return time.monotonic() - self._jumped_at < seconds

    def now(self) -> float:
        """The server's time in seconds since 1970."""
        return time.monotonic() + self.offset

    def monotonic(self, at: float) -> float:
        """The moment on this machine's monotonic clock at which the server's clock shows `at`."""
        return at - self.offset
