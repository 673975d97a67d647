"""A cron: entries, their planned times, and their functions."""

import asyncio
import queue
import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from rota import events
from rota.cron.local_cron import Cron
from rota.cron.spec_builder import every
from rota.errors import TimeLimitExceeded
from rota.schedule.calendar import Calendar
from rota.schedule.search import Occurrence
from rota.schedule.spec import parse_spec
from rota.schedule.trigger import Trigger
from tests.unit.cron.moved_clock import START, Gate, MovedClock, Told, nothing, runs, until

# Times


async def test_function_runs_at_each_planned_time(clock: MovedClock) -> None:
    times: list[datetime] = []

    async def note() -> None:
        times.append(clock.now())

    async with Cron(clock=clock) as cron:
        cron.add("*/5 * * * *", note)
        for moment in ("08:04:59", "08:05:00", "08:09:00", "08:10:00"):
            await clock.to(moment)
            await asyncio.sleep(0)

    assert [f"{each:%H:%M}" for each in times] == ["08:05", "08:10"]


async def test_entries_added_before_the_start_count_from_the_start(clock: MovedClock) -> None:
    cron = Cron(clock=clock)
    id = cron.add("@every 10m", nothing)
    clock._now = START + timedelta(minutes=5)

    async with cron:
        await clock.to("08:14:59")
        assert runs(cron, id) == 0
        await clock.to("08:15:00")
        assert runs(cron, id) == 1


async def test_entry_tells_its_next_and_previous_time_in_its_zone(clock: MovedClock) -> None:
    cron = Cron(clock=clock, tz="Asia/Shanghai")
    id = cron.add("30 17 * * *", nothing, name="daily")
    before = cron.entry(id)
    assert before is not None
    assert (before.next and before.next.isoformat(), before.previous) == ("2026-03-02T17:30:00+08:00", None)

    async with cron:
        await clock.to("09:30:00")
        await until(lambda: not cron.entries()[0].running)
        entry = cron.entries()[0]

    assert entry.previous is not None
    assert entry.next is not None
    assert entry.previous.isoformat() == "2026-03-02T17:30:00+08:00"
    assert entry.next.isoformat() == "2026-03-03T17:30:00+08:00"
    assert (entry.name, entry.runs, entry.failures, entry.timezone) == ("daily", 1, 0, "Asia/Shanghai")


async def test_entries_are_listed_by_their_next_time(clock: MovedClock) -> None:
    cron = Cron(clock=clock)
    cron.add("at 2020-01-01T00:00", nothing, name="over")
    cron.add("@daily", nothing, name="late")
    cron.add("@hourly", nothing, name="soon")

    assert [entry.name for entry in cron.entries()] == ["soon", "late", "over"]


async def test_several_specs_are_a_union_whose_equal_instants_run_once(clock: MovedClock) -> None:
    async with Cron(clock=clock) as cron:
        id = cron.add(["0 9 * * *", "30 9 * * *", "@hourly"], nothing)
        for moment in ("09:00:00", "09:30:00", "10:00:00"):
            await clock.to(moment)
            await until(lambda: cron.entries()[0].running == 0)
        assert runs(cron, id) == 3


async def test_words_and_triggers_are_taken_like_cron_text(clock: MovedClock) -> None:
    async with Cron(clock=clock) as cron:
        words = cron.add(every(2).weeks.on("mon").at("09:00", tz="UTC"), nothing)
        trigger = cron.add(parse_spec("0 18 * * *", timezone="Asia/Shanghai"), nothing, tz="UTC")
        both = cron.add([parse_spec("@every 10m", timezone="UTC"), "5 8 * * *"], nothing)

        found = {entry.id: f"{entry.next:%d %H:%M}" for entry in cron.entries()}

    assert found == {words: "02 09:00", trigger: "02 10:00", both: "02 08:05"}


