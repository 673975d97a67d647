"""Reads the audit, adds rows about acts outside of the store, and checks the chain of hashes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from rota.store.cursor import checked_limit, read_cursor, write_cursor
from rota.store.database import Database, Record, records
from rota.store.edits import ANCHOR, TRIM, chained, unnumbered_edit
from rota.store.schedule_rows import readable
from rota.store.store_values import StorePage
from rota.store.tables import audit, counters

_PART = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One edit: who did it, when, from where, to what, and the fields before and after."""

    number: int
    at: datetime
    by: str
    origin: str
    act: str
    kind: str
    subject: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """The result of a check of the chain. `fault` says where it is broken; it is empty if the chain is whole.

    Keep `number` and `hash` elsewhere: a later check of the same rows has to find the same hash there.
    """

    number: int
    hash: str
    fault: str = ""
    trimmed: int = 0
    """The rows up to this number were deleted, because they were old."""


class AuditReads:
    """Reads the audit, and adds to it."""

    database: Database

    async def audit(
        self,
        *,
        kind: str | None = None,
        subject: str | None = None,
        by: str | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> StorePage[AuditEntry]:
        """Return rows of the audit, the newest first. `subject` is an ID or a name, and goes with its `kind`."""
        query = select(audit)
        for column, wanted in (("kind", kind), ("subject", subject), ("by", by)):
            if wanted is not None:
                query = query.where(audit.c[column] == wanted)
        if cursor is not None:
            query = query.where(audit.c.number < read_cursor(cursor, int)[0])
        query = query.order_by(audit.c.number.desc()).limit(checked_limit(limit) + 1)
        rows = await self.database.read(lambda connection: records(connection, query))
        items, problems = readable(rows[:limit], _entry_of, "audit")
        return StorePage(items, write_cursor(rows[limit - 1]["number"]) if len(rows) > limit else None, problems)

    async def record_act(
        self, act: str, *, kind: str, subject: str, by: str, origin: str = "", detail: Mapping[str, Any] | None = None
    ) -> None:
        """Add a row about an act that changes something outside of the store, such as a task in Redis.

        Record the intent before the act and its outcome after it, because the two cannot be one transaction.
        """

        async def add(connection: AsyncConnection) -> None:
            await unnumbered_edit(connection, by, origin).record(act, kind, subject, detail or {})

        await self.database.write(add)

    async def verify_audit(self) -> AuditCheck:
        """Check each row of the audit against the row before it, and the last row against its counter."""
        return await self.database.read(_verify, limit=None, snapshot=True)


async def _verify(connection: AsyncConnection) -> AuditCheck:
    anchor = (await records(connection, select(counters).where(counters.c.name == ANCHOR)))[0]
    number, before = int(anchor["value"]), anchor["hash"] or ""
    trimmed, noted = number, (0, "")
    while rows := await records(connection, _rows_after(number)):
        for row in rows:
            if row["number"] != number + 1:
                return AuditCheck(number, before, f"The rows from {number + 1} to {row['number'] - 1} are missing.")
            number += 1
            if not isinstance(row["at"], datetime) or row["hash"] != chained(before, row):
                return AuditCheck(number, before, f"Row {number} was changed, or a row before it was.")
            before = row["hash"]
            if row["act"] == TRIM:
                detail = json.loads(row["detail"])
                noted = detail["until"], detail["hash"]
    if noted != (trimmed, anchor["hash"] or ""):
        return AuditCheck(number, before, f"The rows up to {trimmed} were deleted, but not by the retention.")
    counter = (await records(connection, select(counters).where(counters.c.name == "audit")))[0]
    if (counter["value"], counter["hash"] or "") != (number, before):
        return AuditCheck(number, before, f"The rows after {number} are missing: {counter['value']} were written.")
    return AuditCheck(number, before, trimmed=trimmed)


def _rows_after(number: int) -> Any:
    return select(audit).where(audit.c.number > number).order_by(audit.c.number).limit(_PART)


def _entry_of(row: Record) -> AuditEntry:
    members = {name: row[name] for name in ("number", "at", "by", "origin", "act", "kind", "subject")}
    return AuditEntry(detail=json.loads(row["detail"]), **members)
