"""Reads of schedules: one, a list, the versions of one, and what has changed since a revision.

A scheduler polls `changed_since` twice a second. While nothing has changed this reads one number.
"""

from typing import Any

from sqlalchemy import Select, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from rota.errors import StoreError, StoreNotFound
from rota.schedule.definition import ScheduleKind, StoredSchedule
from rota.store.cursor import checked_limit, read_cursor, write_cursor
from rota.store.database import Database, Record, records
from rota.store.due_window import last_planned
from rota.store.flags import hold_of
from rota.store.schedule_rows import calendar_of, folded, readable, schedule_of, version_of
from rota.store.store_values import ScheduleVersion, StoreChanges, StoredCalendar, StorePage, StoreProblem
from rota.store.tables import calendars, counters, flags, schedule_tags, schedule_versions, schedules

_PART = 100
"""Rows that `changed_since` reads at once, so that other work on the event loop gets its turn in between."""

LATE_EDITS = 1000
"""A scheduler that starts looks for deletions among this many edits, the last ones."""


class ScheduleReads:
    """Finds schedules."""

    database: Database

    async def get(self, schedule_id: str) -> StoredSchedule:
        """Return a schedule by its ID, a deleted one too. Raises StoreNotFound."""
        found = await self._one(select(schedules).where(schedules.c.id == schedule_id))
        if found is None:
            raise StoreNotFound(f"There is no schedule with the ID {schedule_id!r}.")
        return found

    async def find(self, name: str) -> StoredSchedule | None:
        """Return the schedule of this name that is not deleted; None if there is none."""
        return await self._one(select(schedules).where(schedules.c.live_name == name))

    async def schedules(
        self,
        *,
        text: str = "",
        kind: ScheduleKind | None = None,
        task_type: str | None = None,
        tag: str | None = None,
        enabled: bool | None = None,
        deleted: bool = False,
        cursor: str | None = None,
        limit: int = 100,
    ) -> StorePage[StoredSchedule]:
        """Return schedules in the order of their names, up to `limit` (at most 500), from a cursor on.

        `text` is searched for in names, task types, owners, remarks and tags, in small and capital letters. With
        `deleted`, only deleted schedules are listed.
        """
        query = select(schedules).where(
            schedules.c.live_name.is_(None) if deleted else schedules.c.live_name.is_not(None)
        )
        equal = {"kind": kind, "task_type": task_type, "enabled": enabled}
        for column, wanted in equal.items():
            if wanted is not None:
                query = query.where(schedules.c[column] == wanted)
        if text:
            query = query.where(schedules.c.search.contains(folded(text), autoescape=True))
        if tag is not None:
            query = query.where(
                exists().where(schedule_tags.c.tag == tag, schedule_tags.c.schedule_id == schedules.c.id)
            )
        return await self._page(query, cursor, checked_limit(limit))

    async def versions(
        self, schedule_id: str, *, cursor: str | None = None, limit: int = 100
    ) -> StorePage[ScheduleVersion]:
        """Return the versions of a schedule, the newest first."""
        column = schedule_versions.c
        query = select(schedule_versions).where(column.schedule_id == schedule_id)
        if cursor is not None:
            query = query.where(column.version < read_cursor(cursor, int)[0])
        query = query.order_by(column.version.desc()).limit(checked_limit(limit) + 1)
        rows = await self._rows(query)
        items, problems = readable(rows[:limit], version_of, "version")
        more = write_cursor(rows[limit - 1]["version"]) if len(rows) > limit else None
        return StorePage(items, more, problems)

    async def changed_since(self, revision: int, *, most: int | None = None) -> StoreChanges:
        """Return what was edited after a revision. From 0 on, this is everything that is not deleted.

        With `most`, about that number of schedules is returned at once, and `more` says whether there are others. The
        next look starts at the returned revision.
        """

        async def act(connection: AsyncConnection) -> StoreChanges:
            newest = await _newest(connection)
            if newest == revision:
                return StoreChanges(revision=newest, hold=await hold_of(connection))
            return await _changes(connection, revision, newest, most)

        return await self.database.read(act)

    async def installation(self) -> StoreChanges:
        """Return the present revision, all calendars and the hold, and of the schedules those that were deleted lately.

        These are the deletions among the last `LATE_EDITS` edits.
        """

        async def act(connection: AsyncConnection) -> StoreChanges:
            newest = await _newest(connection)
            dates, problems = await _calendars(connection, 0, newest)
            rows = await _deleted_since(connection, newest - LATE_EDITS)
            found, unreadable = readable(rows, schedule_of, "schedule")
            return StoreChanges(
                revision=newest,
                schedules=found,
                planned=await last_planned(connection, rows),
                calendars=dates,
                hold=await hold_of(connection),
                problems=(*problems, *unreadable),
            )

        return await self.database.read(act)

    async def _page(self, query: Select[Any], cursor: str | None, limit: int) -> StorePage[StoredSchedule]:
        if cursor is not None:
            name, schedule_id = read_cursor(cursor, str, str)
            # The first condition follows from the second, but databases find the position in the index by it.
            later = or_(schedules.c.name > name, schedules.c.id > schedule_id)
            query = query.where(schedules.c.name >= name, later)
        rows = await self._rows(query.order_by(schedules.c.name, schedules.c.id).limit(limit + 1))
        items, problems = readable(rows[:limit], schedule_of, "schedule")
        more = write_cursor(rows[limit - 1]["name"], rows[limit - 1]["id"]) if len(rows) > limit else None
        return StorePage(items, more, problems)

    async def _one(self, query: Select[Any]) -> StoredSchedule | None:
        items, problems = readable(await self._rows(query), schedule_of, "schedule")
        if problems:
            raise StoreError(f"{problems[0]} Restore one of its versions.")
        return items[0] if items else None

    async def _rows(self, query: Select[Any]) -> list[Record]:
        return await self.database.read(lambda connection: records(connection, query))


