"""Deletes old runs, by age and by their number for each schedule, in batches.

Each batch is a transaction of its own, so that recorders and users wait for one batch at most. Runs that are not over
are kept. An interrupted trim is continued by the next one.
"""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Select, and_, delete, false, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from rota.store.database import Database, records
from rota.store.edits import now
from rota.store.tables import attempts, run_logs, runs, schedule_state

_BATCH = 500
"""Runs deleted by one transaction."""
_SCHEDULES = 200
"""Schedules whose runs are counted by one statement."""


class RunRetention:
    """Deletes runs."""

    database: Database

    async def trim_runs(self, *, age: timedelta, most: int) -> int:
        """Delete the runs older than `age`, and all but the latest `most` of each schedule. Returns their number."""
        before = now() - age
        column = runs.c
        old = and_(column.planned_at < before, or_(column.skip_until.is_(None), column.skip_until < before))
        ended = column.is_open == false()
        deleted = await self._delete(select(column.id).where(old, ended).order_by(column.planned_at))
        position = ""
        while found := await self.database.read(partial(_crowded, after=position)):
            position = found[-1][0]
            for schedule_id, number in found:
                if number > most:
                    deleted += await self._trim_schedule(schedule_id, most)
        return deleted

    async def _trim_schedule(self, schedule_id: str, most: int) -> int:
        column = runs.c
        mine = column.schedule_id == schedule_id
        latest = select(column.planned_at).where(mine).order_by(column.planned_at.desc(), column.id.desc())
        border: datetime | None = await self.database.read(
            lambda connection: connection.scalar(latest.offset(most - 1).limit(1))
        )
        if border is None:
            return 0
        older = select(column.id).where(mine, column.is_open == false(), column.planned_at < border)
        return await self._delete(older.order_by(column.planned_at))

    async def _delete(self, query: Select[Any]) -> int:
        async def act(connection: AsyncConnection) -> int:
            ids = list((await connection.execute(query.limit(_BATCH))).scalars())
            if ids:
                await connection.execute(delete(attempts).where(attempts.c.run_id.in_(ids)))
                await connection.execute(delete(run_logs).where(run_logs.c.run_id.in_(ids)))
                await connection.execute(delete(runs).where(runs.c.id.in_(ids)))
            return len(ids)

        deleted = 0
        while number := await self.database.write(act):
            deleted += number
        return deleted


async def _crowded(connection: AsyncConnection, *, after: str) -> list[tuple[str, int]]:
    """Return the next schedules by their IDs, with the numbers of their runs."""
    column = schedule_state.c.schedule_id
    names = select(column).where(column > after).order_by(column).limit(_SCHEDULES)
    ids = list((await connection.execute(names)).scalars())
    count = (
        select(runs.c.schedule_id, func.count().label("number"))
        .where(runs.c.schedule_id.in_(ids))
        .group_by(runs.c.schedule_id)
    )
    numbers = {row["schedule_id"]: int(row["number"]) for row in await records(connection, count)}
    return [(name, numbers.get(name, 0)) for name in ids]
