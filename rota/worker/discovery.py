"""Discovery of queues: patterns such as `mail:*` are matched with the set of all queues, again and again.

An idle worker is notified by the server when that set changes, so that the first task of a new queue starts at once.
Everywhere else (a busy worker, polling, a Cluster whose set is on another node) the set is read at regular intervals.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from rota.broker.broker import Broker
from rota.broker.queue_names import read_queue_names
from rota.duration import display
from rota.worker.pace import Pace
from rota.worker.queues import Subscription

logger = logging.getLogger("rota.worker")


class Discovery:
    """Adds the queues that match a pattern of the subscription. A pattern that matches none is logged once."""

    def __init__(self, broker: Broker, subscription: Subscription, every: timedelta) -> None:
        self._broker = broker
        self._subscription = subscription
        self._every = every
        self._reported: set[str] = set()
        self._sooner = asyncio.Event()

    def look_soon(self) -> None:
        """Learn that there may be new queues."""
        self._sooner.set()

    async def look(self) -> None:
        """Look once."""
        if not self._subscription.patterns:
            return
        key = self._broker.keys.queues
        self._subscription.discover(read_queue_names(await self._broker.execute("SMEMBERS", key, key=key)))
        for pattern in self._subscription.fruitless():
            if pattern not in self._reported:
                self._reported.add(pattern)
                logger.warning(
                    "No queue matches %r yet: a queue exists from its first task on. The worker looks again every %s.",
                    pattern,
                    display(self._every),
                )

    async def keep(self, changed: Callable[[], Awaitable[None]]) -> None:
        """Look again and again until cancelled. `changed` is called when there are other queues than before."""

        async def look() -> None:
            before = set(self._subscription.queues)
            await self.look()
            if set(self._subscription.queues) != before:
                await changed()

        await Pace("search for queues", self._every).keep(look, sooner=self._sooner)
