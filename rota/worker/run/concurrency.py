"""How many tasks run at once: the slots of a worker, and the lower limits of some types.

A worker has as many slots as its concurrency. A type can have a lower concurrency limit. As many tasks beyond this
limit as the limit allows to run are parked in this worker and start when another one ends (`TypeLimits`). Further tasks
are put off for about the time after which another task of the type should have ended (`Turnover`). So tasks of a slow
type are not fetched again every second, and tasks of a fast type are fetched again soon.
"""

import asyncio
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from rota.core.randomness import RANDOM
from rota.worker.run.attempt import Attempt

if TYPE_CHECKING:
    from rota.tasks.handler import Handler


SMALLEST_WAVE = 16


class Slots:
    """Counts the free slots. A slot is freed only when its handler has really ended.

    `free` is negative while more slots are taken than the capacity was reduced to, or than were free for the tasks of a
    lost fetch. Nothing is started then until enough tasks have ended.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = self.free = 0
        self.wave = 0
        """How many tasks to fetch at most: half of the slots, so that Redis works on one half while Python runs the
        other. A fetch for fewer slots than `SMALLEST_WAVE` costs more than it gains."""
        self._waiters: list[asyncio.Future[None]] = []
        self.resize(capacity)

    def resize(self, capacity: int) -> None:
        """Change the number of slots. Taken slots stay taken."""
        self.free += capacity - self.capacity
        self.capacity = capacity
        self.wave = max(SMALLEST_WAVE, -(-capacity // 2))
        if self.free > 0:
            self.wake()

    @property
    def used(self) -> int:
        """Slots that are taken by running tasks, or reserved for the tasks of a fetch that is under way."""
        return self.capacity - self.free

    def take(self, n: int) -> None:
        """Reserve slots, also if they are not free."""
        self.free -= n

    def give_back(self, n: int = 1) -> None:
        """Free slots, and wake the code that waits for one."""
        self.free += n
        if self._waiters and self.free > 0:
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
            return self.free > 0  # a slot may have become free in the turn of the loop in which the time was over
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
        expected = max(self._interval, now - self._changed_at)  # the present task may already take longer than the last
        # At random, so that tasks that were put off together do not come back together.
        seconds = RANDOM.uniform(0.5, 1.5) * min(max(expected, LEAST_SECONDS), MOST_SECONDS)
        self.put_off_until = max(self.put_off_until, now + seconds)
        return seconds


class TypeLimits:
    """The tasks of the types that have a concurrency limit: how many run, and which are parked until one has ended."""

    def __init__(self) -> None:
        self._running: Counter[Handler] = Counter()
        self._parked: defaultdict[Handler, deque[Attempt]] = defaultdict(deque)
        self._turnovers: defaultdict[Handler, Turnover] = defaultdict(Turnover)

    @property
    def put_off_until(self) -> float:
        """When the last task that was put off is due again, on the monotonic clock; 0 without such a task."""
        return max((each.put_off_until for each in self._turnovers.values()), default=0.0)

    def begin(self, handler: "Handler") -> bool:
        """Count one more running task of a type. Returns false if as many run as its limit allows."""
        running = self._running[handler]
        if running >= (handler.concurrency or 1):  # never None here: such a handler is not limited
            return False
        if not running:
            self._turnovers[handler].begin()
        self._running[handler] += 1
        return True

    def end(self, handler: "Handler") -> Attempt | None:
        """Note that a task has ended. Returns the parked attempt to start in its place, if there is one."""
        self._running[handler] -= 1
        self._turnovers[handler].end()
        parked = self._parked[handler]
        return parked.popleft() if parked else None

    def park(self, attempt: Attempt) -> bool:
        """Park an attempt. Returns false if enough of its type are parked."""
        parked = self._parked[attempt.handler]
        if len(parked) >= (attempt.handler.concurrency or 1):
            return False
        parked.append(attempt)
        return True

    def unpark(self, attempt: Attempt) -> bool:
        """Take a parked attempt out. Returns whether it was parked."""
        if not self.is_parked(attempt):
            return False
        self._parked[attempt.handler].remove(attempt)
        return True

    def unpark_all(self) -> list[Attempt]:
        """Take all parked attempts out."""
        parked = [attempt for attempts in self._parked.values() for attempt in attempts]
        self._parked.clear()
        return parked

    def is_parked(self, attempt: Attempt) -> bool:
        """Whether an attempt waits for another one of its type to end."""
        # In all types, because an attempt that was handed back with its message unread has no handler.
        return any(attempt in parked for parked in self._parked.values())

    def wait_seconds(self, handler: "Handler") -> float:
        """How long to put off a task that is neither started nor parked."""
        return self._turnovers[handler].wait_seconds()
