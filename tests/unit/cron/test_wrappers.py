"""Wrappers of functions."""

import asyncio
import threading
from typing import Any

import pytest

from rota import events
from rota.cron import wrappers
from rota.cron.local_cron import Cron
from rota.cron.wrappers import delay_if_running, recover, skip_if_running, wrapped
from tests.unit.cron.moved_clock import DEADLINE, Gate, MovedClock, Told, until


async def test_recover_logs_an_error_and_returns_none(told: Told) -> None:
    error = ValueError("wrong")

    @recover
    def fail() -> int:
        raise error

    @recover
    async def fail_on_the_loop() -> int:
        raise error

    assert fail() is None
    assert await fail_on_the_loop() is None
    assert [(event.name, event.error) for event in told.of(events.CronFunctionFailed)] == [
        ("fail", error),
        ("fail_on_the_loop", error),
    ]


async def test_recover_returns_what_the_function_returns() -> None:
    @recover
    def seven() -> int:
        """Return seven."""
        return 7

    assert seven() == 7
    assert (seven.__name__, seven.__doc__) == ("seven", "Return seven.")


async def test_skip_if_running_skips_a_call_of_an_async_function(told: Told) -> None:
    gate = Gate()
    function = skip_if_running(gate)

    first = asyncio.ensure_future(function())
    await until(lambda: gate.calls == 1)
    await function()
    gate.open.set()
    await first
    await function()

    assert gate.calls == 2
    assert [event.name for event in told.of(events.CronRunSkipped)] == ["Gate"]


def test_skip_if_running_skips_a_call_in_another_thread() -> None:
    gate = Gate()
    entered = threading.Event()

    @skip_if_running
    def work() -> None:
        entered.set()
        gate.blocking()

    thread = threading.Thread(target=work)
    thread.start()
    assert entered.wait(DEADLINE)
    work()
    gate.thread_open.set()
    thread.join(DEADLINE)
    work()

    assert gate.calls == 2


async def test_delay_if_running_runs_one_after_the_other() -> None:
    gate = Gate()
    function = delay_if_running(gate)

    calls = [asyncio.ensure_future(function()) for _ in range(3)]
    await until(lambda: gate.calls == 1)
    assert gate.calls == 1
    gate.open.set()
    await asyncio.gather(*calls)

    assert gate.ends == 3


def test_delay_if_running_holds_on_any_loop() -> None:
    gate = Gate()
    function = delay_if_running(gate)

    async def twice() -> None:
        gate.open = asyncio.Event()
        calls = [asyncio.ensure_future(function()) for _ in range(2)]
        await until(lambda: gate.calls % 2 == 1)
        gate.open.set()
        await asyncio.gather(*calls)

    asyncio.run(twice())
    asyncio.run(twice())

    assert gate.ends == 4


def test_delay_if_running_lets_threads_wait_and_tells_long_waits(monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    clock = iter([0.0, 0.0, 5.0, 66.0])
    monkeypatch.setattr(wrappers.time, "monotonic", lambda: next(clock))
    order: list[str] = []

    @delay_if_running
    def work() -> None:
        order.append("run")

    work()
    work()

    assert order == ["run", "run"]
    assert [event.seconds for event in told.of(events.CronRunDelayed)] == [61.0]


def test_the_first_wrapper_is_the_outermost() -> None:
    order: list[str] = []

    def around(name: str) -> Any:
        def wrapper(function: Any) -> Any:
            def run() -> None:
                order.append(name)
                function()

            return run

        return wrapper

    wrapped(lambda: order.append("function"), [around("a"), around("b")])()

    assert order == ["a", "b", "function"]


async def test_wrappers_of_a_cron_go_around_those_of_an_entry(clock: MovedClock, told: Told) -> None:
    gate = Gate()
    async with Cron(clock=clock, overlap="allow", wrappers=[recover]) as cron:
        cron.add("*/5 * * * *", gate, wrappers=[skip_if_running])
        await clock.to("08:05:00")
        await until(lambda: gate.calls == 1)
        await clock.to("08:10:00")
        await until(lambda: told.of(events.CronRunSkipped))
        gate.open.set()

    assert gate.calls == 1
    assert not told.of(events.CronFunctionFailed)
