"""Keeps the event loop from sleeping while a reply is about to come.

A server on the same machine answers in 20 to 60 µs, but a core that went to sleep meanwhile takes 15 to 20 µs to wake
up, on each side. So a link that sends a request while no other is under way lets its loop poll the sockets again and
again, without sleep, for at most `LONGEST_SECONDS`. Go's scheduler spins before it parks a thread, and KVM does so
before it halts a core (`halt_poll_ns`). The loop serves everything else meanwhile.

If no reply comes in that time, the server is far away or busy, and the core is of more use to others. So after a miss
the next two requests do not poll, after a second one the next four, up to `MOST_SKIPPED`; a hit starts anew.
"""

import asyncio
from collections.abc import Sized
from time import perf_counter

LONGEST_SECONDS = 0.0001
MOST_SKIPPED = 1024


class BusyPoll:
    """Polls for the reply to a single request of one link."""

    def __init__(self, loop: asyncio.AbstractEventLoop, waiting: Sized) -> None:
        """`waiting` has the requests without a reply."""
        self._loop = loop
        self._waiting = waiting
        self._until = 0.0
        self._awake = False
        self._skip = 0
        self._skip_next = 2

    def begin(self) -> None:
        """Poll for the reply to the request that was just sent."""
        if self._skip:
            self._skip -= 1
            return
        # The clock of `loop.time()` stands still during a turn of uvloop, and has steps of 16 ms on Windows.
        self._until = perf_counter() + LONGEST_SECONDS
        if not self._awake:
            self._awake = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        if not self._waiting:
            self._awake = False
            self._skip_next = 2
        elif perf_counter() < self._until:
            # A loop with a callback to run polls its sockets without sleep.
            self._loop.call_soon(self._turn)
        else:
            self._awake = False
            self._skip = self._skip_next
            self._skip_next = min(2 * self._skip_next, MOST_SKIPPED)
