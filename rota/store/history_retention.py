"""Deletes old versions of schedules and old rows of the audit, in batches.

The audit stays verifiable. Its chain then begins at an *anchor*, the number and the hash of the last row that was
deleted, which is kept in a counter. The steps:

1. In one transaction, add a row `audit.trim` with the new anchor to the audit, and write the anchor.
2. Delete the rows up to the anchor. If this is interrupted, the next trim goes on with it.

`verify_audit` begins at the anchor, and checks that the last row `audit.trim` names it. So an anchor that was moved by
hand is found.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from rota.store.database import Database, records
from rota.store.edits import ANCHOR, TRIM, count_up, now, unnumbered_edit
from rota.store.tables import audit, counters, schedule_versions, schedules

_BATCH = 500
_SLACK = timedelta(days=1)
"""The audit is trimmed when its oldest row is this much too old, so that it gets a row about it once a day at most."""


class HistoryRetention:
    """Deletes versions and rows of the audit."""

    database: Database

    async def trim_versions(self, *, age: timedelta, most: int) -> int:
        """Delete versions that are older than `age` and not among the latest `most` of their schedule.

        Returns their number.
        """
        before, column = now() - age, schedule_versions.c
        query = (
            select(column.schedule_id.label("its_id"), column.version.label("its_version"))
            .join(schedules, schedules.c.id == column.schedule_id)
            .where(column.version <= schedules.c.version - most, column.at < before)
            .limit(_BATCH)
        )
        statement = delete(schedule_versions).where(
            column.schedule_id == bindparam("its_id"), column.version == bindparam("its_version")
        )

        async def act(connection: AsyncConnection) -> int:
            rows = await records(connection, query)
            if rows:
                await connection.execute(statement, rows)
            return len(rows)

        deleted = 0
        while number := await self.database.write(act):
            deleted += number
        return deleted

    async def trim_audit(self, *, age: timedelta) -> int:
        """Delete the rows of the audit older than `age`, once the oldest is a day older. Returns their number."""
        before = now() - age

        async def act(connection: AsyncConnection) -> None:
            await _move_anchor(connection, before)

        await self.database.write(act)
        deleted = 0
        while number := await self.database.write(_delete_rows):
            deleted += number
        return deleted


async def _move_anchor(connection: AsyncConnection, before: datetime) -> None:
    mine = counters.c.name == ANCHOR
    start = await count_up(connection, ANCHOR, 0)  # locks out another trim
    later = audit.c.number > start
    oldest = (await connection.execute(select(audit.c.at).where(later).order_by(audit.c.number).limit(1))).scalar()
    if not isinstance(oldest, datetime) or oldest >= before - _SLACK:
        return
    kept = select(audit.c.number).where(later, audit.c.at >= before).order_by(audit.c.number).limit(1)
    first_kept = (await connection.execute(kept)).scalar()
    last: Any = select(audit.c.number, audit.c.hash).where(later).order_by(audit.c.number.desc()).limit(1)
    if first_kept is not None:
        last = last.where(audit.c.number < first_kept)
    row = (await connection.execute(last)).one()
    edit = unnumbered_edit(connection, "rota", "retention")
    await edit.record(TRIM, "audit", "audit", {"until": row.number, "hash": row.hash})
    await connection.execute(update(counters).where(mine).values(value=row.number, hash=row.hash))


async def _delete_rows(connection: AsyncConnection) -> int:
    """Delete a batch of rows up to the anchor."""
    anchor = (await connection.execute(select(counters.c.value).where(counters.c.name == ANCHOR))).scalar_one()
    first = (await connection.execute(select(func.min(audit.c.number)))).scalar()
    if first is None or first > anchor:
        return 0
    last = min(anchor, first + _BATCH - 1)
    await connection.execute(delete(audit).where(audit.c.number <= last))
    return int(last - first + 1)
