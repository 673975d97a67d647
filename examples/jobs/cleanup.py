"""Removes what is older than an age: files of a folder, and rows of a table."""

import fnmatch
import os
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Interval
from sqlalchemy import Column, ColumnElement, Connection, MetaData, Table, delete, func, select, tuple_
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.types import Date, DateTime, Integer, Numeric, String

from examples.jobs.dumps import read_url
from examples.jobs.engine import connected
from examples.jobs.settings import JobRefused, JobSettings
from rota import Context, Retry, Tasks
from rota.core.duration import Duration

tasks = Tasks()
_RETRY = Retry(max=5, backoff="exponential", base="1m", never=[JobRefused])


@tasks.task("files", timeout="30m", retention="7d", retry=_RETRY)
def clean_files(
    context: Context, folder: str, pattern: str, older_than: Duration, *, recursive: bool = False, dry_run: bool = False
) -> dict[str, int]:
    """Remove the files of a folder whose names match and that were not changed for `older_than`.

    Returns how many files and bytes that were. Links are not followed; a link that matches is removed by its own age,
    and what it points to stays. `recursive` goes into the folders below, of which none is removed. `dry_run` only
    counts.
    """
    root = JobSettings.read().folder(folder)
    if not root.is_dir():
        raise JobRefused(f"{root} is not a folder.")
    before = time.time() - older_than.total_seconds()
    found = {"files": 0, "bytes": 0}
    for name, about, dir_fd in _old_files(root, pattern, before, recursive):
        context.raise_if_cancelled()
        if not dry_run and not _removed(name, dir_fd):
            continue
        found["files"] += 1
        found["bytes"] += about.st_size
    return found


def _old_files(root: Path, pattern: str, before: float, recursive: bool) -> Iterator[tuple[str, os.stat_result, int]]:
    # Names are looked up in the open folder, so that a folder that is replaced by a link does not lead elsewhere.
    for _, folders, names, dir_fd in os.fwalk(root, follow_symlinks=False):
        for name in sorted({*names, *folders}):
            if fnmatch.fnmatchcase(name, pattern):
                about = _about(name, dir_fd)
                if about and about.st_mtime < before and not stat.S_ISDIR(about.st_mode):
                    yield name, about, dir_fd
        if not recursive:
            return


def _about(name: str, dir_fd: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None  # removed by its owner since the folder was read


def _removed(name: str, dir_fd: int) -> bool:
    try:
        os.unlink(name, dir_fd=dir_fd)
    except FileNotFoundError:
        return False
    return True


@tasks.task("rows", timeout="2h", retention="7d", retry=_RETRY)
def clean_rows(
    context: Context, table: str, older_than: Duration, batch: Annotated[int, Interval(ge=1, le=5000)] = 1000
) -> int:
    """Delete the rows of a table that are older than `older_than`, and return their number.

    `table` is `database.table`, as the setting JOBS_PURGE has it with the column that holds the time of a row. Each
    batch is a transaction of its own, so that other programs wait for a moment at most, and a task that is killed
    leaves whole batches.
    """
    settings = JobSettings.read()
    database, name, column = _allowed(settings, table)
    before = datetime.now(UTC) - older_than
    deleted = 0
    with connected(read_url(settings.database(database))) as connection:
        rows = _table(connection, name)
        old = _is_older(connection, _column(rows, column), before)
        while count := _delete_batch(connection, rows, old, batch):
            deleted += count
            context.progress(deleted, text=f"{deleted} rows deleted")
            context.raise_if_cancelled()
    return deleted


def _allowed(settings: JobSettings, table: str) -> tuple[str, str, str]:
    database, _, name = table.partition(".")
    if table not in settings.purge or not name:
        known = ", ".join(sorted(settings.purge)) or "none"
        raise JobRefused(f"JOBS_PURGE does not allow to delete rows of {table!r}. It allows: {known}.")
    return database, name, settings.purge[table]


def _table(connection: Connection, name: str) -> Table:
    try:
        table = Table(name, MetaData(), autoload_with=connection)
    except NoSuchTableError:
        raise JobRefused(f"The database has no table {name!r}.") from None
    if not table.primary_key.columns:
        raise JobRefused(f"The table {name!r} has no primary key, by which a batch could be chosen.")
    return table


def _column(table: Table, name: str) -> Column[Any]:
    if name not in table.columns:
        raise JobRefused(f"The table {table.name!r} has no column {name!r}. It has: {', '.join(table.columns.keys())}.")
    return table.columns[name]


def _is_older(connection: Connection, column: Column[Any], before: datetime) -> ColumnElement[bool]:
    """The condition for rows that are older; times without a zone are UTC, and numbers are Unix seconds."""
    if isinstance(column.type, Integer | Numeric):
        return column < before.timestamp()
    if connection.dialect.name == "sqlite":
        if not isinstance(column.type, Date | DateTime | String):
            raise _unfit(column)
        # SQLite keeps times as text in several forms; its function brings all of them to one.
        return func.datetime(column) < func.datetime(before.strftime("%Y-%m-%d %H:%M:%S"))
    if isinstance(column.type, DateTime):
        return column < (before if column.type.timezone else before.replace(tzinfo=None))
    if isinstance(column.type, Date):
        return column < before.date()
    raise _unfit(column)


def _unfit(column: Column[Any]) -> JobRefused:
    return JobRefused(
        f"The column {column.name!r} is of the type {column.type!r}, which is neither a time nor a number."
    )


def _delete_batch(connection: Connection, table: Table, old: ColumnElement[bool], batch: int) -> int:
    key = list(table.primary_key.columns)
    chosen = connection.execute(select(*key).where(old).order_by(*key).limit(batch)).all()
    if not chosen:
        connection.rollback()
        return 0
    # The age is asked for again, because a row may have been renewed since it was chosen.
    is_chosen = (
        key[0].in_([row[0] for row in chosen]) if len(key) == 1 else tuple_(*key).in_([tuple(r) for r in chosen])
    )
    done = connection.execute(delete(table).where(is_chosen, old))
    connection.commit()
    return done.rowcount
