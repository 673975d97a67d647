"""The janitor: deletes completed tasks whose retention is over, and trims the archive by size and age.

Tasks trimmed from the archive are gone for good, so they are counted in Redis and in the log.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from rota import events
from rota.broker import Broker
from rota.broker.failure import NodeReplies
from rota.core import faults
from rota.wire.sweep import clean


@dataclass(frozen=True, slots=True)
class JanitorStatistics:
    """Tasks deleted since the start: `expired` completed tasks, and `trimmed` archived tasks."""

    passes: int = 0
    expired: int = 0
    trimmed: int = 0


class Janitor:
    """Deletes at most `limit` tasks of each queue and kind (completed, archived) in one call."""

    def __init__(
        self,
        broker: Broker,
        archive_size: int = 10_000,
        archive_age: timedelta = timedelta(days=90),
        limit: int = 100,
    ) -> None:
        self._broker = broker
        self._archive_size = archive_size
        self._archive_age = archive_age
        self._limit = limit
        self._done: JanitorStatistics = JanitorStatistics()

    async def clean(self, queues: Iterable[str]) -> int:
        """Delete all expired and trimmed tasks; return how many. A refusal is raised after the other queues' turn."""
        before = self._done
        answers = NodeReplies()
        left = list(queues)
        while left:  # `answers` keeps a refusal until the other queues are done, and its queue is not asked again
            left = await self._pass(left, answers)
            # Let other code of this process, and other clients of Redis, run between two batches.
            await asyncio.sleep(0)
        self._done = replace(self._done, passes=self._done.passes + 1)
        if trimmed := self._done.trimmed - before.trimmed:
            events.emit(events.ArchiveTrimmed(tasks=trimmed))
        answers.check()
        return trimmed + self._done.expired - before.expired

    def statistics(self) -> JanitorStatistics:
        """Return a snapshot."""
        return self._done

    async def _pass(self, queues: list[str], answers: NodeReplies) -> list[str]:
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
        good = answers.sort(queues, replies)
        done = self._done
        self._done = replace(
            done,
            expired=done.expired + sum(reply.expired for _, reply in good),
            trimmed=done.trimmed + sum(reply.trimmed for _, reply in good),
        )
        return [queue for queue, reply in good if reply.more]
