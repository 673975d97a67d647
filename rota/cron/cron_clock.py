"""The clock of a cron, which tests replace by one that they move.

A planned time is a time of the wall clock, and the wall clock does not run evenly: it is set, and a machine sleeps. So
the clock of the system is read at least once a second while something is planned. A cron is then late by a second at
most after a jump, and does not wait for the rest of a sleep that began before it.
"""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol

_LONGEST_SLEEP = 1.0


class CronClock(Protocol):
    """A clock that a cron can wait on."""

    def now(self) -> datetime:
        """Return the present time, in UTC."""
        ...

    async def wait(self, until: datetime | None, woken: asyncio.Event) -> None:
        """Return when the time has come, earlier if `woken` is set, and whenever the caller should look again.

        None is a time that never comes.
        """
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """Return the present time, in UTC."""
        return datetime.now(UTC)

    async def wait(self, until: datetime | None, woken: asyncio.Event) -> None:
        """Return when the time has come, at least once a second before that, or when `woken` is set."""
        seconds = None if until is None else min(max((until - self.now()).total_seconds(), 0.0), _LONGEST_SLEEP)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await woken.wait()
