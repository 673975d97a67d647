"""Runs the work of a background part at intervals until the part is cancelled, whatever errors occur.

During an outage, `Backoff` waits between the attempts: growing, with jitter, and with few log lines.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from rota import events
from rota.core.randomness import RANDOM
from rota.errors import BrokerError

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

    async def keep(self, act: Act, *, sooner: asyncio.Event | None = None) -> None:
        """Call `act` until cancelled, for the first time at once. Setting `sooner` ends a wait."""
        while True:
            wait: timedelta | None = None
            if sooner is not None:
                sooner.clear()  # before the act, so that a request during the act ends the next wait
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
        return wait.total_seconds() * RANDOM.uniform(0.9, 1.1)


STEADY_SECONDS = 1.0
"""How long a success must last before the next wait is short again. Otherwise a server that accepts each connection and
then closes it would be contacted again at once, without end."""
REMIND_SECONDS = 60.0


class Backoff:
    """Waits between attempts: `first_seconds`, doubled up to `most_seconds`, each multiplied by 0.5 to 1 at random."""

    def __init__(self, first_seconds: float = 0.1, most_seconds: float = 5.0) -> None:
        self._first_seconds = first_seconds
        self._most_seconds = most_seconds
        self._failures = 0
        self._said_at = 0.0
        self._to_be_ended = False
        self.succeeded_at: float | None = None
        """When the first success after the last failure was noted; None if there was none."""
        self._sooner = asyncio.Event()

    def hurry(self, most_seconds: float) -> None:
        """End the current wait, and limit all later waits to `most_seconds`."""
        self._most_seconds = min(self._most_seconds, most_seconds)
        self._sooner.set()

    def reset(self) -> None:
        """Note a success. The next wait is short again if the success has lasted for `STEADY_SECONDS` by then."""
        if self.succeeded_at is None:
            self.succeeded_at = time.monotonic()
            if self._to_be_ended:
                events.emit(events.BrokerBack(failures=self._failures))
                self._to_be_ended = False

    def explain(self) -> None:
        """Note that the cause of the failures was found, logged and removed: the next wait is short again."""
        self._failures = 0
        self._to_be_ended = False

    async def wait(self, error: Exception, act: str, *, level: int = logging.ERROR) -> None:
        """Note a failure of `act` and wait. The first failure is logged at `level`, later ones once a minute."""
        now = time.monotonic()
        if self.succeeded_at is not None and now - self.succeeded_at >= STEADY_SECONDS:
            self._failures = 0
        self.succeeded_at = None
        self._say(error, act, level, now)
        pause = min(self._first_seconds * 2**self._failures, self._most_seconds)
        self._failures = min(self._failures + 1, 30)  # in a long outage, the power would become too large for a float
        self._sooner.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(RANDOM.uniform(0.5, 1) * pause):
                await self._sooner.wait()

    def _say(self, error: Exception, act: str, level: int, now: float) -> None:
        # Any error but a BrokerError is a bug in Rota or in code of the user, so its traceback is logged.
        unexpected = not isinstance(error, BrokerError)
        if self._failures == 0:
            events.emit(events.BrokerAway(log_level=level, act=act, error=error, unexpected=unexpected))
        elif now - self._said_at >= REMIND_SECONDS:
            attempts = self._failures + 1
            events.emit(events.BrokerStillAway(act=act, attempts=attempts, error=error, unexpected=unexpected))
        else:
            return
        self._said_at = now
        self._to_be_ended = True
