"""Column types that mean the same on SQLite, PostgreSQL and MariaDB/MySQL.

The migrations use these types too, so a change of one of them here is a change of the schema: it needs a migration.

- Times are aware and in UTC, to the microsecond. SQLite has no type for them and keeps text, which sorts by time.
- Text is compared by its characters, as written: `Report` and `report` are two names in each database.
- A value that cannot be read, because a row was changed by hand, becomes `Unreadable`. It fails its own row alone.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, LargeBinary, String, Text, TypeDecorator
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeEngine

INSTANT_LENGTH = 26


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The text of a column that should hold a time or JSON, and holds something else."""

    text: str


class Instant(TypeDecorator[datetime]):
    """A time in UTC with microseconds."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type of this database for a time."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.TIMESTAMP(timezone=True, precision=6))
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(String(INSTANT_LENGTH))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Convert an aware time to what the database keeps."""
        if value is None:
            return None
        utc = value.astimezone(UTC)
        if dialect.name == "postgresql":
            return utc
        naive = utc.replace(tzinfo=None)
        return naive if dialect.name in ("mysql", "mariadb") else naive.isoformat(" ", "microseconds")

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Return the aware time."""
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                return Unreadable(value)
        if not isinstance(value, datetime):
            return None if value is None else Unreadable(str(value))
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def encoded(value: Any) -> str:
    """Return the JSON text of a value for a JSON column."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def decoded(text: str | bytes) -> Any:
    """Return the value of a JSON column; text that is not JSON becomes `Unreadable`."""
    try:
        return json.loads(text)
    except ValueError:
        return Unreadable(text if isinstance(text, str) else text.decode(errors="replace"))


def document() -> TypeEngine[Any]:
    """Return the type of a JSON column. None is SQL's NULL."""
    # Not JSONB in PostgreSQL, which makes the whole number 15000… of a float such as 1.5e300.
    return JSON(none_as_null=True)


def line(length: int) -> TypeEngine[str]:
    """Return the type of a short text that is compared and sorted by its characters."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


def long_text() -> TypeEngine[str]:
    """Return the type of a text without a limit of its own."""
    return Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")


def binary() -> TypeEngine[bytes]:
    """Return the type of bytes without a limit of its own."""
    return LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")


TABLE_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_default_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_default_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}
"""Options of every table: transactions, all of Unicode, and comparison by characters on MariaDB and MySQL."""
