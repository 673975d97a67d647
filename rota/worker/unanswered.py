"""Fetches whose replies are not known: what they took is active, carries their token, and nobody runs it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from rota import faults
from rota.errors import BrokerRefused
from rota.wire import fetch as wire
from rota.wire.fetch import Reclaimed
from rota.wire.keys import QueueKeys
from rota.wire.script import Call
from rota.worker.clock import lease_clock

logger = logging.getLogger("rota.worker")

Run = Callable[[Call[Reclaimed]], Awaitable[Reclaimed]]
Found = Callable[[QueueKeys, str, Reclaimed, float], None]


class Unanswered:
    """Keeps the tokens of such fetches until their tasks are found; `found` gets these."""

    def __init__(self, lease_seconds: int, found: Found) -> None:
        self._lease_seconds = lease_seconds
        self._found = found
        self._fetches: list[tuple[QueueKeys, str]] = []
        self._reclaiming = asyncio.Lock()

    def add(self, queues: Iterable[QueueKeys], token: str) -> None:
        """Remember a fetch."""
        self._fetches += [(queue, token) for queue in queues]

    async def reclaim(self, run: Run) -> None:
        """Find what all of them took."""
        # One after the other: who is quieted and then stopped asks twice, and must not start them twice.
        async with self._reclaiming:
            while self._fetches:
                queue, token = self._fetches[0]
                faults.reach("fetch:reclaim")
                lease_until = lease_clock() + self._lease_seconds
                try:
                    found = await run(wire.reclaim(queue, token, lease_seconds=self._lease_seconds))
                except BrokerRefused as error:
                    # It must not keep the worker from its other queues.
                    logger.error(
                        "What a lost fetch took of queue %s comes back by its lease only: %s", queue.queue, error
                    )
                    found = Reclaimed([], {})
                faults.answered("fetch:reclaimed")
                self._fetches.pop(0)
                self._found(queue, token, found, lease_until)
