"""The beat of a background part: its act again and again, until the part is cancelled, whatever goes wrong."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from rota.errors import BrokerError
from rota.worker.backoff import Backoff

logger = logging.getLogger("rota.worker")

Act = Callable[[], Awaitable[timedelta | None]]


class Ticker:
    """Repeats an act every `every`, give or take a tenth, so that a fleet started together does not stay in step.

    An act may return the wait until its next turn. A part never ends by an error: while the broker is away it waits
    longer and longer; any other error is logged with its traceback, and the act gets its next turn as usual.
    """

    def __init__(self, name: str, every: timedelta) -> None:
        self.name = name
        self.every = every
        self.errors = 0
        self._backoff = Backoff(first_seconds=0.5, most_seconds=max(5.0, every.total_seconds()))

    async def keep(self, act: Act, *, first: timedelta | None = None, sooner: asyncio.Event | None = None) -> None:
        """Run `act` for ever; the first time after `first`, by default at once. Setting `sooner` ends the wait."""
        if first is not None:
            await asyncio.sleep(self._jittered(first))
        while True:
            wait: timedelta | None = None
            if sooner is not None:
                sooner.clear()
            try:
                wait = await act()
            except BrokerError as error:
                self.errors += 1
                await self._backoff.wait(error, f"The {self.name}")
                continue
            except Exception:
                self.errors += 1
                logger.exception("The %s failed; it goes on with its next turn.", self.name)
            else:
                self._backoff.reset()
            await self._pause(self.every if wait is None else wait, sooner)

    async def _pause(self, wait: timedelta, sooner: asyncio.Event | None) -> None:
        if sooner is None:
            await asyncio.sleep(self._jittered(wait))
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self._jittered(wait)):
                await sooner.wait()

    @staticmethod
    def _jittered(wait: timedelta) -> float:
        return wait.total_seconds() * random.uniform(0.9, 1.1)
