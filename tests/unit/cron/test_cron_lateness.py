"""What a cron does about missed times, clocks that jump, and runs at the same time."""

from datetime import UTC, datetime
from typing import Any

import pytest

from rota import events
from rota.cron.local_cron import Cron
from tests.unit.cron.moved_clock import Gate, MovedClock, Told, nothing, runs, until

# Missed times and clocks


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, 1), ({"missed": "skip"}, 0), ({"missed": "all"}, 11), ({"missed": "all", "missed_limit": 3}, 3)],
)
async def test_times_missed_while_the_machine_slept_follow_the_rule(
    clock: MovedClock, options: Any, expected: int
) -> None:
    async with Cron(clock=clock, overlap="allow") as cron:
        id = cron.add("*/5 * * * *", nothing, **options)
        await clock.to("08:59:00")

        assert runs(cron, id) == expected


async def test_missed_times_are_told_with_their_number_and_reason(clock: MovedClock, told: Told) -> None:
    async with Cron(clock=clock) as cron:
        cron.add("*/5 * * * *", nothing, missed="skip", name="tidy")
        await clock.to("08:59:00")

    [skipped] = told.of(events.CronRunSkipped)
    assert skipped.message() == (
        "tidy skipped 11 runs: nothing ran at their time, and missed does not make up for them."
    )


async def test_start_deadline_limits_how_late_a_run_starts(clock: MovedClock) -> None:
    async with Cron(clock=clock) as cron:
        id = cron.add("*/30 * * * *", nothing, start_deadline="10m")
        await clock.to("08:41:00")
        assert runs(cron, id) == 0
        await clock.to("09:09:00")
        assert runs(cron, id) == 1


async def test_a_clock_set_back_a_little_runs_nothing_twice(clock: MovedClock) -> None:
    async with Cron(clock=clock) as cron:
        id = cron.add("*/30 * * * *", nothing)
        await clock.to("08:30:00")
        await until(lambda: cron.entries()[0].running == 0)
        await clock.to("08:00:00")
        await clock.to("08:30:00")
        assert runs(cron, id) == 1
        await clock.to("09:00:00")
        assert runs(cron, id) == 2


async def test_a_clock_set_back_by_years_is_believed(clock: MovedClock, told: Told) -> None:
    async with Cron(clock=clock) as cron:
        id = cron.add("@hourly", nothing)
        await clock.to(datetime(2036, 1, 1, 9, tzinfo=UTC))
        await until(lambda: cron.entries()[0].running == 0)
        await clock.to("08:30:00")
        assert runs(cron, id) == 1
        await clock.to("09:00:00")
        assert runs(cron, id) == 2

    [event] = told.of(events.CronClockSetBack)
    assert event.hours > 24 * 3500


# Overlaps


async def test_a_run_is_skipped_while_the_last_one_runs(clock: MovedClock, told: Told) -> None:
    gate = Gate()
    async with Cron(clock=clock) as cron:
        id = cron.add("*/5 * * * *", gate, name="slow")
        await clock.to("08:05:00")
        await clock.to("08:10:00")
        assert runs(cron, id) == 1
        gate.open.set()

    [event] = told.of(events.CronRunSkipped)
    assert "slow skipped 1 run planned at 2026-03-02 08:10:00 UTC: overlap is skip, and run slow-" in event.message()
    assert "has been running since 2026-03-02 08:05:00 UTC" in event.message()


async def test_skips_of_a_function_that_never_ends_are_told_once_a_minute(clock: MovedClock, told: Told) -> None:
    gate = Gate()
    async with Cron(clock=clock) as cron:
        cron.add("@every 1s", gate)
        for second in range(1, 59):
            await clock.to(f"08:00:{second:02}")
        for second in range(59):
            await clock.to(f"08:01:{second:02}")
        gate.open.set()

    assert [event.count for event in told.of(events.CronRunSkipped)] == [1, 60, 56]


async def test_runs_at_the_same_time_are_allowed_on_request(clock: MovedClock) -> None:
    gate = Gate()
    async with Cron(clock=clock) as cron:
        cron.add("*/5 * * * *", gate, overlap="allow")
        await clock.to("08:05:00")
        await clock.to("08:10:00")
        assert cron.entries()[0].running == 2
        gate.open.set()

    assert gate.ends == 2


@pytest.mark.parametrize(("overlap", "expected"), [("queue_one", 2), ("queue_all", 4)])
async def test_runs_wait_for_their_turn(clock: MovedClock, told: Told, overlap: Any, expected: int) -> None:
    gate = Gate()
    async with Cron(clock=clock) as cron:
        cron.add("*/5 * * * *", gate, overlap=overlap)
        for minute in (5, 10, 15, 20):
            await clock.to(f"08:{minute:02}:00")
        assert cron.entries()[0].running == 1
        assert cron.entries()[0].waiting == expected - 1
        gate.open.set()
        await until(lambda: gate.ends == expected)

    delays = [event.seconds for event in told.of(events.CronRunDelayed)]
    assert delays == [600.0, 300.0][: expected - 1]


async def test_a_new_run_replaces_the_one_that_runs(clock: MovedClock, told: Told) -> None:
    gate = Gate()
    async with Cron(clock=clock) as cron:
        cron.add("*/5 * * * *", gate, overlap="replace", name="newest")
        await clock.to("08:05:00")
        await until(lambda: gate.calls == 1)
        await clock.to("08:10:00")
        await until(lambda: gate.calls == 2)
        assert gate.ends == 0
        gate.open.set()
        await until(lambda: gate.ends == 1)

    [event] = told.of(events.CronRunCancelled)
    assert event.message() == "A run of newest was cancelled: overlap is replace, and its next time has come."
