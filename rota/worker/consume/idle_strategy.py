"""The idle strategy of a fetcher: when it listens for notifications, when it polls, and when it backs off.

The server notifies every idle worker of a new task, but only one worker gets it. A worker that lost this race several
times in a row unsubscribes from notifications for a while, longer each time, so that only as many workers listen as are
needed. A worker that got a task keeps listening.

A busy worker does not listen either: after several rounds in which it filled all its slots, it unsubscribes and checks
all its queues every `SWEEP_SECONDS` until it is idle.

A queue becomes ready (`ReadyQueues`) when it may have tasks: by a notification, at a due time, after a reply that left
tasks in it, or when the worker begins to serve it. It is not ready any more as soon as a fetch asks it. It is taken out
before the request is sent, not when the reply is read, because the event loop handles a notification that came with the
reply before it resumes the code that waits for the reply. Taking the queue out after that would lose the notification.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from rota.core.randomness import RANDOM
from rota.wire.keys import QueueKeys
from rota.worker.clock import BrokerClock
from rota.worker.consume.wakeup import Wakeup

COUNTS = ("rounds", "empty_rounds", "taken", "dangling", "reconnects")


@dataclass(slots=True)
class FetchStatistics:
    """The counts of a fetcher since its start, and its current state."""

    wakeup: str = ""
    rounds: int = 0
    empty_rounds: int = 0
    taken: int = 0
    dangling: int = 0
    reconnects: int = 0
    waiting: bool = False
    last_success_at: float = field(default_factory=time.monotonic)

    def add(self, other: "FetchStatistics") -> None:
        """Add the counts of another fetcher."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))


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
        if self._sleeper is not None:
            self.wake()

    def add_due(self, queue: str, at: float) -> None:
        """Make a queue ready at a time of the server's clock. The earliest time counts."""
        if at < self._due.get(queue, float("inf")):
            self._due[queue] = at
            self.wake()  # the alarm of the current sleep may be set for a later time

    def take_off(self, queues: Iterable[str]) -> None:
        """Take out queues that are about to be asked, with their due times."""
        for queue in queues:
            self.queues.discard(queue)
            self._due.pop(queue, None)

    def seconds_left(self, at_most: float) -> float:
        """Seconds until the next due time, limited to `at_most`; without a due time, `at_most` with 10 % of jitter."""
        if not self._due:
            return at_most * RANDOM.uniform(0.9, 1.1)
        return min(min(self._due.values()) - self._clock.now(), at_most)

    async def sleep(self, at_most: float) -> bool:
        """Wait for a ready queue or a due time, for `at_most` seconds. Returns false if only the time has passed."""
        seconds = self.seconds_left(at_most)
        news = bool(self.queues)
        # If `at_most` is over already, the answer must be false. A caller that got true would call again without end.
        if not news and seconds > 0:
            # A plain future, because an asyncio task or Event would add a turn of the event loop to the delay.
            loop = asyncio.get_running_loop()
            self._sleeper = loop.create_future()
            alarm = loop.call_later(seconds, self.wake, False)
            try:
                news = await self._sleeper
            finally:
                alarm.cancel()
                self._sleeper = None
        # With news too: due queues are then asked in the same request as the others.
        return bool(self._due and self._call_up_due()) or news

    def wake(self, news: bool = True) -> None:
        """End the current sleep. Without `news` the sleep returns as if its time had passed."""
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(news)

    def _call_up_due(self) -> bool:
        now = self._clock.now()
        due = [queue for queue, at in self._due.items() if at <= now]
        for queue in due:
            del self._due[queue]
        self.queues.update(due)
        return bool(due)


LOSSES_BEFORE_BACKOFF = 3
FIRST_SECONDS, MOST_SECONDS = 0.02, 1.0
"""The first pause and the longest one. During a pause the worker fetches nothing, even if no other one has a slot."""


class HerdBackoff:
    """Counts the races for a new task that this worker has lost, and computes the pause after them."""

    def __init__(self) -> None:
        self._losses = 0
        self._lost_last = False
        self.racing = False
        """Set by a notification for which several workers fetch at the same time, until their results are known."""

    def result(self, taken: int) -> None:
        """Note how many tasks a fetch has taken."""
        self._lost_last = self.racing and not taken
        if taken:
            self._losses = 0
        elif self.racing:  # an empty fetch between two races, such as the slow poll, changes nothing
            self._losses += 1
        self.racing = False

    def pause_seconds(self) -> float:
        """How long not to listen for notifications; 0 if this worker has not lost several races in a row."""
        if not self._lost_last or self._losses < LOSSES_BEFORE_BACKOFF:
            return 0.0
        self._lost_last = False  # one pause for each loss, although this is called whenever the worker is idle
        pause: float = min(FIRST_SECONDS * 2 ** (self._losses - LOSSES_BEFORE_BACKOFF), MOST_SECONDS)
        return RANDOM.uniform(0.5, 1) * pause


