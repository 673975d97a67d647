"""The ready queues of a fetcher: which queues may have tasks now, when others will have some, and the sleep until then.

A queue is ready when something says that it may have tasks (a wake-up, a due time, a reply that left some, a new
subscription) and is not ready any more from the moment it is asked. It is taken out before the request leaves, not
when the reply is read: the event loop handles a push that came with a reply before it resumes the code that waits for
it.
"""

import asyncio
import random
from collections.abc import Iterable

from rota.worker.clock import BrokerClock


class ReadyQueues:
    """What a fetcher has to look at, and when."""

    def __init__(self, clock: BrokerClock) -> None:
        self._clock = clock
        self._due: dict[str, float] = {}
        self._sleeper: asyncio.Future[bool] | None = None
        self.queues: set[str] = set()
        """The queues that may have tasks."""

    def add(self, queues: Iterable[str]) -> None:
        """Mark queues as ready, and wake the fetcher."""
        self.queues.update(queues)
        self.wake()

    def add_due(self, queue: str, at: float) -> None:
        """Let a queue be ready at a time of the server's clock. The earliest time counts."""
        if at < self._due.get(queue, float("inf")):
            self._due[queue] = at
            self.wake()

    def take_off(self, queues: Iterable[str]) -> None:
        """Forget what is known of queues that are asked right after this."""
        for queue in queues:
            self.queues.discard(queue)
            self._due.pop(queue, None)

    def seconds_left(self, at_most: float) -> float:
        """How long there is nothing to do; never longer than `at_most`, give or take a tenth of it."""
        if not self._due:
            return at_most * random.uniform(0.9, 1.1)
        return min(min(self._due.values()) - self._clock.now(), at_most)

    async def sleep(self, at_most: float) -> bool:
        """Wait for news, a due time, or the end of `at_most` seconds; false if only the time has passed."""
        seconds = self.seconds_left(at_most)
        # A time that has passed already is no news: a caller that took it for news would ask again without end.
        news = bool(self.queues) or (seconds > 0 and await self._sleep(seconds))
        return self._call_up_due() or news

    def wake(self, news: bool = True) -> None:
        """End the sleep that is under way. Without `news` it ends as if its time had passed."""
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(news)

    async def _sleep(self, seconds: float) -> bool:
        # A bare future: each task or event in between would be another turn of the loop on the way of a waiting task.
        loop = asyncio.get_running_loop()
        self._sleeper = loop.create_future()
        alarm = loop.call_later(seconds, self.wake, False)
        try:
            return await self._sleeper
        finally:
            alarm.cancel()
            self._sleeper = None

    def _call_up_due(self) -> bool:
        now = self._clock.now()
        due = [queue for queue, at in self._due.items() if at <= now]
        for queue in due:
            del self._due[queue]
        self.queues.update(due)
        return bool(due)
