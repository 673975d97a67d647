"""One database with its connections: reads, and writes that are made as a whole or not at all.

`read` and `write` take a function that gets a connection inside of a transaction. A write is repeated when the database
gave it up in favour of another one; it may therefore run more than once, and changes nothing but the database. All
errors of the drivers come out as a StoreError.

SQLite has one writer. Writes of this process queue up in order; those of other processes wait for `BUSY_SECONDS`.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, Engine, ExceptionContext, Executable, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from rota.errors import StoreError, StoreRefused, StoreUnavailable
from rota.store.address import StoreAddress
from rota.store.column_types import decoded, encoded
from rota.store.database_faults import explained, is_conflict

T = TypeVar("T")
Record: TypeAlias = dict[str, Any]
"""A row by the names of its columns."""
Act = Callable[[AsyncConnection], Awaitable[T]]

BUSY_SECONDS: Final = 10
CONNECT_SECONDS: Final = 5
BREATH_SECONDS: Final = 0.12
LOOK_SECONDS: Final = 0.005
LIMIT_SECONDS: Final = 30.0
"""The time limit of one read or write, so that a server that does not answer cannot hold up its caller for ever."""
TRIES: Final = 5
PAUSE_SECONDS: Final = 0.02
_FILE_MODE = "rw"
_WRITES, _STEP = "rota_writes", "rota_step"


@dataclass(slots=True)
class _Step:
    """Whether a transaction is within a statement."""

    busy: bool = False


class Database:
    """A database of any kind. Close it with `aclose`."""

    def __init__(self, address: StoreAddress) -> None:
        self.address = address
        self._engine = _engine(address)
        self._writer = asyncio.Lock() if address.dialect == "sqlite" else nullcontext()

    def create(self) -> "Database":
        """Make the file of an SQLite store if there is none. Another database has to be there. Returns itself."""
        if self.dialect == "sqlite":
            _prepare_file(self.address)
        return self

    @property
    def dialect(self) -> str:
        """Return `sqlite`, `postgresql` or `mysql`."""
        return self.address.dialect

    async def aclose(self) -> None:
        """Close all connections."""
        await self._engine.dispose()

    async def read(self, act: Act[T], *, limit: float | None = LIMIT_SECONDS, snapshot: bool = False) -> T:
        """Run a function that reads. With `snapshot`, all of its statements see the database at one moment."""
        options: dict[str, Any] = {}
        if snapshot and self.dialect != "sqlite":  # in SQLite each transaction is a snapshot
            options["isolation_level"] = "REPEATABLE READ"
        return await self._attempt(act, options, limit)

    async def breathe(self) -> None:
        """Let other processes write between the parts of a long operation. They ask for SQLite's lock every 100 ms."""
        if self.dialect == "sqlite":
            await asyncio.sleep(BREATH_SECONDS)

    async def write(self, act: Act[T], *, limit: float | None = LIMIT_SECONDS) -> T:
        """Run a function that reads and writes, and commit what it wrote. An error undoes all of it."""
        async with self._writer:
            for number in range(1, TRIES):
                try:
                    return await self._attempt(act, {_WRITES: True}, limit)
                except StoreUnavailable as error:
                    if not is_conflict(error.__cause__ or error):
                        raise
                    await asyncio.sleep(number * PAUSE_SECONDS)  # the other transaction takes its locks meanwhile
            return await self._attempt(act, {_WRITES: True}, limit)

    async def _attempt(self, act: Act[T], options: dict[str, Any], limit: float | None) -> T:
        if self.dialect != "sqlite":
            return await self._transact(act, options, limit)
        # A connection whose task is cancelled within a statement keeps the file locked. So a statement goes on to its
        # end, and then the transaction is cancelled.
        step = _Step()
        running = asyncio.ensure_future(self._transact(act, {**options, _STEP: step}, limit))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            while step.busy and not running.done():
                await asyncio.wait({running}, timeout=LOOK_SECONDS)
            running.cancel()
            await asyncio.wait({running})
            if not running.cancelled():
                running.exception()  # nothing else asks for it
            raise

    async def _transact(self, act: Act[T], options: dict[str, Any], limit: float | None) -> T:
        committing = False
        try:
            async with asyncio.timeout(limit), self._engine.connect() as connection:
                await connection.execution_options(**options)
                async with connection.begin() as transaction:
                    result = await act(connection)
                    committing = _WRITES in options
                    await transaction.commit()
                    return result
        except StoreError:
            raise
        except (SQLAlchemyError, OSError, EOFError) as error:
            raise explained(error, self.address, maybe_applied=committing) from error


