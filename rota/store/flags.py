"""The hold, which stops all schedules of an installation: who stopped them, why, and until when.

A hold with `until` ends by itself. Schedules that were paused one by one stay paused after a hold.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from rota.errors import ConfigError
from rota.store.column_types import Unreadable
from rota.store.database import Database
from rota.store.edits import Edit, begin_edit
from rota.store.store_values import Hold, text_for_database
from rota.store.tables import flags

_HOLD = "hold"


class HoldFlag:
    """Stops all schedules, and starts them again."""

    database: Database

    async def hold(self) -> Hold | None:
        """Return the hold that is in force or has ended by itself; None if there is none."""
        return await self.database.read(hold_of)

    async def set_hold(self, *, by: str, reason: str = "", until: datetime | None = None, origin: str = "") -> Hold:
        """Stop all schedules. A hold that is there already is replaced."""
        if until is not None and until.utcoffset() is None:
            raise ConfigError(f"until is {until.isoformat()}, which has no time zone: add one.")

        async def act(connection: AsyncConnection) -> Hold:
            edit = await begin_edit(connection, by, origin)
            made = Hold(by=edit.by, at=edit.at, reason=text_for_database(reason), until=until)
            written = {"reason": made.reason, "until": None if until is None else until.isoformat(), "on": True}
            await _write(edit, written)
            await edit.record("hold.set", "hold", _HOLD, written)
            return made

        return await self.database.write(act)

    async def lift_hold(self, *, by: str, origin: str = "") -> Hold | None:
        """Let all schedules go on. Returns the hold that was lifted, None if there was none."""

        async def act(connection: AsyncConnection) -> Hold | None:
            edit = await begin_edit(connection, by, origin)
            lifted = await hold_of(connection)
            if lifted is not None:
                await _write(edit, {"on": False})
                await edit.record("hold.lift", "hold", _HOLD, {"set_by": lifted.by, "reason": lifted.reason})
            return lifted

        return await self.database.write(act)


async def hold_of(connection: AsyncConnection) -> Hold | None:
    """Return the hold of the installation."""
    row = (await connection.execute(select(flags).where(flags.c.name == _HOLD))).one_or_none()
    if row is None:
        return None
    value: Any = {"on": True} if isinstance(row.value, Unreadable) else row.value
    if not value["on"]:
        return None
    until = value.get("until")
    ends = None if until is None else datetime.fromisoformat(until)
    return Hold(by=row.updated_by, at=row.updated_at, reason=value.get("reason", ""), until=ends)


async def _write(edit: Edit, value: dict[str, Any]) -> None:
    # A lifted hold keeps its row, because `changed_since` finds it by its revision.
    await edit.connection.execute(delete(flags).where(flags.c.name == _HOLD))
    row = {"name": _HOLD, "value": value, "revision": edit.revision, "updated_at": edit.at, "updated_by": edit.by}
    await edit.connection.execute(insert(flags).values(**row))
