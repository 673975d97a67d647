"""A store on SQLite with fixed schedules, runs and a calendar, for the outputs of the commands that read one."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID

from rota.schedule.calendar import Calendar
from rota.schedule.definition import ScheduleDefinition
from rota.schedule.run import RunAttempt, RunOutcome, ScheduleRun, run_id
from rota.store import open_store
from tests.unit.cli.snapshot import NOW

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_SECOND = timedelta(seconds=1)
DEFINITIONS: tuple[dict[str, Any], ...] = (
    {
        "name": "nightly-report",
        "task_type": "report:daily",
        "specs": ["30 2 * * *"],
        "timezone": "Europe/Berlin",
        "payload": {"format": "pdf", "for": "王小明"},
        "calendar": "china",
        "tags": ["reports", "night"],
        "owner": "anna",
        "remark": "The report for the morning meeting",
    },
    {
        "name": "每日备份数据库",
        "task_type": "backup:database",
        "specs": ["0 3 * * mon,wed,fri"],
        "calendar": "china",
        "on_day_off": "next_working_day",
    },
    {"name": "ping", "task_type": "http:get", "specs": ["@every 5m"], "tags": ["net"]},
    {"name": "stock", "task_type": "shop:import-stock-of-all-suppliers", "specs": ["0 3 * * *"], "enabled": False},
    {"name": "launch", "task_type": "mail:campaign", "kind": "once", "process_at": "2026-03-01T09:00:00Z"},
    {"name": "by-hand", "task_type": "cache:clear", "kind": "wait"},
)
CALENDAR = {
    "name": "china",
    "days_off": ["sat", "sun", {"2026-02-16..2026-02-18": "春节"}],
    "working_days": [{"2026-02-14": "make-up working day"}],
    "ends": "2026-02-28",
}


ERROR = "TimeoutError: 连接数据库超时: no answer from db-1.internal:5432 within 5 s"


def make_store(file: Path) -> None:
    """Make the store. Each ID and each time is the same in every run of the tests."""
    ids = map(fixed_id, count(1))
    with (
        patch("rota.store.edits.now", lambda: NOW - 20 * _DAY),
        patch("rota.store.schedule_edits.uuid7", lambda: next(ids)),
    ):
        asyncio.run(_fill(f"sqlite:///{file}"))


def fixed_id(number: int) -> UUID:
    """Return the ID of a schedule."""
    return UUID(f"019bb000-0000-7000-8000-{number:012}")


async def _fill(url: str) -> None:
    async with open_store(url) as store:
        await store.save_calendar(Calendar.read(CALENDAR), by="anna", expected_version=0)
        made = [
            await store.create(ScheduleDefinition.read(each), by="anna", origin="command line") for each in DEFINITIONS
        ]
        await store.update(made[0].id, {"specs": ["30 2 * * *"], "queue": "low"}, by="王小明", origin="console")
        await store.update(made[3].id, {"pause_note": "the supplier moves"}, by="anna", origin="command line")
        await store.record_runs(_runs(*(each.id for each in made)))


def _runs(report: str, backup: str, ping: str, *_: str) -> Iterator[ScheduleRun]:
    yield _report(report, 3, "succeeded")
    yield _report(report, 2, "failed", ERROR)
    yield _report(report, 1, "failed", ERROR)
    monday = NOW.replace(hour=3) - 5 * _DAY
    yield _run(backup, monday, outcome="succeeded", **_from_to(monday + _SECOND, monday + 90 * _SECOND))
    thursday = monday + 3 * _DAY
    cancelled = _from_to(thursday, thursday + 4 * _SECOND)
    yield _run(backup, thursday, outcome="cancelled", cause="manual", by="anna", **cancelled)
    yield ScheduleRun(
        id=run_id(ping, NOW - 40 * _MINUTE),
        schedule_id=ping,
        schedule_version=1,
        planned_at=NOW - 40 * _MINUTE,
        outcome="skipped",
        skip_reason="overlap",
        skip_count=7,
        skip_until=NOW - 10 * _MINUTE,
        note="overlap is skip, and run 019bb000-0000-7000-8000-000000000003-1769857500000 has been running since "
        "2026-01-31 11:15:00 UTC",
    )
    yield _run(ping, NOW - 5 * _MINUTE, started_at=NOW - 4 * _MINUTE)


def _report(schedule: str, days_ago: int, outcome: RunOutcome, error: str = "") -> ScheduleRun:
    """Return a run whose first worker was killed."""
    planned = NOW.replace(hour=1, minute=30) - days_ago * _DAY
    begun, ended = planned + _SECOND, planned + (2 + days_ago) * _MINUTE
    killed = "worker died: it was ended by SIGKILL"
    attempts = (
        RunAttempt(worker="web-01:41", error=killed, **_from_to(begun, begun + 30 * _SECOND)),
        RunAttempt(worker="web-02:7", error=error, **_from_to(begun + _MINUTE, ended)),
    )
    log = ("2026-01-30T01:30:05.000Z 开始", "2026-01-30T01:30:09.250Z 7 of 9 sent")
    more = _from_to(begun, ended)
    return _run(schedule, planned, outcome=outcome, error=error, attempts=attempts, log=log, **more)


def _from_to(start: datetime, end: datetime) -> dict[str, Any]:
    return {"started_at": start, "ended_at": end}


def _run(schedule: str, planned: datetime, **more: Any) -> ScheduleRun:
    id = run_id(schedule, planned)
    return ScheduleRun(
        id=id,
        schedule_id=schedule,
        schedule_version=1,
        planned_at=planned,
        queue="default",
        task_type="report:daily",
        task_ids=(id,),
        enqueued_at=planned + timedelta(milliseconds=350),
        **more,
    )
