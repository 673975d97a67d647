"""The slots in which tasks run: as many as the worker's concurrency, and fewer for a type with a limit.

A task that found no slot of its type is fetched again when one should be free: a long queue behind a slow type must
not be fetched once a second, and behind a quick type it is fetched again soon.
"""

import asyncio
import random
import time
from collections.abc import Callable


class Slots:
    """Counts the free places. A place is given back only when its handler has really ended."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.free = capacity
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def used(self) -> int:
        """Places that are taken by running tasks, or reserved for tasks under way from the broker."""
        return self.capacity - self.free

    def take(self, n: int) -> None:
        """Reserve places that the caller has seen to be free."""
        self.free -= n

    def give_back(self, n: int = 1) -> None:
        """Free places and wake whoever waits for one."""
        self.free += n
        if self.free > 0:
            self.wake()

    def wake(self) -> None:
        """Wake those who wait for a place, so that they look whether something else has happened."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, unless: Callable[[], bool] = lambda: False) -> None:
        """Wait until a place is free, or until `unless` holds after a `wake`."""
        while self.free <= 0 and not unless():
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    async def free_within(self, seconds: float) -> bool:
        """Wait so long at most; tell whether a place is free."""
        try:
            async with asyncio.timeout(seconds):
                await self.wait()
        except TimeoutError:
            return self.free > 0
        return True


LEAST_SECONDS, MOST_SECONDS = 1.0, 30.0


class Turnover:
    """Measures one type in one worker."""

    def __init__(self) -> None:
        self._changed_at = time.monotonic()
        self._interval = 0.0
        self.put_off_until = 0.0
        """When the last task that found no place is due again, on the monotonic clock."""

    def begin(self) -> None:
        """Note that a task starts where none ran: the time before says nothing."""
        self._changed_at = time.monotonic()

    def end(self) -> None:
        """Note that a place has become free."""
        now = time.monotonic()
        self._interval, self._changed_at = now - self._changed_at, now

    def wait_seconds(self) -> float:
        """How long a task that found no place stays away: about as long as the next change takes."""
        now = time.monotonic()
        expected = max(self._interval, now - self._changed_at)
        seconds = random.uniform(0.5, 1.5) * min(max(expected, LEAST_SECONDS), MOST_SECONDS)
        self.put_off_until = max(self.put_off_until, now + seconds)
        return seconds