SWEEP_SECONDS = 1.0
"""A busy worker gets no notifications, so it fetches from all its queues this often."""
FULL_ROUNDS = 2
"""After more full rounds than this in a row, the worker counts as busy. A single one may be a burst that is over."""
FIRST_POLL_SECONDS = 0.05
LAST_POLL_SECONDS = 1.0
"""Where the server sends no notifications, an idle worker polls: first this soon after its last task, then after twice
the time each, up to `LAST_POLL_SECONDS`."""


class IdleStrategy:
    """Decides from the results of the last rounds whether notifications are worth their cost to the server.

    `queues` returns the queues that are served now. Every `check_seconds`, an idle worker checks that its connection
    works and that the server still sends notifications on it.
    """

    def __init__(
        self,
        ready_queues: ReadyQueues,
        queues: Callable[[], list[QueueKeys]],
        slow_poll_seconds: float,
        check_seconds: float,
        statistics: FetchStatistics,
    ) -> None:
        self._ready_queues = ready_queues
        self._queues = queues
        self._slow_poll_seconds = slow_poll_seconds
        self._check_seconds = check_seconds
        self._statistics = statistics
        self.herd_backoff = HerdBackoff()
        self._full_rounds = 0
        self._swept_at = 0.0
        self._looked_at = 0.0
        self._poll_seconds = FIRST_POLL_SECONDS
        self._queues_version = 0
        self._armed_version = 0
        self.staying: set[str] = set()
        """The queues in which the last fetch left all tasks that it found to other workers."""

    def queues_changed(self) -> None:
        """Note that queues were added or removed."""
        self._queues_version += 1
        self.staying.clear()  # no fetch takes a removed queue out, and then no race would count as lost any more
        self.look_everywhere()

    def look_everywhere(self) -> None:
        """Mark all queues as ready."""
        self._looked_at = time.monotonic()
        self._ready_queues.add(keys.queue for keys in self._queues())

    def sweep_if_due(self) -> None:
        """Mark all queues as ready every `SWEEP_SECONDS`. Called while no notifications come."""
        now = time.monotonic()
        if now - self._swept_at >= SWEEP_SECONDS:
            self._swept_at = now
            self.look_everywhere()

    async def judge(self, wakeup: Wakeup, taken: int, *, full: bool) -> None:
        """Count full rounds and lost races. After several full rounds the worker unsubscribes until it is idle."""
        if taken:
            self._poll_seconds = FIRST_POLL_SECONDS
        self._full_rounds = self._full_rounds + 1 if full else 0
        # A fetch that found only tasks to be left to other workers has not lost a race.
        self.herd_backoff.result(taken or len(self.staying))
        if taken and wakeup.armed:
            await asyncio.sleep(0)  # let the task start first, because the next fetch is not urgent
        if self._full_rounds > FULL_ROUNDS and wakeup.armed:
            await wakeup.disarm()
            self._swept_at = time.monotonic()  # until now it was notified, so the first sweep is not due yet

    async def idle(self, wakeup: Wakeup) -> None:
        """Arm the wake-up, so that one more fetch follows. If it is armed, wait until there is a reason to fetch."""
        if pause := self.herd_backoff.pause_seconds():
            await wakeup.disarm()
            await asyncio.sleep(pause)
        if not wakeup.armed or self._armed_version != self._queues_version:
            self._armed_version = self._queues_version  # before the wait, in which the queues may change again
            await wakeup.arm(self._queues())
            self.look_everywhere()
            return
        self._statistics.waiting = True
        try:
            await (self._wait_for_news(wakeup) if wakeup.notifies else self._wait_for_poll())
        finally:
            self._statistics.waiting = False

    async def _wait_for_news(self, wakeup: Wakeup) -> None:
        left = self._looked_at + self._slow_poll_seconds - time.monotonic()
        poll_is_next = left <= self._check_seconds
        # If the slow poll is overdue, do not wait for more notifications. They may have come for single queues all the
        # time, so that the other queues were not checked.
        if left > 0 and await self._ready_queues.sleep(left if poll_is_next else self._check_seconds):
            return
        if poll_is_next or not await wakeup.check():
            self.look_everywhere()

    async def _wait_for_poll(self) -> None:
        if not await self._ready_queues.sleep(self._poll_seconds):
            self._poll_seconds = min(2 * self._poll_seconds, LAST_POLL_SECONDS)
            self.look_everywhere()
