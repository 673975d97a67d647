"""How entries come and go, and how a cron ends."""

import asyncio
import inspect
import threading
from datetime import timedelta
from typing import Any

import pytest

from rota import Rota, events
from rota.cron.cron_options import CronOptions
from rota.cron.local_cron import Cron
from rota.errors import OptionError, RotaError, ScheduleInvalid
from rota.schedule.keywords import ScheduleOptions
from tests.unit.cron.moved_clock import DEADLINE, START, Gate, MovedClock, Told, nothing, runs, until

# Adding and removing


async def test_entry_added_while_the_cron_sleeps_wakes_it(clock: MovedClock) -> None:
    async with Cron(clock=clock) as cron:
        await asyncio.to_thread(cron.add, "*/5 * * * *", nothing)
        await until(lambda: clock.until == START + timedelta(minutes=5))


async def test_removed_entry_does_not_run_again_and_its_run_goes_on(clock: MovedClock) -> None:
    gate = Gate()
    async with Cron(clock=clock) as cron:
        id = cron.add("*/5 * * * *", gate, overlap="queue_one")
        await clock.to("08:05:00")
        await clock.to("08:10:00")
        await until(lambda: gate.calls == 1)

        assert cron.remove(id)
        assert not cron.remove(id)
        assert cron.entry(id) is None
        assert cron.entries() == []
        await clock.to("08:15:00")
        gate.open.set()

    assert (gate.calls, gate.ends) == (1, 1)


async def test_entries_that_come_and_go_leave_nothing_behind(clock: MovedClock) -> None:
    async with Cron(clock=clock) as cron:
        for _ in range(300):
            id = cron.add("@yearly", nothing)
            await clock.look()
            cron.remove(id)
        await clock.look()

        assert len(cron._entries._due) <= 102
        assert len(cron._entries._removed) <= 1


def test_options_and_decorators_are_those_of_an_app() -> None:
    """A function moves to the queue by a change of one word."""
    assert set(CronOptions.__annotations__) - set(ScheduleOptions.__annotations__) == {"wrappers"}
    for name in ("cron", "every"):
        own, app = (inspect.signature(getattr(kind, name)).parameters for kind in (Cron, Rota))
        assert [(each.name, each.kind) for each in own.values()] == [
            (each.name, each.kind) for each in app.values() if each.name != "type"
        ]


async def test_decorators_return_the_function_itself(clock: MovedClock) -> None:
    cron = Cron(clock=clock)

    @cron.cron("0 9 * * *", "0 17 * * *", name="twice a day")
    @cron.every("10m")
    async def work() -> str:
        return "done"

    assert await work() == "done"
    assert [(entry.name, entry.specs) for entry in cron.entries()] == [
        ("work", ("@every 10m",)),
        ("twice a day", ("0 9 * * *", "0 17 * * *")),
    ]


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (lambda cron: cron.add("61 * * * *", nothing), "minute 61 is outside of 0-59"),
        (lambda cron: cron.add("@daily", nothing, tz="Europe/Berln"), "Did you mean 'Europe/Berlin'?"),
        (lambda cron: cron.add("@daily", nothing, mised="skip"), "no option 'mised'. Did you mean 'missed'?"),
        (lambda cron: cron.add("@daily", nothing, missed="never"), "missed is 'never'"),
        (lambda cron: cron.add("@daily", nothing, calendar="china"), "must be a Calendar"),
        (lambda cron: cron.add("@daily", lambda number: None), "is called with ()"),
        (lambda cron: cron.add("@daily", 7), "must be a function"),
        (lambda cron: cron.add(7, nothing), "7 is not a spec"),
        (lambda cron: cron.add([], nothing), "specs is missing"),
        (lambda cron: cron.add("@daily", print, overlap="replace"), "overlap='replace' has to cancel a run"),
        (lambda cron: cron.add("@daily", print, timeout="1m"), "timeout has to cancel a run"),
        (lambda cron: cron.cron(nothing), "cron.cron is given nothing, which is not a spec"),
        (lambda cron: cron.add("@daily", nothing, wrappers=print), "must be a list of functions"),
        (lambda cron: cron.add("@daily", nothing, wrappers="abc"), "must be a list of functions"),
        (lambda cron: cron.add("@daily", nothing, wrappers=[lambda f: None]), "returned None: it has to return"),
        (lambda cron: Cron(tz=5), "The time zone '5' is not known"),
        (lambda cron: cron.every("500ms"), "must be at least 1s"),
        (lambda cron: Cron(tz="Mars"), "The time zone 'Mars' is not known"),
        (lambda cron: Cron(ovrlap="skip"), "Did you mean 'overlap'?"),
    ],
)
def test_wrong_entries_are_refused_with_their_line(act: Any, text: str) -> None:
    with pytest.raises((OptionError, ScheduleInvalid)) as refused:
        act(Cron())

    assert text in str(refused.value)
    assert "test_cron_lifecycle.py:" in str(refused.value)


# Its end


