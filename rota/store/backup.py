"""Writes a whole store as JSON lines, and reads them into an empty store of any kind of database.

The first line names the format and the revision, each further line is a row, and the last line has the number of rows
of each table. So a file that was cut off is refused. A dump sees the store at one moment while others go on to edit it.
A load is one transaction: after an error the store is as empty as before. Memory holds one batch of rows.
"""

import base64
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, LargeBinary, Table, and_, delete, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from rota.core.canonical import is_mapping
from rota.core.text import counted
from rota.errors import ConfigError, StoreConflict, StoreError, StoreSchemaError
from rota.store.column_types import Instant
from rota.store.database import Database, Record, records
from rota.store.edits import count_up
from rota.store.migration import start_counters
from rota.store.migrations import REVISIONS
from rota.store.schedule_rows import calendar_in, refuse_unreadable
from rota.store.store_values import StoreProblem
from rota.store.tables import counters, metadata, schedules

_FORMAT: Final = 1
_PART: Final = 500
_TABLES: Final = {table.name.removeprefix("rota_"): table for table in metadata.sorted_tables}


@dataclass(slots=True)
class BackupReport:
    """The rows of a dump or load by their tables. `problems` are rows that could not be read and are left out."""

    rows: dict[str, int] = field(default_factory=dict[str, int])
    problems: list[StoreProblem] = field(default_factory=list[StoreProblem])

    @property
    def total(self) -> int:
        """Return the number of rows."""
        return sum(self.rows.values())


class Backup:
    """Dumps and loads."""

    database: Database

    async def dump(self, write: Callable[[str], object]) -> BackupReport:
        """Give each line of a dump to `write`, without line feeds."""

        async def act(connection: AsyncConnection) -> BackupReport:
            report = BackupReport()
            write(_line({"rota_store": _FORMAT, "revision": REVISIONS[-1]}))
            for name, table in _TABLES.items():
                report.rows[name] = 0
                async for row in _rows(connection, table, report):
                    write(_line({"table": name, "row": row}))
                    report.rows[name] += 1
            write(_line({"end": report.rows}))
            return report

        return await self.database.read(act, limit=None, snapshot=True)

    async def load(self, lines: Iterable[str]) -> BackupReport:
        """Read the lines of a dump into this store, which must be empty.

        Raises ConfigError for lines that are not a whole dump, and StoreConflict if the store is not empty.
        """
        reader = _DumpReader(lines)

        async def act(connection: AsyncConnection) -> BackupReport:
            await count_up(connection, "revision")
            await _refuse_filled(connection)
            await connection.execute(delete(counters))
            for table, rows in reader.batches():
                await connection.execute(insert(table), _completed(table, rows))
            await connection.run_sync(start_counters)
            return reader.report

        return await self.database.write(act, limit=None)


def _completed(table: Table, rows: list[Record]) -> list[Record]:
    """Return rows with the column that a dump of an older Rota lacks, although it is not NULL for all of them."""
    if table is schedules:
        for row in rows:
            row.setdefault("calendar", calendar_in(row["definition"]))
    return rows


async def _rows(connection: AsyncConnection, table: Table, report: BackupReport) -> AsyncIterator[Record]:
    """Yield the rows of a table as JSON can express them, in the order of the primary key."""
    keys = list(table.primary_key.columns)
    query = select(table).order_by(*keys).limit(_PART)
    rows = await records(connection, query)
    while rows:
        for row in rows:
            try:
                refuse_unreadable(row)
                yield {name: _plain(value) for name, value in row.items()}
            except ValueError as error:
                row_id = "/".join(str(row[key.name]) for key in keys)
                report.problems.append(StoreProblem(table.name, row_id, "", str(error)))
        rows = await records(connection, query.where(_after(keys, rows[-1])))


def _after(keys: list[Column[Any]], row: Record) -> Any:
    first, *rest = keys
    last = row[first.name]
    if not rest:
        return first > last
    # The first condition is what databases find in the index.
    return and_(first >= last, or_(first > last, _after(rest, row)))


