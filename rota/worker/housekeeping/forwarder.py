"""The forwarder: moves due tasks to their pending list or group, in the queues in which the sweep has found some.

The fetch script already promotes due tasks of the queues that it asks. The forwarder is for the other cases: paused
queues, tasks with a group, and queues whose workers have no free slot for some time.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace

from rota.broker import Broker
from rota.broker.failure import NodeReplies
from rota.core import faults
from rota.wire.sweep import forward


@dataclass(frozen=True, slots=True)
class ForwarderStatistics:
    """Counts since the start. `dropped` counts IDs in a queue whose task did not exist any more."""

    passes: int = 0
    moved: int = 0
    dropped: int = 0


class Forwarder:
    """Forwards at most `limit` tasks of each queue and sorted set (scheduled, retry) in one call."""

    def __init__(self, broker: Broker, limit: int = 100) -> None:
        self._broker = broker
        self._limit = limit
        self._done: ForwarderStatistics = ForwarderStatistics()

    async def forward(self, queues: Iterable[str]) -> int:
        """Forward all tasks that are due now; return how many. A refusal is raised after the other queues' turn."""
        moved = dropped = 0
        answers = NodeReplies()
        left: list[str] = list(queues)
        while left:
            faults.reach("forward:send")
            replies = await self._broker.run_many(
                [forward(self._broker.keys.queue(queue), self._limit) for queue in left]
            )
            faults.answered("forward:answered")
            good = answers.sort(left, replies)
            moved += sum(reply.moved for _, reply in good)
            dropped += sum(reply.dropped for _, reply in good)
            left = [queue for queue, reply in good if reply.more]
            # Let other code of this process, and other clients of Redis, run between two batches.
            await asyncio.sleep(0)
        done = self._done
        self._done = replace(done, passes=done.passes + 1, moved=done.moved + moved, dropped=done.dropped + dropped)
        answers.check()
        return moved

    def statistics(self) -> ForwarderStatistics:
        """Return a snapshot."""
        return self._done
