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
SPARED_PAUSE_SECONDS = 0.2
"""A task that is left to others ends each `BLMOVE` at once."""
FULL_ROUNDS = 2


class Vigil:
    """Knows from what the rounds brought whether listening is worth its cost to the server.

    `queues` are those that are served now; `spares` tells whether tasks are left to others.
    """

    def __init__(
        self,
        agenda: Agenda,
        queues: Callable[[], list[QueueKeys]],
        spares: Callable[[], bool],
        slow_poll_seconds: float,
        statistics: FetchStatistics,
    ) -> None:
        self._agenda = agenda
        self._queues = queues
        self._spares = spares
        self._slow_poll_seconds = slow_poll_seconds
        self._statistics = statistics
        self._crowd = Crowd()
        self._full_rounds = 0
        self._swept_at = 0.0
        self._queues_version = 0
        self._armed_version = 0

    def race(self) -> None:
        """Note a change that several workers race for."""
        self._crowd.race()

    def queues_changed(self) -> None:
        """Take notice of queues that were added or removed."""
        self._queues_version += 1
        self.look_everywhere()

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
        self._crowd.result(taken)
        if taken and wakeup.armed:
            await asyncio.sleep(0)  # the task starts before the next look, which has time
        if self._full_rounds > FULL_ROUNDS and wakeup.armed:
            await wakeup.disarm()
            self._swept_at = time.monotonic()

    async def idle(self, wakeup: Wakeup) -> None:
        """Arm the wake-up, so that one more look follows; or, armed, wait for news, a due time or the slow poll."""
        if pause := self._pause_seconds(wakeup):
            await wakeup.disarm()
            await asyncio.sleep(pause)
        if not wakeup.armed or self._armed_version != self._queues_version:
            self._armed_version = self._queues_version
            await wakeup.arm(self._queues())
            self.look_everywhere()
            return
        self._statistics.waiting = True
        if not await self._agenda.sleep(self._slow_poll_seconds if wakeup.covers_all else SWEEP_SECONDS):
            self.look_everywhere()
        self._statistics.waiting = False

    def _pause_seconds(self, wakeup: Wakeup) -> float:
        spared = SPARED_PAUSE_SECONDS if not wakeup.covers_all and self._spares() else 0.0
        return max(self._crowd.pause_seconds(), spared)
