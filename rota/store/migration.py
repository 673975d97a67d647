"""Brings the tables of a store to the revision that this version of Rota needs.

1. `check` compares the revision in the database with the known ones, and raises an error that says what to do.
2. `upgrade` takes a lock in the database, so that of several processes that start at once one migrates and the others
   wait, and then find nothing to do. It looks at the revision again after it has the lock.
3. SQLite and PostgreSQL make all steps in one transaction. MariaDB and MySQL commit each statement by itself, so a
   revision skips what exists, and an interrupted upgrade is repeated from its last whole revision.

Alembic is loaded only to migrate. Its own files (`alembic.ini`, `env.py`) are not needed.
"""

import io
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from rota.errors import ConfigError, StoreSchemaError, StoreUnavailable
from rota.store.database import Database
from rota.store.edits import ANCHOR
from rota.store.migrations import REVISIONS
from rota.store.tables import counters

if TYPE_CHECKING:
    from alembic.config import Config

logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)  # it logs each part of itself at its import

_VERSION_TABLE: Final = "rota_revision"
_LOCK: Final = 7_682_001
"""The number of the advisory lock of PostgreSQL; any number that other programs are unlikely to use."""
_LOCK_NAME: Final = "rota_store_upgrade"
_LOCK_SECONDS: Final = 60
COUNTERS: Final = ("revision", "audit", ANCHOR, "runs", "metrics", "scheduler")
"""The rows of the table of counters. Those that are missing are added after an upgrade and after a load."""

_revision = Table(_VERSION_TABLE, MetaData(), Column("version_num", String(32)))


async def revision_of(database: Database) -> str | None:
    """Return the revision of the tables in the database; None if there are none."""
    if database.dialect == "sqlite" and not database.address.file.exists():
        return None
    return await database.read(_read_revision)


async def check(database: Database) -> None:
    """Raise StoreSchemaError unless the tables fit this version of Rota."""
    found = await revision_of(database)
    if found is None:
        raise StoreSchemaError(f"The store {database.address} has no tables of Rota. Run `rota store upgrade`.")
    _refuse_newer(found, database)
    if found != REVISIONS[-1]:
        raise StoreSchemaError(
            f"The store {database.address} is at revision {found}, and this version of Rota needs {REVISIONS[-1]}. Run "
            "`rota store upgrade`; `rota store sql` shows its statements."
        )


async def upgrade(database: Database, target: str = REVISIONS[-1]) -> tuple[str | None, str]:
    """Migrate to a revision, by default the newest one. Returns the revisions before and after."""
    found = await revision_of(database)
    if found is not None:
        _refuse_newer(found, database)
    if found == target:
        return found, target
    database.create()

    async def migrate(connection: AsyncConnection) -> tuple[str | None, str]:
        await _lock(connection, database)
        end = "ROLLBACK"
        try:
            before = await _read_revision(connection)
            if before is None or before < target:
                await connection.run_sync(_run, target)
            end = "COMMIT"
            return before, max(before or "", target)
        finally:
            await _unlock(connection, database, end)

    return await database.write(migrate, limit=None)


async def statements(database: Database, since: str | None = None) -> str:
    """Return the SQL of an upgrade from a revision, by default from that of the database. It is empty if none is due.

    `base` is the revision of an empty database.
    """
    found = since or await revision_of(database) or "base"
    if found not in ("base", *REVISIONS):
        raise ConfigError(f"There is no revision {found!r}. Known: base, {', '.join(REVISIONS)}.")
    if found == REVISIONS[-1]:
        return ""
    output = io.StringIO()

    def configure(context: Any) -> None:
        context.configure(
            dialect_name=database.dialect,
            as_sql=True,
            output_buffer=output,
            version_table=_VERSION_TABLE,
            dialect_opts={"paramstyle": "named"},
            starting_rev=found,
        )

    _run_steps(configure, REVISIONS[-1], starting_rev=found, as_sql=True)
    return output.getvalue()


def _refuse_newer(found: str, database: Database) -> None:
    if found not in REVISIONS:
        raise StoreSchemaError(
            f"The store {database.address} is at revision {found}, which is newer than this version of Rota (it knows "
            f"up to {REVISIONS[-1]}). Install the newer version of Rota here too."
        )


async def _read_revision(connection: AsyncConnection) -> str | None:
    if not await connection.run_sync(lambda sync: inspect(sync).has_table(_VERSION_TABLE)):
        return None
    return (await connection.execute(select(_revision.c.version_num))).scalar()


async def _lock(connection: AsyncConnection, database: Database) -> None:
    if database.dialect == "postgresql":  # released at the end of the transaction
        await connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'"))
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    elif database.dialect == "mysql":
        got = (await connection.execute(text(f"SELECT GET_LOCK('{_LOCK_NAME}', {_LOCK_SECONDS})"))).scalar()
        if got != 1:
            raise StoreUnavailable(
                f"The store {database.address} is being upgraded by another process for more than {_LOCK_SECONDS} s. "
                "Wait for it, or end it, and try again."
            )


async def _unlock(connection: AsyncConnection, database: Database, end: str) -> None:
    if database.dialect == "mysql":
        # MySQL's lock belongs to the session. If it were freed before the commit, another process would run the last
        # revision again.
        await connection.execute(text(end))
        await connection.execute(text(f"SELECT RELEASE_LOCK('{_LOCK_NAME}')"))


def _run(connection: Connection, target: str) -> None:
    def configure(context: Any) -> None:
        context.configure(connection=connection, version_table=_VERSION_TABLE)

    _run_steps(configure, target)
    start_counters(connection)


def start_counters(connection: Connection) -> None:
    """Add the counters that are missing."""
    known = set(connection.execute(select(counters.c.name)).scalars())
    missing = [{"name": name, "value": 0, "hash": ""} for name in COUNTERS if name not in known]
    if missing:
        connection.execute(counters.insert(), missing)


def _run_steps(configure: Callable[[Any], None], target: str, **options: Any) -> None:
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = _config()
    scripts = ScriptDirectory.from_config(config)

    def steps(revision: Any, _context: object) -> Any:
        return scripts._upgrade_revs(target, revision)  # pyright: ignore[reportPrivateUsage]  # as Alembic's command does

    with EnvironmentContext(config, scripts, fn=steps, destination_rev=target, **options) as context:
        configure(context)
        with context.begin_transaction():
            context.run_migrations()


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "rota.store:migrations")
    config.set_main_option("path_separator", "os")
    return config
