"""The part of the schedules that a scheduler needs soon, for stores with more of them than one process should hold.

Each schedule has a moment `due_at`, before which no scheduler needs it. So a scheduler reads schedules in the order of
`due_at`, from an index, as far as it needs them. The rules:

1. A new schedule gets its first planned time. With a calendar it gets the present, because only the leader knows all
   calendars.
2. An edit of a schedule, and an edit of its calendar, set it to the present: the leader looks at the schedule once.
3. The leader alone moves it into the future (`postpone`), when it drops a schedule from its memory. While the leader
   holds a schedule, `due_at` stays where it was. So a leader that dies leaves no schedule behind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import and_, bindparam, case, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from rota.schedule.definition import ScheduleDefinition, StoredSchedule
from rota.schedule.due import ScheduleState, first_due
from rota.schedule.timetable import Timetable
from rota.store.database import Database, Record, records
from rota.store.schedule_rows import readable, schedule_of
from rota.store.store_values import StoreProblem
from rota.store.tables import calendars, counters, schedule_state, schedules

NEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""The `due_at` of a schedule that is not due before it is edited."""


class DuePosition(NamedTuple):
    """A position in the order of `due_at`."""

    due_at: datetime
    schedule_id: str


@dataclass(frozen=True, slots=True)
class DueSchedules:
    """Schedules in the order of `due_at`. `position` is the last one, None at the end.

    `planned` has the last planned times by ID, for a server that has lost its data.
    """

    schedules: tuple[StoredSchedule, ...]
    planned: Mapping[str, datetime]
    position: DuePosition | None
    problems: tuple[StoreProblem, ...] = ()


class Postponed(NamedTuple):
    """A schedule that is not needed before a moment, None for never."""

    schedule: StoredSchedule
    due_at: datetime | None


class _CalendarEdited(Exception):
    """Undoes a transaction."""


class DueWindow:
    """Reads schedules by the moment at which they are needed, and moves it."""

    database: Database

    async def due_schedules(
        self, after: DuePosition | None = None, *, until: datetime | None = None, limit: int
    ) -> DueSchedules:
        """Return up to `limit` schedules that are needed up to `until`, the earliest first."""
        column = schedules.c
        query = select(schedules).where(column.live_name.is_not(None))
        if after is not None:
            # The first condition follows from the second, but databases find the position in the index by it.
            query = query.where(
                column.due_at >= after.due_at, or_(column.due_at > after.due_at, column.id > after.schedule_id)
            )
        if until is not None:
            query = query.where(column.due_at <= until)
        query = query.order_by(column.due_at, column.id).limit(limit)

        async def act(connection: AsyncConnection) -> tuple[list[Record], dict[str, datetime]]:
            rows = await records(connection, query)
            return rows, await last_planned(connection, rows)

        rows, planned = await self.database.read(act)
        found, problems = readable(rows, schedule_of, "schedule")
        last = rows[-1] if len(rows) == limit else None
        return DueSchedules(found, planned, None if last is None else _position(last), problems)

    async def pick_up(self, name: str, at: datetime) -> DueSchedules:
        """Return the schedule with a name or an ID, if there is one that is not deleted, as one that is needed now."""
        column = schedules.c
        mine = and_(column.live_name.is_not(None), or_(column.live_name == name, column.id == name))

        async def act(connection: AsyncConnection) -> tuple[list[Record], dict[str, datetime]]:
            await connection.execute(update(schedules).where(mine, column.due_at > at).values(due_at=at))
            rows = await records(connection, select(schedules).where(mine))
            return rows, await last_planned(connection, rows)

        rows, planned = await self.database.write(act)
        found, problems = readable(rows, schedule_of, "schedule")
        return DueSchedules(found, planned, None, problems)

    async def postpone(self, epoch: int, found: Sequence[Postponed], *, read: int) -> bool:
        """Move schedules into the future, as the leader of an epoch that has read all edits up to the revision `read`.

        A schedule that was edited meanwhile stays as it is. Returns False, and changes nothing, if a later leader has
        postponed schedules, or if one of the calendars was edited meanwhile.
        """

        async def act(connection: AsyncConnection) -> bool:
            if not await _is_leader(connection, epoch):
                return False
            values = [{"its_id": each.id, "its_version": each.version, "moment": due or NEVER} for each, due in found]
            statement = update(schedules).where(
                schedules.c.id == bindparam("its_id"), schedules.c.version == bindparam("its_version")
            )
            await connection.execute(statement.values(due_at=bindparam("moment")), values)
            # An edit of a calendar also locks these rows. So it either comes before this look, or wakes them after it.
            names = {each.definition.calendar for each, _ in found} - {None}
            query = select(func.max(calendars.c.revision)).where(calendars.c.name.in_(sorted(map(str, names))))
            newest = (await connection.execute(query)).scalar() if names else None
            if newest is not None and newest > read:
                raise _CalendarEdited
            return True

        try:
            return await self.database.write(act)
        except _CalendarEdited:
            return False


def first_look(schedule_id: str, definition: ScheduleDefinition, at: datetime) -> datetime:
    """Return when a schedule that is created at a moment is needed first."""
    if definition.calendar is not None:
        return at
    if not definition.enabled:
        return NEVER
    since = at.replace(microsecond=at.microsecond // 1000 * 1000)
    return first_due(Timetable(schedule_id, definition, since), ScheduleState(since=since)) or NEVER


async def _is_leader(connection: AsyncConnection, epoch: int) -> bool:
    """Note the epoch of a leader, unless a greater one is noted."""
    column = counters.c
    mine = column.name == "scheduler"
    greater = case((column.value < epoch, epoch), else_=column.value)
    await connection.execute(update(counters).where(mine).values(value=greater))
    return (await connection.execute(select(column.value).where(mine))).scalar() == epoch


async def last_planned(connection: AsyncConnection, rows: Sequence[Record]) -> dict[str, datetime]:
    """Return the last planned times of schedules. A join could make a database sort the whole table instead."""
    column = schedule_state.c
    query = select(column.schedule_id, column.last_planned_at)
    query = query.where(column.schedule_id.in_([row["id"] for row in rows]), column.last_planned_at.is_not(None))
    found = await records(connection, query) if rows else []
    moments = {row["schedule_id"]: row["last_planned_at"] for row in found}
    return {id: moment for id, moment in moments.items() if isinstance(moment, datetime)}


def _position(row: Record) -> DuePosition:
    due_at = row["due_at"]
    return DuePosition(due_at if isinstance(due_at, datetime) else datetime(1970, 1, 1, tzinfo=UTC), row["id"])
