"""Backups of an SQLite database that are checked before they count."""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

from examples.shop.files import replaced


class BadCopy(Exception):
    """The copy is damaged or differs from its source."""


def back_up(database: Path, target: Path) -> str:
    """Copy a database while it is in use, verify the copy, and return the SHA-256 of its content.

    The checksum is kept next to the copy as `<target>.sha256`.
    """
    with replaced(target) as unfinished:
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(unfinished)) as copy:
            source.backup(copy)
        checksum = verify(unfinished, database)
    with replaced(target.with_name(f"{target.name}.sha256")) as unfinished:
        unfinished.write_text(f"{checksum}\n")
    return checksum


def verify(copy: Path, original: Path) -> str:
    """Return the checksum of the copy's content, or raise `BadCopy`."""
    with closing(sqlite3.connect(copy)) as ours, closing(sqlite3.connect(original)) as theirs:
        (health,) = ours.execute("PRAGMA integrity_check").fetchone()
        if health != "ok":
            raise BadCopy(f"{copy} is damaged: {health}")
        if count_rows(ours) != count_rows(theirs):
            raise BadCopy(f"{copy} has {count_rows(ours)} rows, {original} has {count_rows(theirs)}")
        checksum = digest(ours)
        if checksum != digest(theirs):
            raise BadCopy(f"{copy} has as many rows as {original}, but others")
    return checksum


def count_rows(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the number of rows of each table."""
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1")]
    return {table: connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0] for table in tables}


def digest(connection: sqlite3.Connection) -> str:
    """Return the SHA-256 of everything in the database, whatever the layout of its pages."""
    content = hashlib.sha256()
    for statement in connection.iterdump():
        content.update(statement.encode())
    return content.hexdigest()
