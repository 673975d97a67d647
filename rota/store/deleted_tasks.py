"""The table of deleted tasks, which are kept for undo.

Each task is one row (`deleted_rows`). Expired rows are not read any more; they are removed by the next deletion and by
the scheduler. `bounded_trash` decides how much a deletion may keep.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, NamedTuple

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from rota.inspect.trash import TrashedTask
from rota.store.column_types import Instant
from rota.store.database import Database, Record
from rota.store.deleted_rows import KEPT, key_of, short, task_of
from rota.store.edits import now
from rota.store.tables import trash

DELETED_AGE: Final = timedelta(days=7)
_PART: Final = 1000
"""Rows that one transaction removes."""
_INSTANT: Final = Instant()
_COLUMNS: Final = [column.name for column in trash.columns if not column.primary_key]


class TrashSize(NamedTuple):
    """How many deleted tasks a store has, and their bytes."""

    number: int
    size: int


class DeletedTasks:
    """Keeps deleted tasks."""

    database: Database

    async def write_deleted(self, rows: Sequence[Record]) -> None:
        """Write rows, all or none. A row with the same `id` is replaced."""
        if rows:
            await self.database.write(partial(_write, rows=rows, dialect=self.database.dialect))

    async def held_deleted(self, deletion: str | None = None) -> TrashSize:
        """Count the deleted tasks that are kept, of all deletions or of one. Reads an entry of an index for each."""
        query = select(func.count(), func.coalesce(func.sum(trash.c.size), 0)).select_from(trash)
        if deletion is not None:
            query = query.where(trash.c.deletion == deletion)

        async def act(connection: AsyncConnection) -> TrashSize:
            number, size = (await connection.execute(query)).one()
            return TrashSize(int(number), int(size))

        return await self.database.read(act)

    async def deleted_tasks(
        self,
        *,
        queue: str | None = None,
        task_id: str | None = None,
        deletion: str | None = None,
        limit: int = 100,
        skip: int = 0,
        age: timedelta = DELETED_AGE,
    ) -> list[TrashedTask]:
        """Return deleted tasks after the first `skip` ones, the latest deletion first."""
        column = trash.c
        query = select(*KEPT).where(column.deleted_at > now() - age)
        for name, value in (("queue", queue), ("task_id", task_id), ("deletion", deletion)):
            if value is not None:
                query = query.where(column[name] == short(value))
        query = query.order_by(column.deleted_at.desc(), column.id.desc()).offset(skip).limit(limit)

        async def act(connection: AsyncConnection) -> list[TrashedTask]:
            return [task_of(*row) for row in await connection.execute(query)]

        found = await self.database.read(act)
        return [
            task for task in found if queue in (None, task.queue) and task_id in (None, task.task_id)
        ]  # a name that was cut may be that of several

    async def forget_deleted(self, ids: Sequence[str]) -> None:
        """Remove tasks by the IDs of their deletion."""
        await self.database.write(partial(_remove, ids=[key_of(each) for each in ids]))

    async def trim_deleted(self, *, age: timedelta, max_bytes: int) -> int:
        """Remove tasks that are older than `age`, and the oldest ones beyond `max_bytes`. Returns their number."""
        excess = (await self.held_deleted()).size - max_bytes
        return (await self.remove_oldest(excess, before=now() - age)).number

    async def remove_oldest(self, size: int, *, before: datetime | None = None, spare: str = "") -> TrashSize:
        """Remove the oldest tasks until `size` bytes are free, and all from before a time. Returns what was removed.

        Tasks of the deletion `spare` stay. Each step is a transaction of its own.
        """
        removed = TrashSize(0, 0)
        while before is not None or size > removed.size:
            step = partial(_remove_oldest, size=size - removed.size, before=before, spare=spare)
            part = await self.database.write(step)
            removed = TrashSize(removed.number + part.number, removed.size + part.size)
            if part.number < _PART:
                break
        return removed


async def _write(connection: AsyncConnection, *, rows: Sequence[Record], dialect: str) -> None:
    # Straight to the driver: to convert ten values of each row takes SQLAlchemy as long as the database takes for it.
    of_driver = connection.dialect
    statement = _UPSERTS[dialect].compile(dialect=of_driver)
    times = {at: _INSTANT.process_bind_param(at, of_driver) for at in {row["deleted_at"] for row in rows}}
    bare = [{**row, "deleted_at": times[row["deleted_at"]]} for row in rows]
    names = statement.positiontup
    values = bare if names is None else [tuple([row[name] for name in names]) for row in bare]
    await connection.exec_driver_sql(str(statement), values)


async def _remove(connection: AsyncConnection, *, ids: Sequence[str]) -> None:
    for start in range(0, len(ids), _PART):
        await connection.execute(delete(trash).where(trash.c.id.in_(ids[start : start + _PART])))


async def _remove_oldest(connection: AsyncConnection, *, size: int, before: datetime | None, spare: str) -> TrashSize:
    column = trash.c
    query = select(column.id, column.size, column.deleted_at).order_by(column.deleted_at, column.id).limit(_PART)
    if spare:
        query = query.where(column.deletion != spare)
    gone: list[str] = []
    freed = 0
    for row_id, bytes_of_row, deleted_at in await connection.execute(query):
        if freed >= size and (before is None or deleted_at > before):
            break
        freed += bytes_of_row
        gone.append(row_id)
    await _remove(connection, ids=gone)
    return TrashSize(len(gone), freed)


def _upserts() -> dict[str, Any]:
    """Return the statement that writes a row or replaces it, for each kind of database."""
    in_sqlite, in_postgresql, in_mysql = sqlite.insert(trash), postgresql.insert(trash), mysql.insert(trash)
    return {
        "sqlite": in_sqlite.on_conflict_do_update(
            index_elements=["id"], set_={name: in_sqlite.excluded[name] for name in _COLUMNS}
        ),
        "postgresql": in_postgresql.on_conflict_do_update(
            index_elements=["id"], set_={name: in_postgresql.excluded[name] for name in _COLUMNS}
        ),
        "mysql": in_mysql.on_duplicate_key_update({name: in_mysql.inserted[name] for name in _COLUMNS}),
    }


_UPSERTS: Final = _upserts()