async def test_stop_waits_for_the_runs_and_starts_no_more(clock: MovedClock, told: Told) -> None:
    gate = Gate()
    async with Cron(clock=clock) as cron:
        cron.add("*/5 * * * *", gate, overlap="queue_one")
        await clock.to("08:05:00")
        await clock.to("08:10:00")
        await until(lambda: gate.calls == 1)
        stopping = asyncio.ensure_future(_awaited(cron.stop()))
        await until(lambda: not cron.is_running and not cron.entries()[0].waiting)
        assert not stopping.done()
        gate.open.set()
        await stopping

    assert (gate.calls, gate.ends) == (1, 1)
    assert "it waited for an earlier run" in told.of(events.CronRunSkipped)[0].note
    assert len(told.of(events.CronStopped)) == 1


async def _awaited(stop: Any) -> None:
    await stop


async def test_runs_that_take_longer_than_the_timeout_are_cancelled(clock: MovedClock, told: Told) -> None:
    gate = Gate()
    async with Cron(clock=clock, stop_timeout="0s") as cron:
        cron.add("@hourly", gate, name="endless")
        await clock.to("09:00:00")
        await until(lambda: gate.calls == 1)

    assert gate.ends == 0
    assert told.of(events.CronRunCancelled)[0].message() == "A run of endless was cancelled: the cron has stopped."


async def test_a_thread_that_never_ends_is_left_and_told(clock: MovedClock, told: Told) -> None:
    gate = Gate()
    async with Cron(clock=clock, stop_timeout="0s") as cron:
        cron.add("@hourly", gate.blocking, name="stuck")
        await clock.to("09:00:00")
        await until(lambda: gate.calls == 1)
    left = told.of(events.CronRunLeft)
    gate.thread_open.set()
    await until(lambda: gate.ends == 1)

    assert [event.name for event in left] == ["stuck"]


async def test_cancelling_the_program_while_the_cron_waits_cancels_the_runs(clock: MovedClock) -> None:
    gate = Gate()

    async def program() -> None:
        async with Cron(clock=clock) as cron:
            cron.add("@hourly", gate)
            await clock.to("09:00:00")

    task = asyncio.create_task(program())
    await until(lambda: gate.calls == 1)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert gate.ends == 0


async def test_function_can_stop_its_cron_but_not_wait_for_it(clock: MovedClock, told: Told) -> None:
    async with Cron(clock=clock) as cron:

        async def stop_and_wait() -> None:
            await cron.stop()

        cron.add("@hourly", stop_and_wait)
        await clock.to("08:59:00")
        clock._now = START + timedelta(hours=1)
        clock._woken.set()
        await until(lambda: told.of(events.CronStopped))

    [failed] = told.of(events.CronFunctionFailed)
    assert isinstance(failed.error, RotaError)
    assert "call cron.stop() without waiting" in str(failed.error)


async def test_blocking_wait_on_the_loop_of_the_cron_is_refused() -> None:
    async with Cron() as cron:
        stop = cron.stop()
        with pytest.raises(RotaError, match=r"write `await cron.stop\(\)`"):
            stop.wait("1s")
        await stop
        assert stop.wait()


async def test_cron_starts_again_and_does_not_make_up_for_the_pause(clock: MovedClock) -> None:
    cron = Cron(clock=clock)
    id = cron.add("*/5 * * * *", nothing)
    async with cron:
        await clock.to("08:05:00")
        await until(lambda: cron.entries()[0].running == 0)
    clock._now = START + timedelta(minutes=33)

    async with cron:
        await clock.look()
        assert runs(cron, id) == 1
        await clock.to("08:35:00")
        assert runs(cron, id) == 2


async def test_cron_that_runs_cannot_start_again(clock: MovedClock) -> None:
    async with Cron(clock=clock) as cron:
        with pytest.raises(OptionError, match="This cron runs already"):
            async with cron:
                pass
        with pytest.raises(OptionError, match="write `async with cron:` instead"):
            cron.run()


async def test_stop_of_a_cron_that_does_not_run_is_over_at_once() -> None:
    await Cron().stop()
    assert Cron().stop().wait()


# Blocking programs


def test_with_runs_the_cron_in_a_thread_and_waits_for_its_runs() -> None:
    called = threading.Event()
    with Cron() as cron:
        cron.add("@every 1s", called.set)
        assert called.wait(DEADLINE)
        assert cron.is_running

    assert not cron.is_running


def test_run_blocks_until_a_function_stops_the_cron() -> None:
    cron = Cron()
    cron.add("@every 1s", lambda: cron.stop() and None)

    cron.run()

    assert cron.entries()[0].runs == 1


def test_stop_from_another_thread_waits_for_a_time() -> None:
    gate, cron = Gate(), Cron()
    cron.add("@every 1s", gate.blocking)
    thread = threading.Thread(target=cron.run)
    thread.start()
    deadline = threading.Event()
    while not gate.calls:
        deadline.wait(0.01)

    assert not cron.stop().wait("10ms")
    gate.thread_open.set()
    assert cron.stop().wait(DEADLINE)
    thread.join(DEADLINE)
    assert gate.ends == 1
