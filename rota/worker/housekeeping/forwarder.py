"""The forwarder: moves due tasks to where they wait next, in the queues that the sweep has found to have some.

The fetch script promotes due tasks of the queues it asks, so a worker with a free slot needs no forwarder. This serves
the rest: paused queues, groups, and workers that are busy for long.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace

from rota.broker import Broker
from rota.core import faults
from rota.wire.forward import forward
from rota.worker.consume.node_replies import NodeReplies


@dataclass(frozen=True, slots=True)
class ForwarderStatistics:
    """What the forwarder did since its start. `dropped` IDs had no task behind them."""

    passes: int = 0
    moved: int = 0
    dropped: int = 0


class Forwarder:
    """Forwards at most `limit` tasks of each queue and set in one call."""

    def __init__(self, broker: Broker, limit: int = 100) -> None:
        self._broker = broker
        self._limit = limit
        self._done: ForwarderStatistics = ForwarderStatistics()

    async def forward(self, queues: Iterable[str]) -> int:
        """Forward all that is due now; return how many tasks. An error comes after the other queues' turn."""
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
            # Between two batches others get their turn, here and in Redis.
            await asyncio.sleep(0)
        done = self._done
        self._done = replace(done, passes=done.passes + 1, moved=done.moved + moved, dropped=done.dropped + dropped)
        answers.check()
        return moved

    def statistics(self) -> ForwarderStatistics:
        """Return a snapshot."""
        return self._done
