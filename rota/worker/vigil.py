"""The vigil of a fetcher: when it listens for news, when it looks round by itself, and when it rests."""

import asyncio
import time
from collections.abc import Callable

from rota.wire.keys import QueueKeys
from rota.worker.agenda import Agenda
from rota.worker.crowd import Crowd
from rota.worker.fetch_statistics import FetchStatistics
from rota.worker.wakeup import Wakeup

SWEEP_SECONDS = 1.0
"""While a worker is busy nothing tells of other queues, so all are asked this often."""
FULL_ROUNDS = 2


class Vigil:
    """Knows from what the rounds brought whether listening is worth its cost to the server.

    `queues` are those that are served now.
    """

    def __init__(
        self,
        agenda: Agenda,
        queues: Callable[[], list[QueueKeys]],
        slow_poll_seconds: float,
        statistics: FetchStatistics,
    ) -> None:
        self._agenda = agenda
        self._queues = queues
        self._slow_poll_seconds = slow_poll_seconds
        self._statistics = statistics
        self._crowd = Crowd()
        self._full_rounds = 0
        self._swept_at = 0.0
        self._queues_version = 0
        self._armed_version = 0
        self._staying: set[str] = set()
        self._armed_without: set[str] = set()

    def race(self) -> None:
        """Note a change that several workers race for."""
        self._crowd.race()

    def queues_changed(self) -> None:
        """Take notice of queues that were added or removed."""
        self._queues_version += 1
        self._staying.clear()
        self.look_everywhere()

    def note_staying(self, queue: str, stays: bool) -> None:
        """Learn whether all that a queue has is left to others for now."""
        if stays:
            self._staying.add(queue)
        else:
            self._staying.discard(queue)

    def look_everywhere(self) -> None:
        """Put all queues on the agenda."""
        self._agenda.add(keys.queue for keys in self._queues())

    def sweep_if_due(self, wakeup: Wakeup) -> None:
        """Look everywhere now and then where nothing tells of all queues."""
        now = time.monotonic()
        if not (wakeup.armed and wakeup.covers_all) and now - self._swept_at >= SWEEP_SECONDS:
            self._swept_at = now
            self.look_everywhere()

    async def judge(self, wakeup: Wakeup, taken: int, *, full: bool) -> None:
        """Keep count of full rounds and of lost races. Who is full for long stops to listen."""
        self._full_rounds = self._full_rounds + 1 if full else 0
        # Who comes for a task that is left to somebody else has not lost a race.
        self._crowd.result(taken or len(self._staying))
        if taken and wakeup.armed:
            await asyncio.sleep(0)  # the task starts before the next look, which has time
        if self._full_rounds > FULL_ROUNDS and wakeup.armed:
            await wakeup.disarm()
            self._swept_at = time.monotonic()

    async def idle(self, wakeup: Wakeup) -> None:
        """Arm the wake-up, so that one more look follows; or, armed, wait for news, a due time or the slow poll."""
        if pause := self._crowd.pause_seconds():
            await wakeup.disarm()
            await asyncio.sleep(pause)
        # Where tasks stay, a `BLMOVE` would end at once, again and again. The agenda knows when to look there.
        without = set[str]() if wakeup.covers_all else self._staying
        if not wakeup.armed or self._armed_version != self._queues_version or not self._armed_without <= without:
            self._armed_version, self._armed_without = self._queues_version, set(without)
            await wakeup.arm(queue for queue in self._queues() if queue.queue not in without)
            self.look_everywhere()
            return
        self._statistics.waiting = True
        if not await self._agenda.sleep(self._slow_poll_seconds if wakeup.covers_all else SWEEP_SECONDS):
            self.look_everywhere()
        self._statistics.waiting = False
