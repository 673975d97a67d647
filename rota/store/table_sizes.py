"""The sizes of the tables: rows, and bytes with their indexes where the database tells them.

Counting the rows of a table costs a read of an index, which takes a second for some millions of them.
"""

from dataclasses import dataclass

from sqlalchemy import func, inspect, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from rota.store.database import Database, records
from rota.store.tables import metadata

_BYTES = {
    "sqlite": "SELECT m.tbl_name AS name, sum(s.pgsize) AS bytes FROM dbstat s JOIN sqlite_master m ON m.name = s.name "
    "GROUP BY m.tbl_name",
    "postgresql": "SELECT relname AS name, pg_total_relation_size(oid) AS bytes FROM pg_class WHERE relkind = 'r'",
    "mysql": "SELECT table_name AS name, data_length + index_length AS bytes FROM information_schema.tables "
    "WHERE table_schema = database()",
}


@dataclass(frozen=True, slots=True)
class TableSize:
    """One table. `bytes` is None where the database does not tell it."""

    name: str
    rows: int
    bytes: int | None


async def table_sizes(database: Database) -> list[TableSize]:
    """Return the sizes of the tables that exist, in the order of their names."""

    async def act(connection: AsyncConnection) -> list[TableSize]:
        there = await connection.run_sync(lambda sync: set(inspect(sync).get_table_names()))
        bytes_of = await _bytes(connection, database.dialect)
        found: list[TableSize] = []
        for table in sorted(metadata.tables.values(), key=lambda each: each.name):
            if table.name in there:
                rows = (await connection.execute(select(func.count()).select_from(table))).scalar_one()
                found.append(TableSize(table.name, rows, bytes_of.get(table.name)))
        return found

    return await database.read(act, limit=None)


async def _bytes(connection: AsyncConnection, dialect: str) -> dict[str, int]:
    try:
        rows = await records(connection, text(_BYTES[dialect]))
    except OperationalError:
        if dialect != "sqlite":
            raise
        return {}  # an SQLite without its table dbstat
    return {str(row["name"]): int(row["bytes"]) for row in rows if row["bytes"] is not None}
