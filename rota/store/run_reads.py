"""Reads runs: one, lists, those that are not over, statistics, and a report by day.

Lists are read from an index in their order, newest first, so that a million runs do not make them slow.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Executable, Select, and_, case, false, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from rota.errors import ConfigError, StoreError, StoreNotFound
from rota.schedule.run import Cause, RunOutcome, ScheduleRun
from rota.store.cursor import checked_limit, read_cursor, write_cursor
from rota.store.database import Database, Record, records
from rota.store.run_progress import progress_of
from rota.store.run_rows import run_of, with_attempts, with_log
from rota.store.run_statistics import statistics_of
from rota.store.schedule_rows import readable
from rota.store.store_values import DayReport, PlannedTimes, RunStatistics, ScheduleProgress, StorePage
from rota.store.tables import runs, schedule_state, schedules

_MOST_DAYS = 366
_PART = 500
_KINDS = {"succeeded": "succeeded", "cancelled": "cancelled", "skipped": "skipped", None: "running"}


class RunReads:
    """Finds runs."""

    database: Database

    async def run(self, run_id: str) -> ScheduleRun:
        """Return a run with its attempts and log lines. Raises StoreNotFound."""

        async def act(connection: AsyncConnection) -> list[ScheduleRun]:
            rows = await records(connection, select(runs).where(runs.c.id == run_id))
            found, problems = readable(rows, run_of, "run")
            if problems:
                raise StoreError(str(problems[0]))
            return [await with_log(connection, each) for each in await with_attempts(connection, found)]

        found = await self.database.read(act)
        if not found:
            raise StoreNotFound(f"There is no run {run_id!r}. Old runs are deleted after a time.")
        return found[0]

    async def runs(
        self,
        schedule_id: str | None = None,
        *,
        outcome: RunOutcome | None = None,
        cause: Cause | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> StorePage[ScheduleRun]:
        """Return runs without their attempts and log lines, the latest planned one first, up to `limit` (at most 500).

        `since` and `until` are about the planned time; `until` itself is not a part.
        """
        query = select(runs)
        equal = {"schedule_id": schedule_id, "outcome": outcome, "cause": cause}
        for column, wanted in equal.items():
            if wanted is not None:
                query = query.where(runs.c[column] == wanted)
        if since is not None:
            query = query.where(runs.c.planned_at >= since)
        if until is not None:
            query = query.where(runs.c.planned_at < until)
        if cursor is not None:
            planned, run_id = read_cursor(cursor, datetime, str)
            query = query.where(runs.c.planned_at <= planned, or_(runs.c.planned_at < planned, runs.c.id < run_id))
        return await self._run_page(query.order_by(runs.c.planned_at.desc(), runs.c.id.desc()), checked_limit(limit))

    async def open_runs(
        self, schedule_id: str | None = None, *, cursor: str | None = None, limit: int = 500
    ) -> StorePage[ScheduleRun]:
        """Return the runs that are not over, the earliest planned one first."""
        query = select(runs).where(runs.c.is_open == true())
        if schedule_id is not None:
            query = query.where(runs.c.schedule_id == schedule_id)
        if cursor is not None:
            planned, run_id = read_cursor(cursor, datetime, str)
            query = query.where(runs.c.planned_at >= planned, or_(runs.c.planned_at > planned, runs.c.id > run_id))
        return await self._run_page(query.order_by(runs.c.planned_at, runs.c.id), checked_limit(limit))

    async def open_schedules(self, schedule_id: str | None = None) -> dict[str, bool]:
        """Return the schedules with a run that is not over, by ID, and whether a worker has begun one of them."""
        column = runs.c
        query = select(column.schedule_id, func.count(column.started_at).label("begun")).where(column.is_open == true())
        if schedule_id is not None:
            query = query.where(column.schedule_id == schedule_id)
        query = query.group_by(column.schedule_id)
        rows = await self.database.read(lambda connection: records(connection, query))
        return {row["schedule_id"]: row["begun"] > 0 for row in rows}

    async def statistics(self, schedule_id: str, *, last: int = 1000) -> RunStatistics:
        """Return success rate, durations, lateness and streak of the last runs of a schedule."""
        query = (
            select(runs.c.outcome, runs.c.planned_at, runs.c.enqueued_at, runs.c.started_at, runs.c.ended_at)
            .where(runs.c.schedule_id == schedule_id, runs.c.is_open == false(), runs.c.outcome != "skipped")
            .order_by(runs.c.planned_at.desc(), runs.c.id.desc())
            .limit(last)
        )
        return statistics_of(await self.database.read(lambda connection: records(connection, query)))

    async def report(
        self, first: date, last: date, *, timezone: str = "UTC", schedule_id: str | None = None
    ) -> tuple[DayReport, ...]:
        """Return the counts of each day from `first` to `last`, both included, as days of a time zone."""
        days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        if not 0 < len(days) <= _MOST_DAYS:
            raise ConfigError(f"A report is about 1 to {_MOST_DAYS} days, not about {first} to {last}.")
        query = _report_query(days, ZoneInfo(timezone), schedule_id)
        rows = await self.database.read(lambda connection: records(connection, query))
        counts: dict[int, dict[str, int]] = {}
        for row in rows:
            of_day = counts.setdefault(int(row["day"]), {})
            kind = _KINDS.get(row["outcome"], "failed")
            of_day[kind] = of_day.get(kind, 0) + int(row["skips"] if kind == "skipped" else row["number"])
        return tuple(DayReport(day=day, **counts.get(number, {})) for number, day in enumerate(days))

    async def progress(self, schedule_ids: Iterable[str] | None = None) -> dict[str, ScheduleProgress]:
        """Return the planned times and the counts of schedules by their IDs, by default of all that ever ran."""
        wanted = None if schedule_ids is None else sorted(set(schedule_ids))
        found: dict[str, ScheduleProgress] = {}
        position = ""
        while True:
            rows = await self._states(position, wanted)
            items, _ = readable(rows, progress_of, "state")
            found |= {item.schedule_id: item for item in items}
            if len(rows) < _PART:
                return found
            position = rows[-1]["schedule_id"]

    async def due_before(self, moment: datetime) -> tuple[PlannedTimes, ...]:
        """Return the schedules whose next planned time is before a moment, the earliest first.

        Schedules that are deleted or not enabled are left out.
        """
        column = schedule_state.c
        idle = select(schedules.c.id).where(or_(schedules.c.live_name.is_(None), schedules.c.enabled == false()))
        query = (
            select(column.schedule_id, column.last_planned_at, column.next_due_at)
            .where(column.next_due_at < moment, column.schedule_id.not_in(idle))
            .order_by(column.next_due_at)
        )
        rows = await self.database.read(lambda connection: records(connection, query))
        return readable(rows, lambda row: PlannedTimes(**row), "state")[0]

    async def _states(self, after: str, wanted: Sequence[str] | None) -> list[Record]:
        column = schedule_state.c.schedule_id
        query = select(schedule_state).where(column > after).order_by(column).limit(_PART)
        if wanted is not None:
            later = [each for each in wanted if each > after][:_PART]
            query = query.where(column.in_(later))
        return await self.database.read(lambda connection: records(connection, query))

    async def _run_page(self, query: Select[Any], limit: int) -> StorePage[ScheduleRun]:
        rows = await self.database.read(lambda connection: records(connection, query.limit(limit + 1)))
        items, problems = readable(rows[:limit], run_of, "run")
        more = write_cursor(rows[limit - 1]["planned_at"], rows[limit - 1]["id"]) if len(rows) > limit else None
        return StorePage(items, more, problems)


def _report_query(days: Sequence[date], zone: ZoneInfo, schedule_id: str | None) -> Executable:
    """Count by day and outcome. The borders of the days are made here, because databases differ in their time zones."""
    starts = [datetime.combine(day, time(), zone).astimezone(UTC) for day in (*days, days[-1] + timedelta(days=1))]
    column = runs.c
    number = case(*((column.planned_at < end, index) for index, end in enumerate(starts[1:])), else_=len(days))
    skips = func.coalesce(func.sum(column.skip_count), 0).label("skips")
    query = select(number.label("day"), column.outcome, func.count().label("number"), skips)
    query = query.where(and_(column.planned_at >= starts[0], column.planned_at < starts[-1]))
    if schedule_id is not None:
        query = query.where(column.schedule_id == schedule_id)
    return query.group_by(number, column.outcome)
