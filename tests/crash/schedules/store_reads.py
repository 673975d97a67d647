"""Reads the runs of an SQLite store with the driver of the standard library."""

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from tests.crash.schedules.checker import StoredRun

_QUERY = "SELECT id, schedule_id, planned_at, skip_until, queue, task_ids, skip_reason FROM rota_runs"


def stored_runs(file: Path) -> Iterator[StoredRun]:
    """Yield all runs."""
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        for run_id, schedule, planned, until, queue, task_ids, reason in connection.execute(_QUERY):
            last = _ms(until or planned)
            yield StoredRun(run_id, schedule, _ms(planned), last, queue, tuple(json.loads(task_ids)), reason or "")
    finally:
        connection.close()


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
