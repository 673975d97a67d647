"""Records runs and planned times. Each call may be repeated, and its records may come in any order.

1. Lock the counter `runs`, so that two recorders do not work on the same rows.
2. Read the stored runs of the records, and the last run of each of their schedules.
3. Join each record to what is stored (`run_merge.py`), in memory.
4. Write the new and changed runs, their attempts and log lines, and what the runs of each schedule have come to.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TypeVar

from sqlalchemy import Table, Update, bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from rota.schedule.run import ScheduleRun
from rota.store.database import Database, Record, records
from rota.store.edits import count_up
from rota.store.run_merge import counted_skip, covers, extended, merged
from rota.store.run_progress import NEW_PROGRESS, count_run, moved_on
from rota.store.run_rows import attempt_rows, log_row, run_columns, run_of, with_attempts
from rota.store.schedule_rows import readable
from rota.store.store_values import PlannedTimes
from rota.store.tables import attempts, run_logs, runs, schedule_state

_PART = 500
"""Records written in one transaction."""
T = TypeVar("T")


class RunRecords:
    """Writes runs."""

    database: Database

    async def record_runs(self, found: Iterable[ScheduleRun], *, planned: Iterable[PlannedTimes] = ()) -> None:
        """Store runs, or what is new about stored ones, and how far schedules have come.

        Parts of up to 500 records are each written as a whole. After an error the call can be repeated.
        """
        for number, part in enumerate(_parts(found)):
            if number:
                await self.database.breathe()
            await self.database.write(partial(_record, part=part))
        await self.save_planned(planned)

    async def save_planned(self, planned: Iterable[PlannedTimes]) -> None:
        """Store how far schedules have come. A last planned time never moves back."""
        for number, part in enumerate(_parts(planned)):
            if number:
                await self.database.breathe()
            await self.database.write(partial(_save_planned, part=part))


@dataclass
class _Batch:
    """The runs and states that a batch of records is about: as they were before it, and as they are to be."""

    before: dict[str, ScheduleRun]
    runs: dict[str, ScheduleRun]
    states: dict[str, Record]

    def last(self, schedule_id: str) -> ScheduleRun | None:
        """Return the run of a schedule with the latest planned time."""
        return self.runs.get(self.states[schedule_id]["last_run_id"])

    def put(self, run: ScheduleRun) -> None:
        """Take a run over, and count what is new about it."""
        state = self.states[run.schedule_id]
        count_run(state, self.runs.get(run.id), run)
        self.runs[run.id] = run
        last = self.last(run.schedule_id)
        if last is None or run.planned_at >= last.planned_at:
            state["last_run_id"] = run.id

    def touched(self) -> list[ScheduleRun]:
        """Return the runs that are new or changed."""
        return [run for name, run in self.runs.items() if run != self.before.get(name)]


async def _record(connection: AsyncConnection, part: Sequence[ScheduleRun]) -> None:
    await count_up(connection, "runs")
    batch = await _read_batch(connection, part)
    for each in part:
        record = counted_skip(each)
        last = batch.last(record.schedule_id)
        if (stored := batch.runs.get(record.id)) is not None:
            batch.put(merged(stored, record))
        elif record.outcome != "skipped" or last is None:
            batch.put(record)
        elif (longer := extended(last, record)) is not None:
            batch.put(longer)
        elif not covers(last, record) and not await _is_covered(connection, record):
            batch.put(record)
    await _write_batch(connection, batch)


async def _read_batch(connection: AsyncConnection, part: Sequence[ScheduleRun]) -> _Batch:
    states = await _states(connection, {each.schedule_id for each in part})
    wanted = {each.id for each in part} | {row["last_run_id"] for row in states.values()} - {None}
    query = select(runs).where(runs.c.id.in_(sorted(wanted)))
    found, problems = readable(await records(connection, query), run_of, "run")
    if problems:  # these rows cannot be joined to anything, so the records take their places
        await connection.execute(delete(runs).where(runs.c.id.in_([each.id for each in problems])))
    before = {run.id: run for run in await with_attempts(connection, found)}
    return _Batch(before, dict(before), states)


async def _states(connection: AsyncConnection, schedule_ids: set[str]) -> dict[str, Record]:
    """Return the rows of the states of schedules. Missing ones are made."""
    query = select(schedule_state).where(schedule_state.c.schedule_id.in_(sorted(schedule_ids)))
    states = {row["schedule_id"]: row for row in await records(connection, query)}
    missing = [{"schedule_id": name, **NEW_PROGRESS} for name in sorted(schedule_ids - states.keys())]
    if missing:
        await connection.execute(insert(schedule_state), missing)
    return states | {str(row["schedule_id"]): row for row in missing}


async def _is_covered(connection: AsyncConnection, record: ScheduleRun) -> bool:
    """Whether an earlier skip, which is not the last run, has counted this one."""
    column = runs.c
    query = (
        select(runs)
        .where(column.schedule_id == record.schedule_id, column.planned_at <= record.planned_at)
        .order_by(column.planned_at.desc(), column.id.desc())
        .limit(1)
    )
    found, _ = readable(await records(connection, query), run_of, "run")
    return any(covers(each, record) for each in found)


async def _write_batch(connection: AsyncConnection, batch: _Batch) -> None:
    touched = batch.touched()
    new = [run_columns(run) for run in touched if run.id not in batch.before]
    changed = [run_columns(run) for run in touched if run.id in batch.before]
    if new:
        await connection.execute(insert(runs), new)
    if changed:
        await _update_rows(connection, runs, "id", changed)
    tried = [run for run in touched if run.attempts]
    if tried:
        await connection.execute(delete(attempts).where(attempts.c.run_id.in_([run.id for run in tried])))
        await connection.execute(insert(attempts), [row for run in tried for row in attempt_rows(run)])
    logged = [run for run in touched if run.log]  # stored lines are not read before, so no lines means no change
    if logged:
        await connection.execute(delete(run_logs).where(run_logs.c.run_id.in_([run.id for run in logged])))
        await connection.execute(insert(run_logs), [log_row(run) for run in logged])
    states = {run.schedule_id: batch.states[run.schedule_id] for run in touched}
    if states:
        await _update_rows(connection, schedule_state, "schedule_id", list(states.values()))


async def _save_planned(connection: AsyncConnection, part: Sequence[PlannedTimes]) -> None:
    await count_up(connection, "runs")
    states = await _states(connection, {each.schedule_id for each in part})
    for each in part:
        moved_on(states[each.schedule_id], each)
    await _update_rows(connection, schedule_state, "schedule_id", list(states.values()))


async def _update_rows(connection: AsyncConnection, table: Table, key: str, rows: Sequence[Record]) -> None:
    """Update several rows of a table by one statement."""
    statement: Update = update(table).where(table.c[key] == bindparam("its_key"))
    values = [{**{name: value for name, value in row.items() if name != key}, "its_key": row[key]} for row in rows]
    await connection.execute(statement.values({name: bindparam(name) for name in rows[0] if name != key}), values)


def _parts(found: Iterable[T]) -> Iterator[list[T]]:
    left = iter(found)
    while part := list(islice(left, _PART)):
        yield part