async def test_a_trigger_of_the_user_that_fails_does_not_stop_the_others(clock: MovedClock, told: Told) -> None:
    class Broken(Trigger):
        text = "broken"
        faults = 0

        def _occurrence(self, after: datetime) -> Occurrence | None:
            self.faults += 1
            raise ArithmeticError("no time")

        def _previous(self, before: datetime) -> datetime | None:
            raise ArithmeticError("no time")

    broken = Broken()
    async with Cron(clock=clock) as cron:
        cron.add(broken, nothing, name="broken")
        id = cron.add("*/5 * * * *", nothing)
        await clock.look()
        await clock.to("08:05:00")
        assert runs(cron, id) == 1
        assert [entry.next is None for entry in cron.entries()] == [False, True]

    assert {event.name for event in told.of(events.CronPlanFailed)} == {"broken"}
    assert len(told.of(events.CronPlanFailed)) == 2  # at the start, and more than a minute later


async def test_delay_after_the_end_counts_from_the_end_of_the_run(clock: MovedClock) -> None:
    gate = Gate()
    async with Cron(clock=clock) as cron:
        id = cron.add(every("10m").after_end, gate)
        await clock.to("08:10:00")
        await until(lambda: gate.calls == 1)
        await clock.to("08:45:00")
        assert gate.calls == 1
        entry = cron.entry(id)
        assert entry is not None
        assert entry.next is None

        gate.open.set()
        await until(lambda: gate.ends == 1 and cron.entries()[0].running == 0)
        await clock.to("08:54:59")
        assert runs(cron, id) == 1
        await clock.to("08:55:00")
        assert runs(cron, id) == 2


async def test_days_off_of_a_calendar_are_skipped_or_moved(clock: MovedClock, told: Told) -> None:
    weekend = Calendar.read({"name": "weekend", "days_off": ["sat", "sun", {"2026-03-03": "festival"}]})
    async with Cron(clock=clock) as cron:
        skips = cron.add("0 9 * * *", nothing, calendar=weekend, name="skips")
        moves = cron.add("0 9 3 * *", nothing, calendar=weekend, on_day_off="next_working_day")
        entry = cron.entry(moves)
        assert entry is not None
        assert f"{entry.next:%d %H:%M}" == "04 09:00"
        await clock.to(datetime(2026, 3, 3, 9, tzinfo=UTC))
        assert (runs(cron, skips), runs(cron, moves)) == (1, 0)
        await clock.to(datetime(2026, 3, 4, 9, tzinfo=UTC))
        assert (runs(cron, skips), runs(cron, moves)) == (2, 1)

    notes = [event.note for event in told.of(events.CronRunSkipped)]
    assert notes == ["2026-03-03 is a day off in calendar weekend: festival"]


async def test_a_calendar_whose_dates_end_is_told_once_a_day(clock: MovedClock, told: Told) -> None:
    holidays = Calendar.read({"name": "holidays", "days_off": ["2026-01-01"], "ends": "2026-03-31"})
    async with Cron(clock=clock) as cron:
        cron.add("@hourly", nothing, calendar=holidays)
        for moment in ("09:00:00", "10:00:00"):
            await clock.to(moment)
        await clock.to(datetime(2026, 4, 1, 9, tzinfo=UTC))

    assert [event.message()[:46] for event in told.of(events.CronCalendarEnds)] == [
        "The dates of calendar holidays end in 29 days,",
        "The dates of calendar holidays ended on 2026-0",
    ]


async def test_no_run_follows_max_runs(clock: MovedClock) -> None:
    async with Cron(clock=clock) as cron:
        id = cron.add("*/5 * * * *", nothing, max_runs=2)
        for minutes in range(5):
            await clock.to(f"08:{5 * minutes + 5:02}:00")
            await until(lambda: cron.entries()[0].running == 0)
        entry = cron.entry(id)
        assert entry is not None
        assert (entry.runs, entry.next) == (2, None)


async def test_max_runs_counts_the_runs_before_the_clock_was_set_back(clock: MovedClock) -> None:
    async with Cron(clock=clock) as cron:
        id = cron.add("*/5 * * * *", nothing, max_runs=1)
        await clock.to("08:05:00")
        await until(lambda: cron.entries()[0].running == 0)
        await clock.to("04:00:00")
        await clock.to("04:05:00")
        entry = cron.entry(id)
        assert entry is not None
        assert (entry.runs, entry.next) == (1, None)


