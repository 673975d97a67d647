"""`rota schedule run-show`: attempts and log lines of a run, which is named by its ID or by its schedule."""

import asyncio
import os
from datetime import UTC, datetime, timedelta

import pytest

from rota.schedule.run import RunAttempt, ScheduleRun
from rota.store import open_store
from tests.integration.cli.schedule.conftest import Run

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LINES = tuple(f"2026-03-01T12:00:00.{number:03}Z line {number}" for number in range(25))


@pytest.fixture
def recorded(rota: Run) -> Run:
    killed = RunAttempt(
        worker="h:7",
        started_at=NOON,
        ended_at=NOON + timedelta(seconds=30),
        error="worker died: it was ended by SIGKILL",
    )
    again = RunAttempt(worker="h:8", started_at=NOON + timedelta(seconds=31), ended_at=NOON + timedelta(seconds=33))
    run = ScheduleRun(id="s-1", schedule_id="s", schedule_version=1, planned_at=NOON, outcome="succeeded")
    told = ScheduleRun(
        id="s-2", schedule_id="s", schedule_version=1, planned_at=NOON, outcome="succeeded", started_at=NOON,
        ended_at=again.ended_at, attempts=(killed, again), log=LINES,
    )  # fmt: skip

    record(run, told)
    return rota


def record(*runs: ScheduleRun) -> None:
    async def act() -> None:
        async with open_store(os.environ["ROTA_STORE"], migrate=True) as store:
            await store.record_runs(runs)

    asyncio.run(act())


def test_attempt_of_a_killed_worker_is_shown_with_how_it_ended(recorded: Run) -> None:
    out = recorded("run-show", "s-2").out
    assert "attempt 1 on h:7: Sun 2026-03-01 12:00:00 +0000, 30.0 s\n  worker died: it was ended by SIGKILL\n" in out
    assert "attempt 2 on h:8: Sun 2026-03-01 12:00:31 +0000, 2.0 s\n" in out


def test_last_lines_are_shown_with_the_run_and_all_of_them_alone(recorded: Run) -> None:
    shown = recorded("run-show", "s-2").out
    assert "log, the last 20 of 25 lines (--log)\n  2026-03-01T12:00:00.005Z line 5\n" in shown
    assert shown.endswith("line 24\n")
    assert recorded("run-show", "s-2", "--log").out.splitlines() == list(LINES)
    assert recorded("run-show", "s-2", "--log", "--json").json == list(LINES)
    assert recorded("run-show", "s-2", "--json").json["log"] == list(LINES)


def test_run_without_lines_has_no_log(recorded: Run) -> None:
    assert "log" not in recorded("run-show", "s-1").out
    assert recorded("run-show", "s-1", "--log").out == ""


@pytest.fixture
def nightly(rota: Run) -> Run:
    """A schedule with two runs, one a day later than the other, of which the later one has failed."""
    rota("add", "nightly", "t", "--spec", "0 20 * * *", "--timezone", "Asia/Shanghai")
    schedule = rota("show", "nightly", "--json").json
    runs = [
        ScheduleRun(
            id=f"n-{day}", schedule_id=schedule["id"], schedule_version=1, planned_at=NOON + timedelta(days=day),
            outcome="failed" if day else "succeeded", note=f"day {day}",
        )
        for day in (0, 1)
    ]  # fmt: skip
    record(*runs)
    return rota


def test_name_of_a_schedule_stands_for_its_latest_run(nightly: Run) -> None:
    lines = nightly("run-show", "nightly").out.splitlines()
    assert lines[0] == "n-1: failed"
    assert any(line.split() == ["planned", "Mon", "2026-03-02", "20:00:00", "+0800"] for line in lines)
    assert "over already: failed" in nightly("cancel", "nightly").out


@pytest.mark.parametrize("time", ["2026-03-01 20:00:00 +0800", "2026-03-01T12:00Z"])
def test_time_of_a_table_chooses_the_run_of_a_schedule(nightly: Run, time: str) -> None:
    assert nightly("run-show", "nightly", "--planned", time).out.startswith("n-0: succeeded\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nightli",), "There is no run 'nightli': old runs are deleted after a time."),
        (("nightli",), "Did you mean 'nightly'?"),
        (("nightly", "--planned", "2026-03-05T12:00Z"), "has no run that was planned at 2026-03-05 12:00:00 +0000."),
        (("nightly", "--planned", "yesterday"), "--planned is 'yesterday': write a time"),
    ],
)
def test_run_that_is_not_there_is_told_with_what_to_do(nightly: Run, words: tuple[str, ...], said: str) -> None:
    for command in ("run-show", "cancel", "again"):
        done = nightly(command, *words)
        assert done.code in (1, 2)
        assert said in done.err


def test_two_runs_of_one_second_are_named_by_their_ids(nightly: Run) -> None:
    [one, *_] = nightly("runs", "nightly", "--json").json
    record(ScheduleRun(id="n-by-hand", schedule_id=one["schedule_id"], schedule_version=1, planned_at=NOON))
    assert "n-by-hand, n-0" in nightly("run-show", "nightly", "--planned", "2026-03-01T12:00Z").err


def test_schedule_without_runs_says_so(rota: Run) -> None:
    rota("add", "new", "t", "--spec", "@daily")
    assert "The schedule 'new' has no run." in rota("run-show", "new").err
