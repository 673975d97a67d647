"""What the tests of crons share: a clock that a test moves, a function that runs as long as a test wants."""

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from rota import events
from rota.cron.local_cron import Cron

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)  # a Monday
DEADLINE = 30.0


class MovedClock:
    """Stands still until a test moves it. A move returns once the cron has decided about the new time."""

    def __init__(self) -> None:
        self.until: datetime | None = None
        self._now = START
        self._woken = asyncio.Event()
        self._idle = asyncio.Event()

    def now(self) -> datetime:
        return self._now

    async def wait(self, until: datetime | None, woken: asyncio.Event) -> None:
        self.until, self._woken = until, woken
        self._idle.set()
        await woken.wait()

    async def to(self, moment: str | datetime) -> None:
        """Go to an instant, or to a time of the first day."""
        if isinstance(moment, str):
            moment = datetime.combine(START.date(), datetime.strptime(moment, "%H:%M:%S").time(), UTC)
        self._now = moment
        await self.look()

    async def by(self, **words: float) -> None:
        await self.to(self._now + timedelta(**words))

    async def look(self) -> None:
        """Let the cron decide once more."""
        self._idle.clear()
        self._woken.set()
        async with asyncio.timeout(DEADLINE):
            await self._idle.wait()


class Told(list[events.Event]):
    """The events of crons so far."""

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self if type(event) is kind]


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until a condition holds."""
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0)


class Gate:
    """A function that runs until the test opens it. `blocking` is its plain twin."""

    def __init__(self) -> None:
        self.calls = 0
        self.ends = 0
        self.open = asyncio.Event()
        self.thread_open = threading.Event()

    async def __call__(self) -> None:
        self.calls += 1
        await self.open.wait()
        self.ends += 1

    def blocking(self) -> None:
        self.calls += 1
        assert self.thread_open.wait(DEADLINE)
        self.ends += 1


async def nothing() -> None:
    """Do nothing."""


def runs(cron: Cron, id: int) -> int:
    """The number of runs of an entry."""
    entry = cron.entry(id)
    assert entry is not None
    return entry.runs