# Functions


@pytest.mark.parametrize("kind", ["async", "thread", "partial", "method"])
async def test_async_and_plain_functions_run(clock: MovedClock, kind: str) -> None:
    called: queue.SimpleQueue[str] = queue.SimpleQueue()

    class Backup:
        async def run(self) -> None:
            called.put(threading.current_thread().name)

    async def on_the_loop(_: int = 0) -> None:
        called.put(threading.current_thread().name)

    functions: dict[str, Any] = {
        "async": on_the_loop,
        "thread": lambda: called.put(threading.current_thread().name),
        "partial": partial(on_the_loop, 7),
        "method": Backup().run,
    }
    async with Cron(clock=clock) as cron:
        cron.add("@hourly", functions[kind])
        await clock.to("09:00:00")
        await until(lambda: not called.empty())

    is_own_thread = called.get() != threading.current_thread().name
    assert is_own_thread == (kind == "thread")


async def test_function_that_blocks_its_thread_does_not_delay_others(clock: MovedClock) -> None:
    slow, quick = Gate(), Gate()
    quick.open.set()
    async with Cron(clock=clock) as cron:
        cron.add("@hourly", slow.blocking)
        cron.add("*/5 * * * *", quick)
        await clock.to("09:00:00")
        await clock.to("09:05:00")
        await until(lambda: quick.ends == 2)
        assert slow.ends == 0
        slow.thread_open.set()

    assert slow.ends == 1


@pytest.mark.parametrize("error", [ValueError("wrong"), SystemExit(3), BaseException("odd"), asyncio.CancelledError()])
@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_failure_is_told_and_the_cron_goes_on(
    clock: MovedClock, told: Told, error: BaseException, kind: str
) -> None:
    def fail() -> None:
        raise error

    async def fail_on_the_loop() -> None:
        raise error

    async with Cron(clock=clock) as cron:
        id = cron.add("@hourly", fail if kind == "thread" else fail_on_the_loop, name="failing")
        for hour in (9, 10):
            await clock.to(f"{hour:02}:00:00")
            await until(lambda hour=hour: cron.entries()[0].failures == hour - 8)
        entry = cron.entry(id)

    assert entry is not None
    assert entry.last_error is error
    failed = told.of(events.CronFunctionFailed)
    assert [(event.name, event.planned_at.hour, event.error) for event in failed] == [
        ("failing", 9, error),
        ("failing", 10, error),
    ]


async def test_coroutine_that_a_plain_function_returns_is_a_failure(clock: MovedClock, told: Told) -> None:
    async with Cron(clock=clock) as cron:
        cron.add("@hourly", lambda: nothing())
        await clock.to("09:00:00")
        await until(lambda: told.of(events.CronFunctionFailed))

    assert "of which nothing has run. Await it." in str(told.of(events.CronFunctionFailed)[0].error)


async def test_function_that_takes_longer_than_its_timeout_is_cancelled(clock: MovedClock, told: Told) -> None:
    gate = Gate()
    async with Cron(clock=clock) as cron:
        cron.add("@hourly", gate, timeout="1s")
        await clock.to("09:00:00")
        await until(lambda: told.of(events.CronFunctionFailed))

    error = told.of(events.CronFunctionFailed)[0].error
    assert isinstance(error, TimeLimitExceeded)
    assert str(error) == "It ran longer than its timeout of 1s."


async def test_timeout_error_of_the_function_itself_is_its_failure(clock: MovedClock, told: Told) -> None:
    async def fail() -> None:
        raise TimeoutError("a query")

    async with Cron(clock=clock) as cron:
        cron.add("@hourly", fail, timeout="1h")
        await clock.to("09:00:00")
        await until(lambda: told.of(events.CronFunctionFailed))

    assert str(told.of(events.CronFunctionFailed)[0].error) == "a query"
