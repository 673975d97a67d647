"""Waiting out an outage: longer each time, never in step with others, and one log line for each outage."""

import asyncio
import logging
import random
from contextlib import suppress

from rota.errors import BrokerError

logger = logging.getLogger("rota.worker")


class Backoff:
    """Waits between attempts, from `first_seconds` doubling up to `most_seconds`, each with full jitter above half."""

    def __init__(self, first_seconds: float = 0.1, most_seconds: float = 5.0) -> None:
        self._first_seconds = first_seconds
        self._most_seconds = most_seconds
        self._failures = 0
        self._sooner = asyncio.Event()

    def hurry(self, most_seconds: float) -> None:
        """End the wait that is under way, and wait no longer than this from now on."""
        self._most_seconds = min(self._most_seconds, most_seconds)
        self._sooner.set()

    def reset(self) -> None:
        """Note a success."""
        if self._failures:
            logger.info("The broker answers again after %d failed attempts.", self._failures)
        self._failures = 0

    async def wait(self, error: Exception, act: str) -> None:
        """Note a failure of `act` and wait. One that is not the broker's is logged with its traceback."""
        if self._failures == 0:
            trace = None if isinstance(error, BrokerError) else error
            logger.error("%s failed, trying again until it works: %s", act, error, exc_info=trace)
        pause = min(self._first_seconds * 2**self._failures, self._most_seconds)
        self._failures = min(self._failures + 1, 30)
        self._sooner.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(random.uniform(0.5, 1) * pause):
                await self._sooner.wait()
