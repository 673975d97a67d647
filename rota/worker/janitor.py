"""The janitor: deletes completed tasks whose retention is over, and trims the archive by size and age.

Trimmed failures are gone for good, so they are counted (`trimmed_key`) and announced in the log.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from rota import faults
from rota.broker import Broker
from rota.errors import BrokerError
from rota.wire.janitor import clean
from rota.worker.pace import Pace

logger = logging.getLogger("rota.worker")


@dataclass(frozen=True, slots=True)
class JanitorStatistics:
    """What the janitor deleted since its start: completed tasks, and archived ones."""

    passes: int = 0
    expired: int = 0
    trimmed: int = 0
    errors: int = 0


class Janitor:
    """Cleans the queues that `queues` returns at the time."""

    def __init__(
        self,
        broker: Broker,
        queues: Callable[[], Iterable[str]],
        every: timedelta = timedelta(seconds=30),
        archive_size: int = 10_000,
        archive_age: timedelta = timedelta(days=90),
        limit: int = 100,
    ) -> None:
        self._broker = broker
        self._queues = queues
        self._archive_size = archive_size
        self._archive_age = archive_age
        self._limit = limit
        self._pace = Pace("janitor", every)
        self._done: JanitorStatistics = JanitorStatistics()

    async def run(self) -> None:
        """Clean every so often until cancelled; the first time after one interval."""
        await self._pace.keep(self._turn, first=self._pace.every)

    async def clean(self) -> int:
        """Delete all that has had its time; return the number of tasks deleted."""
        before = self._done
        left = list(self._queues())
        while left:
            left = await self._pass(left)
            # Between two batches others get their turn, here and in Redis.
            await asyncio.sleep(0)
        self._done = replace(self._done, passes=self._done.passes + 1)
        if trimmed := self._done.trimmed - before.trimmed:
            logger.warning("Deleted %d failed tasks for good: the archive is full or they were too old.", trimmed)
        return trimmed + self._done.expired - before.expired

    def statistics(self) -> JanitorStatistics:
        """Return a snapshot."""
        return replace(self._done, errors=self._pace.errors)

    async def _pass(self, queues: list[str]) -> list[str]:
        """Clean one batch of each queue; return the queues with more to do."""
        calls = [
            clean(
                self._broker.keys.queue(queue),
                limit=self._limit,
                archive_size=self._archive_size,
                archive_age=self._archive_age,
            )
            for queue in queues
        ]
        faults.reach("clean:send")
        replies = await self._broker.run_many(calls)
        faults.answered("clean:answered")
        again: list[str] = []
        for queue, reply in zip(queues, replies, strict=True):
            if isinstance(reply, BrokerError):
                raise reply
            done = self._done
            self._done = replace(done, expired=done.expired + reply.expired, trimmed=done.trimmed + reply.trimmed)
            if reply.more:
                again.append(queue)
        return again

    async def _turn(self) -> None:
        await self.clean()