async def _deleted_since(connection: AsyncConnection, revision: int) -> list[Record]:
    query = select(schedules).where(schedules.c.revision > revision, schedules.c.deleted_at.is_not(None))
    return await records(connection, query.order_by(schedules.c.revision))


async def _newest(connection: AsyncConnection) -> int:
    query = select(counters.c.value).where(counters.c.name == "revision")
    return int((await connection.execute(query)).scalar_one())


async def _changes(connection: AsyncConnection, since: int, newest: int, most: int | None) -> StoreChanges:
    found: list[StoredSchedule] = []
    problems: list[StoreProblem] = []
    position, more = since, False
    while rows := await _part(connection, position, newest, everything=since == 0):
        items, bad = readable(rows, schedule_of, "schedule")
        found += items
        problems += bad
        position = rows[-1]["revision"]
        if more := most is not None and len(found) >= most and position < newest:
            newest = position
            break
    dates, bad_dates = await _calendars(connection, since, newest)
    changed = select(flags.c.name).where(flags.c.revision > since)
    return StoreChanges(
        revision=newest,
        more=more,
        schedules=tuple(found),
        calendars=dates,
        hold=await hold_of(connection),
        hold_changed=bool((await connection.execute(changed)).first()),
        problems=(*problems, *bad_dates),
    )


async def _calendars(
    connection: AsyncConnection, since: int, newest: int
) -> tuple[tuple[StoredCalendar, ...], tuple[StoreProblem, ...]]:
    """Read the calendars that were edited in a range of revisions; from 0 on those that are not deleted."""
    query = select(calendars).where(calendars.c.revision > since, calendars.c.revision <= newest)
    if since == 0:
        query = query.where(calendars.c.deleted_at.is_(None))
    return readable(await records(connection, query), calendar_of, "calendar")


async def _part(connection: AsyncConnection, after: int, newest: int, *, everything: bool) -> list[Record]:
    column = schedules.c.revision  # each edit changes one schedule, so no two have the same
    query = select(schedules).where(column > after, column <= newest)
    if everything:
        query = query.where(schedules.c.live_name.is_not(None))
    return await records(connection, query.order_by(column).limit(_PART))
