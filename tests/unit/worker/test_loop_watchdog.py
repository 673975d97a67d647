"""The watchdog of an event loop."""

import asyncio
import logging
import threading
from datetime import timedelta

import pytest

from rota.worker.loop_watchdog import LoopStatistics, LoopWatchdog
from tests.servers.process import wait_until

LIMIT = timedelta(milliseconds=300)


async def beating(loop_watchdog: LoopWatchdog) -> "asyncio.Task[None]":
    running = asyncio.create_task(loop_watchdog.run())
    async with asyncio.timeout(10):
        while not loop_watchdog.statistics().turned_at:
            await asyncio.sleep(0)
    return running


async def ended(running: "asyncio.Task[None]") -> None:
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    for thread in watchdogs():  # what it still logs is not the next test's
        await asyncio.to_thread(thread.join)


def watchdogs() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "rota-loop-watchdog"]


async def turned_since(loop_watchdog: LoopWatchdog, moment: float) -> LoopStatistics:
    async with asyncio.timeout(10):
        while (statistics := loop_watchdog.statistics()).turned_at <= moment:
            await asyncio.sleep(0)
    return statistics


async def test_a_loop_that_turns_is_not_worth_a_word(caplog: pytest.LogCaptureFixture) -> None:
    loop_watchdog = LoopWatchdog(list, timedelta(seconds=10))
    running = await beating(loop_watchdog)
    await turned_since(loop_watchdog, loop_watchdog.statistics().turned_at)
    await ended(running)

    assert loop_watchdog.statistics().blockages == 0
    assert [record for record in caplog.records if record.name == "rota.worker"] == []


async def test_a_blockage_is_told_once_with_the_coroutine_and_the_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "rota.worker")
    looks: list[float] = []
    loop_watchdog = LoopWatchdog(list, LIMIT, lambda: looks.append(loop_watchdog.statistics().turned_at))
    running = await beating(loop_watchdog)

    async def block() -> None:
        before = len(looks)
        wait_until(lambda: "the culprit" in loop_watchdog.statistics().blocked_by and len(looks) > before + 4)

    await asyncio.create_task(block(), name="the culprit")
    statistics = await turned_since(loop_watchdog, looks[-1])
    await ended(running)

    assert (statistics.blockages > 0, statistics.blocked_by) == (True, "")
    assert statistics.blocked_seconds >= statistics.longest_seconds >= LIMIT.total_seconds()
    records = [record for record in caplog.records if record.name == "rota.worker"]
    [told] = [record for record in records if "by the coroutine the culprit" in record.getMessage()]
    assert "in wait_until" in (told.stack_info or "")
    assert any(record.getMessage().startswith("The event loop turns again") for record in records)


async def test_a_callback_outside_of_any_task_is_named_by_its_source_line() -> None:
    loop_watchdog = LoopWatchdog(list, LIMIT)
    running = await beating(loop_watchdog)
    named = asyncio.Event()

    def callback() -> None:
        wait_until(lambda: "process.py" in loop_watchdog.statistics().blocked_by)
        named.set()

    asyncio.get_running_loop().call_soon(callback)
    await named.wait()
    await ended(running)


async def test_an_error_in_the_thread_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    failures: list[int] = []

    def fail() -> None:
        failures.append(1)
        raise ValueError("no")

    loop_watchdog = LoopWatchdog(list, LIMIT, fail)
    running = await beating(loop_watchdog)
    async with asyncio.timeout(10):
        while len(failures) < 2:
            await asyncio.sleep(0)
    await ended(running)

    assert "The check of the event loop failed" in caplog.text


class ClearedLate(threading.Event):
    """Holds the thread where it has decided to look once more, until the loop stands."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.loop_stands = threading.Event()

    def clear(self) -> None:
        self.reached.set()
        assert self.loop_stands.wait(10)
        super().clear()


async def test_watchdog_that_was_stopped_says_nothing_of_a_loop_that_stands(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop_watchdog = LoopWatchdog(list, LIMIT)
    running = await beating(loop_watchdog)
    late = ClearedLate()
    monkeypatch.setattr(loop_watchdog, "_turned", late)
    await asyncio.to_thread(late.reached.wait)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    late.loop_stands.set()
    wait_until(lambda: not watchdogs())

    assert [record for record in caplog.records if record.name == "rota.worker"] == []
