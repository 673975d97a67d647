"""`rota schedule run-show`: attempts and log lines of a run."""

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

    async def record() -> None:
        async with open_store(os.environ["ROTA_STORE"], migrate=True) as store:
            await store.record_runs([run, told])

    asyncio.run(record())
    return rota


def test_attempt_of_a_killed_worker_is_shown_with_how_it_ended(recorded: Run) -> None:
    out = recorded("run-show", "s-2").out
    assert "attempt 1 on h:7: 2026-03-01T12:00:00+00:00, 30.0 s\n  worker died: it was ended by SIGKILL\n" in out
    assert "attempt 2 on h:8: 2026-03-01T12:00:31+00:00, 2.0 s\n" in out


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
