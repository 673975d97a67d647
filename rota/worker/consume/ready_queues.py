"""The ready queues of a fetcher: which queues may have tasks now, when others will have some, and the sleep until then.

A queue becomes ready when it may have tasks: by a wake-up, at a due time, after a reply that left tasks in it, or when
the worker begins to serve it. It is not ready any more as soon as a fetch asks it. It is taken out before the request
is sent, not when the reply is read, because the event loop handles a notification that came with the reply before it
resumes the code that waits for the reply. Taking the queue out after that would lose the notification.
"""

import asyncio
import random
from collections.abc import Iterable

from rota.worker.clock import BrokerClock


class ReadyQueues:
    """The queues that a fetcher has to ask now, and the times at which it has to ask others."""

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
        """Make a queue ready at a time of the server's clock. The earliest time counts."""
        if at < self._due.get(queue, float("inf")):
            self._due[queue] = at
            self.wake()

    def take_off(self, queues: Iterable[str]) -> None:
        """Take out queues that are about to be asked, with their due times."""
        for queue in queues:
            self.queues.discard(queue)
            self._due.pop(queue, None)

    def seconds_left(self, at_most: float) -> float:
        """Seconds until the next due time, limited to `at_most`; without a due time, `at_most` with 10 % of jitter."""
        if not self._due:
            return at_most * random.uniform(0.9, 1.1)
        return min(min(self._due.values()) - self._clock.now(), at_most)

    async def sleep(self, at_most: float) -> bool:
        """Wait for a ready queue or a due time, for `at_most` seconds. Returns false if only the time has passed."""
        seconds = self.seconds_left(at_most)
        # If `at_most` is over already, the answer must be false. A caller that got true would call again without end.
        news = bool(self.queues) or (seconds > 0 and await self._sleep(seconds))
        return self._call_up_due() or news

    def wake(self, news: bool = True) -> None:
        """End the current sleep. Without `news` the sleep returns as if its time had passed."""
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(news)

    async def _sleep(self, seconds: float) -> bool:
        # A plain future, because an asyncio task or Event would add a turn of the event loop to the delay of a fetch.
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
