"""The places in which tasks run: as many as the worker's concurrency."""

import asyncio


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
        if self._waiters and self.free > 0:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    async def wait(self) -> None:
        """Wait until a place is free."""
        while self.free <= 0:
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
