"""An edit of the store: its number among all edits, and its row in the audit.

An edit begins by taking the next number of the counter `revision`. This locks the counter until the edit is committed,
so edits are committed in the order of their numbers.

The audit is a chain: the hash of a row covers the row itself and the hash of the row before it, and the counter `audit`
holds the number and the hash of the last row. A row that is changed, removed or inserted later breaks the chain.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from rota.store.store_values import text_for_database
from rota.store.tables import NAME, audit, counters

TRIM = "audit.trim"
"""The act of a row about older rows that were deleted. Its detail has the number and the hash of the last of them."""

ANCHOR = "audit anchor"
"""The counter with the number and the hash of the last row of the audit that was deleted."""


@dataclass(frozen=True, slots=True)
class Edit:
    """An edit inside of its transaction."""

    connection: AsyncConnection
    revision: int
    at: datetime
    by: str
    origin: str

    async def record(self, act: str, kind: str, subject: str, detail: Mapping[str, Any]) -> None:
        """Add a row to the audit."""
        await self.connection.execute(
            update(counters).where(counters.c.name == "audit").values(value=counters.c.value + 1)
        )
        found = await self.connection.execute(
            select(counters.c.value, counters.c.hash).where(counters.c.name == "audit")
        )
        number, before = found.one()
        row = {
            "number": number,
            "at": self.at,
            "by": self.by,
            "origin": self.origin,
            "act": act,
            "kind": kind,
            "subject": text_for_database(subject)[:NAME],
            "detail": json.dumps(detail, ensure_ascii=True, sort_keys=True, separators=(",", ":")),
        }
        row["hash"] = chained(before or "", row)
        await self.connection.execute(audit.insert().values(row))
        await self.connection.execute(update(counters).where(counters.c.name == "audit").values(hash=row["hash"]))


async def begin_edit(connection: AsyncConnection, by: str, origin: str) -> Edit:
    """Take the next revision."""
    revision = await count_up(connection, "revision")
    return Edit(connection, revision, now(), _name(by), _name(origin))


def unnumbered_edit(connection: AsyncConnection, by: str, origin: str) -> Edit:
    """Return an edit that changes only the audit, so that it needs no revision."""
    return Edit(connection, 0, now(), _name(by), _name(origin))


async def count_up(connection: AsyncConnection, counter: str, by: int = 1) -> int:
    """Add to a counter, lock it until the end of the transaction, and return its value. Adding 0 only locks it."""
    mine = counters.c.name == counter
    await connection.execute(update(counters).where(mine).values(value=counters.c.value + by))
    return int((await connection.execute(select(counters.c.value).where(mine))).scalar_one())


def now() -> datetime:
    """Return the time of this machine."""
    return datetime.now(UTC)


def chained(before: str, row: Mapping[str, Any]) -> str:
    """Return the hash of a row of the audit that follows the row with the hash `before`."""
    at = row["at"].astimezone(UTC).isoformat(timespec="microseconds")
    names = ("by", "origin", "act", "kind", "subject", "detail")
    parts = [before, int(row["number"]), at, *(row[name] for name in names)]
    return hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).hexdigest()


def _name(text: str) -> str:
    return text_for_database(text)[:NAME]
