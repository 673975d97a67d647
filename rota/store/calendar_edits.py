"""Calendars in the store. An edit is a transaction with a row of the audit, and changes the revision.

A calendar that a schedule names cannot be deleted, because the schedule would fire on the days off of it.
"""

from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from rota.core.text import counted
from rota.errors import ScheduleInvalid, StaleVersion, StoreConflict, StoreNotFound
from rota.schedule.calendar import Calendar
from rota.store.database import Database, records
from rota.store.edits import Edit, begin_edit
from rota.store.schedule_rows import calendar_of, readable
from rota.store.store_values import StoredCalendar, StorePage, problems_of_json
from rota.store.tables import calendars, schedules

_MOST_NAMED = 3


class CalendarEdits:
    """Reads, saves and deletes calendars."""

    database: Database

    async def calendar(self, name: str) -> StoredCalendar:
        """Return a calendar by its name. Raises StoreNotFound."""
        page = await self._calendars(name)
        if not page.items:
            raise StoreNotFound(f"There is no calendar {name!r}.")
        return page.items[0]

    async def calendars(self) -> StorePage[StoredCalendar]:
        """Return all calendars in the order of their names."""
        return await self._calendars(None)

    async def calendar_users(self) -> dict[str, int]:
        """Return how many schedules use each calendar, by its name."""
        column = schedules.c.calendar
        query = select(column, func.count().label("number")).where(
            column.is_not(None), schedules.c.live_name.is_not(None)
        )
        rows = await self.database.read(lambda connection: records(connection, query.group_by(column)))
        return {row["calendar"]: int(row["number"]) for row in rows}

    async def save_calendar(
        self, calendar: Calendar, *, by: str, expected_version: int | None = None, origin: str = ""
    ) -> StoredCalendar:
        """Store a calendar under its name, new or instead of the present one. Raises StaleVersion.

        With 0 as `expected_version`, a calendar that is there already is refused.
        """

        async def act(connection: AsyncConnection) -> StoredCalendar:
            edit = await begin_edit(connection, by, origin)
            row = await _row(edit, calendar.name)
            written = _written(calendar)
            present = None if row is None or row["deleted_at"] is not None else row
            _refuse_stale(calendar.name, present, expected_version)
            values = {
                "definition": written,
                "version": (0 if row is None else row["version"]) + 1,
                "revision": edit.revision,
                "updated_at": edit.at,
                "updated_by": edit.by,
                "deleted_at": None,
            }
            statement = insert(calendars) if row is None else update(calendars).where(calendars.c.name == calendar.name)
            await connection.execute(statement.values(name=calendar.name, **values))
            await _wake_users(edit, calendar.name)
            before = {} if present is None else {"before": present["definition"]}
            await edit.record("calendar.save", "calendar", calendar.name, {**before, "after": written})
            return calendar_of({"name": calendar.name, **values})

        return await self.database.write(act)

    async def delete_calendar(
        self, name: str, *, by: str, expected_version: int | None = None, origin: str = ""
    ) -> None:
        """Delete a calendar. Raises StoreConflict if a schedule names it."""

        async def act(connection: AsyncConnection) -> None:
            edit = await begin_edit(connection, by, origin)
            row = await _row(edit, name)
            if row is None or row["deleted_at"] is not None:
                raise StoreNotFound(f"There is no calendar {name!r}.")
            _refuse_stale(name, row, expected_version)
            await _refuse_used(edit, name)
            values = {"version": row["version"] + 1, "revision": edit.revision, "deleted_at": edit.at}
            changed = {**values, "updated_at": edit.at, "updated_by": edit.by}
            await connection.execute(update(calendars).where(calendars.c.name == name).values(**changed))
            await edit.record("calendar.delete", "calendar", name, {"before": row["definition"]})

        await self.database.write(act)

    async def _calendars(self, name: str | None) -> StorePage[StoredCalendar]:
        query = select(calendars).where(calendars.c.deleted_at.is_(None)).order_by(calendars.c.name)
        if name is not None:
            query = query.where(calendars.c.name == name)
        rows = await self.database.read(lambda connection: records(connection, query))
        items, problems = readable(rows, calendar_of, "calendar")
        return StorePage(items, None, problems)


async def _row(edit: Edit, name: str) -> dict[str, Any] | None:
    rows = await records(edit.connection, select(calendars).where(calendars.c.name == name))
    return rows[0] if rows else None


def _written(calendar: Calendar) -> dict[str, Any]:
    written = calendar.to_mapping()
    if problems := list(problems_of_json(written, "calendar")):
        raise ScheduleInvalid(f"The calendar cannot be stored: {problems[0][1]}", problems=problems)
    return written


def _refuse_stale(name: str, present: dict[str, Any] | None, expected: int | None) -> None:
    version = 0 if present is None else int(present["version"])
    if expected is not None and expected != version:
        raise StaleVersion(
            f"The calendar {name!r} has version {version}, and this edit was made on version {expected}. Look at the "
            "new version and edit that one.",
            expected=expected,
            present=None if present is None else calendar_of(present),
        )


async def _wake_users(edit: Edit, name: str) -> None:
    """Let the leader look at the schedules with this calendar, because their next times may be earlier now."""
    mine = schedules.c.calendar == name
    await edit.connection.execute(update(schedules).where(mine, schedules.c.due_at > edit.at).values(due_at=edit.at))


async def _refuse_used(edit: Edit, name: str) -> None:
    query = select(schedules.c.name).where(schedules.c.live_name.is_not(None), schedules.c.calendar == name)
    users = list((await edit.connection.execute(query.order_by(schedules.c.name))).scalars())
    if users:
        named = ", ".join(map(repr, users[:_MOST_NAMED])) + (", …" if len(users) > _MOST_NAMED else "")
        raise StoreConflict(
            f"The calendar {name!r} is used by {counted(len(users), 'schedule')}: {named}. Give them another calendar "
            "before you delete it."
        )