async def _refuse_filled(connection: AsyncConnection) -> None:
    for table in metadata.sorted_tables:
        if table is counters:
            continue
        number = (await connection.execute(select(func.count()).select_from(table))).scalar_one()
        if number:
            raise StoreConflict(
                f"The table {table.name} has {counted(number, 'row')} already, and a dump is loaded only into an empty "
                "store. Name a new database or file with --store."
            )


class _DumpReader:
    """Reads the lines of a dump, and says in its errors which line is wrong."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.report = BackupReport()
        self._lines = lines
        self._number = 0
        self._began = False

    def batches(self) -> Iterator[tuple[Table, list[Record]]]:
        """Yield rows of one table with the same columns, up to `_PART` at once."""
        if self._began:  # the database gave the transaction up, but the lines are gone
            raise StoreError("The database interrupted the load. Load the dump again.")
        self._began = True
        lines = self._read()
        self._check_header(next(lines, None))
        name, batch, ended = "", list[Record](), False
        for value in lines:
            if ended:
                raise self._fault("stands after the end of the dump")
            if "end" in value:
                ended = self._check_end(value["end"])
                continue
            table, row = self._row(value)
            if batch and (table != name or row.keys() != batch[0].keys() or len(batch) >= _PART):
                yield _TABLES[name], batch
                batch = []
            name = table
            batch.append(row)
            self.report.rows[name] = self.report.rows.get(name, 0) + 1
        if not ended:
            raise ConfigError(f"The dump ends early, after line {self._number}: it was cut off. Nothing was loaded.")
        if batch:
            yield _TABLES[name], batch

    def _read(self) -> Iterator[dict[str, Any]]:
        for line in self._lines:
            self._number += 1
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except ValueError:
                raise self._fault("is not valid JSON") from None
            if not isinstance(value, dict):
                raise self._fault("is not a JSON object")
            yield value

    def _check_header(self, header: dict[str, Any] | None) -> None:
        if header is None or header.get("rota_store") != _FORMAT:
            raise ConfigError("This is not a dump of a store: its first line must be that of `rota store dump`.")
        if header.get("revision") not in REVISIONS:
            raise StoreSchemaError(
                f"The dump is of revision {header.get('revision')}, and this version of Rota knows up to "
                f"{REVISIONS[-1]}. Load it with the newer version of Rota."
            )

    def _check_end(self, told: object) -> bool:
        if not is_mapping(told):
            raise self._fault("has no numbers of rows")
        wrong = [name for name in {*told, *self.report.rows} if told.get(name) != self.report.rows.get(name, 0)]
        if wrong:
            raise ConfigError(f"The dump lacks rows of {', '.join(sorted(map(str, wrong)))}. Nothing was loaded.")
        return True

    def _row(self, value: dict[str, Any]) -> tuple[str, Record]:
        name, row = value.get("table"), value.get("row")
        if not isinstance(name, str) or name not in _TABLES or not is_mapping(row):
            raise self._fault("does not name a table and a row")
        columns: Mapping[str, Column[Any]] = {column.name: column for column in _TABLES[name].columns}
        if unknown := [each for each in row if each not in columns]:
            raise self._fault(f"has the column {unknown[0]!r}, which the table {name} does not have")
        try:
            return name, {str(each): _restored(columns[str(each)], item) for each, item in row.items()}
        except (ValueError, TypeError):
            raise self._fault("holds a time or bytes that cannot be read") from None

    def _fault(self, what: str) -> ConfigError:
        return ConfigError(f"Line {self._number} of the dump {what}. Nothing was loaded.")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds")
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _restored(column: Column[Any], value: Any) -> Any:
    if value is None:
        return None
    if isinstance(column.type, Instant):
        return datetime.fromisoformat(value)
    return base64.b64decode(value, validate=True) if isinstance(column.type, LargeBinary) else value


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
