"""Keeps deleted tasks for undo, for a set time and in a bounded space: the oldest ones go first.

Each task is one row: what is searched has columns, and everything that the task consisted of is in `data`, as JSON with
its bytes in base64. Expired rows are not read any more; they are removed by the next deletion and by the scheduler.
"""

import base64
import hashlib
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from rota.core.text import counted
from rota.errors import StoreRefused
from rota.inspect.trash import OpenTrash, TrashedTask
from rota.store.database import Database, Record, records
from rota.store.edits import now
from rota.store.store_values import text_for_database
from rota.store.tables import NAME, trash

if TYPE_CHECKING:
    from rota.settings.setting_groups import DatabaseSettings

DELETED_AGE: Final = timedelta(days=7)
DELETED_MAX_BYTES: Final = 256 * 1024 * 1024
_PART: Final = 200
"""Rows that one statement writes or removes."""


class DeletedTasks:
    """Keeps deleted tasks."""

    database: Database

    async def keep_deleted(
        self, tasks: Sequence[TrashedTask], *, age: timedelta = DELETED_AGE, max_bytes: int = DELETED_MAX_BYTES
    ) -> None:
        """Keep tasks, all or none. A task with the same `id` is replaced. Older ones make room.

        Raises StoreRefused if these tasks alone need more than `max_bytes`.
        """
        rows = [_row(task) for task in tasks]
        size = sum(row["size"] for row in rows)
        if size > max_bytes:
            raise StoreRefused(
                f"{counted(len(rows), 'task')} of {size} bytes would not fit into the {max_bytes} bytes for deleted "
                "tasks, so nothing was deleted. Raise deleted_max_bytes, delete fewer at once, or delete without undo."
            )
        await self.database.write(partial(_keep, rows=rows))
        await self.trim_deleted(age=age, max_bytes=max_bytes)

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
        query = select(trash).where(column.deleted_at > now() - age)
        for name, value in (("queue", queue), ("task_id", task_id), ("deletion", deletion)):
            if value is not None:
                query = query.where(column[name] == _short(value))
        query = query.order_by(column.deleted_at.desc(), column.id.desc()).offset(skip).limit(limit)
        rows = await self.database.read(lambda connection: records(connection, query))
        found = [_task(row) for row in rows]
        return [
            task for task in found if queue in (None, task.queue) and task_id in (None, task.task_id)
        ]  # a name that was cut may be that of several

    async def forget_deleted(self, ids: Sequence[str]) -> None:
        """Remove tasks by the IDs of their deletion."""
        await self.database.write(partial(_remove, ids=[_key(each) for each in ids]))

    async def trim_deleted(self, *, age: timedelta, max_bytes: int) -> int:
        """Remove tasks that are older than `age`, and the oldest ones beyond `max_bytes`. Returns their number."""
        removed = 0
        while number := await self.database.write(partial(_trim, age=age, max_bytes=max_bytes)):
            removed += number
        return removed


def open_trash(url: str, settings: "DatabaseSettings") -> OpenTrash:
    """Return what opens the deleted tasks of a store, with the limits of the settings."""
    from rota.store.store import open_store

    @asynccontextmanager
    async def opened() -> AsyncGenerator[_Trash]:
        async with open_store(url) as store:
            yield _Trash(store, settings.deleted_age, settings.deleted_max_bytes)

    return opened


class _Trash:
    """The deleted tasks of a store within the limits of the settings."""

    def __init__(self, store: DeletedTasks, age: timedelta, max_bytes: int) -> None:
        self._store, self._age, self._max_bytes = store, age, max_bytes

    async def keep_deleted(self, tasks: Sequence[TrashedTask]) -> None:
        await self._store.keep_deleted(tasks, age=self._age, max_bytes=self._max_bytes)

    async def deleted_tasks(self, **words: Any) -> list[TrashedTask]:
        return await self._store.deleted_tasks(**words, age=self._age)

    async def forget_deleted(self, ids: Sequence[str]) -> None:
        await self._store.forget_deleted(ids)


async def _keep(connection: AsyncConnection, *, rows: Sequence[Record]) -> None:
    await _remove(connection, ids=[row["id"] for row in rows])
    for start in range(0, len(rows), _PART):
        await connection.execute(insert(trash), list(rows[start : start + _PART]))


async def _remove(connection: AsyncConnection, *, ids: Sequence[str]) -> None:
    for start in range(0, len(ids), _PART):
        await connection.execute(delete(trash).where(trash.c.id.in_(ids[start : start + _PART])))


async def _trim(connection: AsyncConnection, *, age: timedelta, max_bytes: int) -> int:
    column = trash.c
    size = int((await connection.execute(select(func.coalesce(func.sum(column.size), 0)))).scalar_one())
    query = select(column.id, column.size, column.deleted_at).order_by(column.deleted_at, column.id).limit(_PART)
    gone: list[str] = []
    for row in await records(connection, query):
        if row["deleted_at"] > now() - age and size <= max_bytes:
            break
        size -= row["size"]
        gone.append(row["id"])
    await _remove(connection, ids=gone)
    return len(gone)


def _key(mark: str) -> str:
    return hashlib.sha256(mark.encode("utf-8", "surrogateescape")).hexdigest()


def _short(text: str) -> str:
    return text_for_database(text)[:NAME]


def _row(task: TrashedTask) -> Record:
    whole = {
        "id": task.id,
        "queue": task.queue,
        "task_id": task.task_id,
        "score": task.score,
        "lock_ms": task.lock_ms,
        "fields": {name: base64.b64encode(value).decode() for name, value in task.fields.items()},
    }
    data = json.dumps(whole).encode()  # as ASCII, so that a name of any bytes can be kept
    return {
        "id": _key(task.id),
        "deletion": task.deletion,
        "queue": _short(task.queue),
        "task_id": _short(task.task_id),
        "type": _short(task.type),
        "state": task.state,
        "size": len(data),
        "deleted_at": task.deleted_at,
        "deleted_by": _short(task.deleted_by),
        "data": data,
    }


def _task(row: Record) -> TrashedTask:
    whole = json.loads(row["data"])
    return TrashedTask(
        id=whole["id"],
        deletion=row["deletion"],
        queue=whole["queue"],
        task_id=whole["task_id"],
        type=row["type"],
        state=row["state"],
        score=whole["score"],
        lock_ms=whole["lock_ms"],
        deleted_at=row["deleted_at"],
        deleted_by=row["deleted_by"],
        fields={name: base64.b64decode(value) for name, value in whole["fields"].items()},
    )
