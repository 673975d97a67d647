"""The slots of a worker, as many as its concurrency, and the delay of tasks whose type has reached its own limit.

A type can have a lower concurrency limit. A task beyond this limit is put off for about the time after which another
task of the type should have ended (`Turnover`). So tasks of a slow type are not fetched again every second, and tasks
of a fast type are fetched again soon.
"""

import asyncio
import random
import time
from collections.abc import Callable


class Slots:
    """Counts the free slots. A slot is freed only when its handler has really ended."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.free = capacity
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def used(self) -> int:
        """Slots that are taken by running tasks, or reserved for the tasks of a fetch that is under way."""
        return self.capacity - self.free

    def take(self, n: int) -> None:
        """Reserve slots. The caller has checked that they are free."""
        self.free -= n

    def give_back(self, n: int = 1) -> None:
        """Free slots, and wake the code that waits for one."""
        self.free += n
        if self.free > 0:
            self.wake()

    def wake(self) -> None:
        """Wake the code in `wait`, so that it checks for a free slot and its `unless` again."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, unless: Callable[[], bool] = lambda: False) -> None:
        """Wait until a slot is free, or until `unless` returns true after a `wake`."""
        while self.free <= 0 and not unless():
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    async def free_within(self, seconds: float) -> bool:
        """Wait for a free slot for `seconds` at most; return whether one is free."""
        try:
            async with asyncio.timeout(seconds):
                await self.wait()
        except TimeoutError:
            return self.free > 0
        return True


LEAST_SECONDS, MOST_SECONDS = 1.0, 30.0


class Turnover:
    """Measures how often a task of one type ends in this worker."""

    def __init__(self) -> None:
        self._changed_at = time.monotonic()
        self._interval = 0.0
        self.put_off_until = 0.0
        """When the last task that was put off is due again, on the monotonic clock."""

    def begin(self) -> None:
        """Start to measure: a task starts and no other task of the type runs."""
        self._changed_at = time.monotonic()

    def end(self) -> None:
        """Note that a task has ended."""
        now = time.monotonic()
        self._interval, self._changed_at = now - self._changed_at, now

    def wait_seconds(self) -> float:
        """How long to put off a task: about the time until the next task of the type ends."""
        now = time.monotonic()
        expected = max(self._interval, now - self._changed_at)
        seconds = random.uniform(0.5, 1.5) * min(max(expected, LEAST_SECONDS), MOST_SECONDS)
        self.put_off_until = max(self.put_off_until, now + seconds)
        return seconds
