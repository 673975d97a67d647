"""The places in which tasks run: as many as the worker's concurrency."""

import asyncio
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
