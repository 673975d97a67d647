"""The forwarder: a slow safety pass that moves due tasks to where they wait next.

The fetch script promotes due tasks of the queues it asks, so a worker with a free slot needs no forwarder. This pass
serves the rest: paused queues, groups, and workers that are busy for long.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from rota import faults
from rota.broker import Broker
from rota.errors import BrokerError
from rota.wire.forward import forward
from rota.worker.pace import Pace


@dataclass(frozen=True, slots=True)
class ForwarderStatistics:
    """What the forwarder did since its start. `dropped` IDs had no task behind them."""

    passes: int = 0
    moved: int = 0
    dropped: int = 0
    errors: int = 0


class Forwarder:
    """Forwards for the queues that `queues` returns at the time."""

    def __init__(
        self,
        broker: Broker,
        queues: Callable[[], Iterable[str]],
        every: timedelta = timedelta(seconds=5),
        limit: int = 100,
    ) -> None:
        self._broker = broker
        self._queues = queues
        self._limit = limit
        self._pace = Pace("forwarder", every)
        self._done: ForwarderStatistics = ForwarderStatistics()

    async def run(self) -> None:
        """Forward every so often until cancelled; the first time after one interval, as the fetch comes first."""
        await self._pace.keep(self._turn, first=self._pace.every)

    async def forward(self) -> int:
        """Forward all that is due now; return the number of tasks moved."""
        moved = dropped = 0
        left = list(self._queues())
        while left:
            faults.reach("forward:send")
            replies = await self._broker.run_many(
                [forward(self._broker.keys.queue(queue), self._limit) for queue in left]
            )
            faults.answered("forward:answered")
            again: list[str] = []
            for queue, reply in zip(left, replies, strict=True):
                if isinstance(reply, BrokerError):
                    raise reply
                moved += reply.moved
                dropped += reply.dropped
                if reply.more:
                    again.append(queue)
            left = again
            await asyncio.sleep(0)
        done = self._done
        self._done = replace(done, passes=done.passes + 1, moved=done.moved + moved, dropped=done.dropped + dropped)
        return moved

    def statistics(self) -> ForwarderStatistics:
        """Return a snapshot."""
        return replace(self._done, errors=self._pace.errors)

    async def _turn(self) -> None:
        await self.forward()
