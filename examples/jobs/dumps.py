"""How each kind of database is copied to one file, and brought back from it.

| kind | file | copy | restore |
|---|---|---|---|
| SQLite | `.sqlite3` | the backup API, then an integrity check | the backup API, one transaction |
| PostgreSQL | `.dump` | `pg_dump`, custom format | `pg_restore`, one transaction |
| MySQL, MariaDB | `.sql.gz` | `mariadb-dump` or `mysqldump`, one snapshot | the client program, no transaction |
"""

import gzip
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from examples.jobs.programs import chunks_of, find_program, read_from, write_to
from examples.jobs.settings import JobRefused
from examples.jobs.whole_file import Unfinished


class DamagedCopy(Exception):
    """A copy of a database is not whole."""


@dataclass(frozen=True, slots=True)
class DumpFormat:
    """One kind of database: the ending of its backups, and the two ways."""

    suffix: str
    dump: Callable[[URL, Unfinished], None]
    restore: Callable[[URL, Path], None]


def dump_format(url: URL) -> DumpFormat:
    """Return how the database of a URL is copied. Raises JobRefused for a kind that is not known."""
    kind = url.get_backend_name()
    if kind not in _FORMATS:
        raise JobRefused(f"A database of the kind {kind!r} cannot be copied. Known: {', '.join(sorted(_FORMATS))}.")
    return _FORMATS[kind]


def read_url(text: str) -> URL:
    """Parse the URL of a database. The error does not repeat the URL, which may hold a password."""
    try:
        return make_url(text)
    except ArgumentError:
        raise JobRefused("A URL in JOBS_DATABASES is not valid: write kind://user:password@host:port/name.") from None


def _dump_sqlite(url: URL, target: Unfinished) -> None:
    # One step of all pages: a copy in smaller steps begins anew whenever another process writes in between.
    with closing(_open_sqlite(url, "ro")) as source, closing(sqlite3.connect(target.path)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # so that the copy is one file
        check_sqlite(copy)


def _restore_sqlite(url: URL, backup: Path) -> None:
    with closing(sqlite3.connect(f"file:{backup}?mode=ro&immutable=1", uri=True)) as source:
        check_sqlite(source)
        with closing(_open_sqlite(url, "rwc")) as target:
            source.backup(target)


def check_sqlite(connection: sqlite3.Connection) -> None:
    """Raise DamagedCopy unless SQLite finds the whole database in order."""
    (health,) = connection.execute("PRAGMA integrity_check").fetchone()
    if health != "ok":
        raise DamagedCopy(f"The copy is damaged: {health}")


def _open_sqlite(url: URL, mode: str) -> sqlite3.Connection:
    if not url.database or url.database == ":memory:":
        raise JobRefused("The URL of the SQLite database names no file.")
    path = Path(url.database).absolute()
    try:
        return sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True, timeout=60)
    except sqlite3.OperationalError as error:
        raise JobRefused(f"{path} cannot be opened: {error}.") from None


def _dump_postgres(url: URL, target: Unfinished) -> None:
    command = [find_program("pg_dump"), "--format=custom", "--no-password", "--lock-wait-timeout=60s", _dsn(url)]
    read_from(command, _postgres_secrets(url), target.file.write)


def _restore_postgres(url: URL, backup: Path) -> None:
    options = ("--clean", "--if-exists", "--no-owner", "--no-password", "--single-transaction", "--exit-on-error")
    command = [find_program("pg_restore"), *options, f"--dbname={_dsn(url)}"]
    with backup.open("rb") as file:
        write_to(command, _postgres_secrets(url), chunks_of(file))


def _dsn(url: URL) -> str:
    # Everyone on the machine can read the arguments of a program, so the password is not among them.
    parts = URL.create("postgresql", url.username, None, url.host, url.port, url.database, url.query)
    return parts.render_as_string()


def _postgres_secrets(url: URL) -> dict[str, str]:
    return {"PGPASSWORD": str(url.password)} if url.password is not None else {}


def _dump_mysql(url: URL, target: Unfinished) -> None:
    options = ("--single-transaction", "--quick", "--routines", "--events", "--triggers", "--hex-blob")
    command = [find_program("mariadb-dump", "mysqldump"), *options, "--no-tablespaces", *_mysql_target(url)]
    with gzip.GzipFile(filename="", mode="wb", fileobj=target.file, mtime=0) as packed:
        read_from(command, _mysql_secrets(url), packed.write)


def _restore_mysql(url: URL, backup: Path) -> None:
    command = [find_program("mariadb", "mysql"), "--batch", *_mysql_target(url)]
    with gzip.open(backup, "rb") as file:
        write_to(command, _mysql_secrets(url), chunks_of(file))


def _mysql_target(url: URL) -> list[str]:
    socket = url.query.get("unix_socket")
    options = {"--host=": url.host, "--port=": url.port, "--user=": url.username, "--socket=": socket}
    return [*(f"{option}{value}" for option, value in options.items() if value), "--", str(url.database or "")]


def _mysql_secrets(url: URL) -> dict[str, str]:
    return {"MYSQL_PWD": str(url.password)} if url.password is not None else {}


_MYSQL = DumpFormat(".sql.gz", _dump_mysql, _restore_mysql)
_FORMATS = {
    "sqlite": DumpFormat(".sqlite3", _dump_sqlite, _restore_sqlite),
    "postgresql": DumpFormat(".dump", _dump_postgres, _restore_postgres),
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
}
