"""Reads runs, attempts and log lines from their rows, and writes them."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from rota.schedule.run import RunAttempt, ScheduleRun
from rota.store.database import Record, records
from rota.store.store_values import text_for_database
from rota.store.tables import NAME, RUN_ID, attempts, run_logs

_COLUMNS = tuple(each.name for each in fields(ScheduleRun) if each.name not in ("attempts", "log"))
_LINES = ("by", "queue", "task_type")
_TEXTS = ("error", "note")


def run_of(row: Record) -> ScheduleRun:
    """Read a run without its attempts and log lines."""
    members: dict[str, Any] = {name: row[name] for name in _COLUMNS}
    members["task_ids"] = tuple(row["task_ids"])
    return ScheduleRun(**members)


def run_columns(run: ScheduleRun) -> dict[str, Any]:
    """Return the row of a run. Texts are changed where a database would refuse them, because a run must be recorded."""
    row: dict[str, Any] = {name: getattr(run, name) for name in _COLUMNS}
    row |= {name: text_for_database(row[name])[:NAME] for name in _LINES}
    row |= {name: text_for_database(row[name]) for name in _TEXTS}
    return {**row, "id": row["id"][:RUN_ID], "task_ids": list(run.task_ids), "is_open": not run.is_over}


def attempt_of(row: Record) -> RunAttempt:
    """Read an attempt."""
    return RunAttempt(
        worker=row["worker"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        error=row["error"],
        traceback=row["traceback"],
    )


def attempt_rows(run: ScheduleRun) -> list[dict[str, Any]]:
    """Return the rows of the attempts of a run."""
    return [
        {
            "run_id": run.id,
            "number": number,
            "worker": text_for_database(each.worker)[:NAME],
            "started_at": each.started_at,
            "ended_at": each.ended_at,
            "error": text_for_database(each.error),
            "traceback": text_for_database(each.traceback),
        }
        for number, each in enumerate(run.attempts, 1)
    ]


async def with_attempts(connection: AsyncConnection, found: Sequence[ScheduleRun]) -> list[ScheduleRun]:
    """Return runs with their attempts."""
    query = select(attempts).where(attempts.c.run_id.in_([run.id for run in found]))
    tries: dict[str, list[RunAttempt]] = {}
    for row in await records(connection, query.order_by(attempts.c.run_id, attempts.c.number)):
        tries.setdefault(row["run_id"], []).append(attempt_of(row))
    return [replace(run, attempts=tuple(tries.get(run.id, ()))) for run in found]


def log_row(run: ScheduleRun) -> dict[str, Any]:
    """Return the row of the log lines of a run."""
    return {"run_id": run.id, "lines": text_for_database("\n".join(run.log))}


async def with_log(connection: AsyncConnection, run: ScheduleRun) -> ScheduleRun:
    """Return a run with its log lines."""
    found = await connection.scalar(select(run_logs.c.lines).where(run_logs.c.run_id == run.id))
    return replace(run, log=tuple(found.split("\n"))) if found else run
