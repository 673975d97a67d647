"""Runs the work of a background part at intervals until the part is cancelled, whatever errors occur."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from rota import events
from rota.errors import BrokerError
from rota.worker.backoff import Backoff

Act = Callable[[], Awaitable[timedelta | None]]


class Ticker:
    """Calls an act every `every`, with a jitter of 10 % so that workers started together do not stay in step.

    An act may return another time to wait until its next call. An error does not end the part. After a BrokerError the
    waits grow; any other error is logged with its traceback, and the act is called again at the usual time.
    """

    def __init__(self, name: str, every: timedelta) -> None:
        self.name = name
        self.every = every
        self.errors = 0
        self._backoff = Backoff(first_seconds=0.5, most_seconds=max(5.0, every.total_seconds()))

    async def keep(self, act: Act, *, first: timedelta | None = None, sooner: asyncio.Event | None = None) -> None:
        """Call `act` until cancelled, for the first time after `first` or at once. Setting `sooner` ends a wait."""
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
            except Exception as error:
                self.errors += 1
                events.emit(events.PartFailed(part=self.name, error=error))
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