async def records(connection: AsyncConnection, query: Executable) -> list[Record]:
    """Return the rows of a query."""
    return [{str(name): value for name, value in row.items()} for row in (await connection.execute(query)).mappings()]


def _engine(address: StoreAddress) -> AsyncEngine:
    options: dict[str, Any] = {"json_serializer": encoded, "json_deserializer": decoded}
    if address.dialect == "sqlite":
        # A missing file is an error here, because only `create` makes one.
        url = address.url.set(database=f"file:{quote(str(address.file))}", query={"mode": _FILE_MODE, "uri": "true"})
        engine = create_async_engine(url, connect_args={"timeout": BUSY_SECONDS}, **options)
        _listen_sqlite(engine.sync_engine)
        return engine
    if address.dialect == "mysql":  # the driver logs each note of the server, such as that it ignores a name
        logging.getLogger("asyncmy").setLevel(logging.ERROR)
    return create_async_engine(
        address.url,
        connect_args={"connect_timeout": CONNECT_SECONDS},
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        pool_timeout=CONNECT_SECONDS,
        **options,
    )


def _prepare_file(address: StoreAddress) -> None:
    """Make the folder and the file of an SQLite store. Only its user may read it, because payloads are in it."""
    try:
        address.file.parent.mkdir(parents=True, exist_ok=True)
        if not address.file.exists():
            _create_file(address.file)
    except OSError as error:
        raise StoreRefused(
            f"The store {address} cannot be created ({error.strerror}). Name a folder that this user may write to in "
            "ROTA_STORE."
        ) from error


def _create_file(file: Path) -> None:
    """Make an empty database with a write-ahead log, so that readers and the writer do not wait for each other.

    The file gets its name when it is complete. To change the mode of a file that other processes open meanwhile would
    fail in one of them.
    """
    draft = file.with_name(f"{file.name}.{os.getpid()}-{secrets.token_hex(4)}")
    os.close(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600))
    try:
        with contextlib.closing(sqlite3.connect(draft)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        try:
            os.link(draft, file)
        except FileExistsError:  # another process was faster
            return
        except OSError:  # a file system without links, where a process that is as fast could lose its first edit
            if not file.exists():
                draft.rename(file)
    finally:
        draft.unlink(missing_ok=True)


def _listen_sqlite(engine: Engine) -> None:
    """Begin transactions here instead of in the driver, which would begin them too late to lock out other writers."""

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:  # pyright: ignore[reportUnusedFunction]
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    def note(connection: Connection | None, *, busy: bool) -> None:
        if connection is not None and (step := connection.get_execution_options().get(_STEP)) is not None:
            step.busy = busy

    @event.listens_for(engine, "before_cursor_execute")
    def _before(connection: Connection, *_: object) -> None:  # pyright: ignore[reportUnusedFunction]
        note(connection, busy=True)

    @event.listens_for(engine, "after_cursor_execute")
    def _after(connection: Connection, *_: object) -> None:  # pyright: ignore[reportUnusedFunction]
        note(connection, busy=False)

    @event.listens_for(engine, "handle_error")
    def _failed(context: ExceptionContext) -> None:  # pyright: ignore[reportUnusedFunction]
        note(context.connection, busy=False)
