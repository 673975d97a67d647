"""The clock of the machine, on which a cron waits."""

import asyncio
from datetime import UTC, datetime, timedelta

from rota.cron.cron_clock import SystemClock
from tests.unit.cron.moved_clock import DEADLINE


async def test_wait_ends_when_the_time_has_come() -> None:
    clock = SystemClock()
    until = clock.now() + timedelta(milliseconds=20)

    async with asyncio.timeout(DEADLINE):
        await clock.wait(until, asyncio.Event())

    assert clock.now() > until - timedelta(milliseconds=5)  # timers are rounded


async def test_wait_for_the_past_ends_at_once() -> None:
    async with asyncio.timeout(DEADLINE):
        await SystemClock().wait(datetime(2020, 1, 1, tzinfo=UTC), asyncio.Event())


async def test_wait_looks_at_the_clock_again_long_before_a_distant_time() -> None:
    # The clock may be set, and the machine may sleep meanwhile.
    async with asyncio.timeout(DEADLINE):
        await SystemClock().wait(datetime(9999, 1, 1, tzinfo=UTC), asyncio.Event())


async def test_wait_without_a_time_ends_when_it_is_woken() -> None:
    woken = asyncio.Event()
    waiting = asyncio.ensure_future(SystemClock().wait(None, woken))
    await asyncio.sleep(0)
    assert not waiting.done()

    woken.set()
    async with asyncio.timeout(DEADLINE):
        await waiting
