"""Connections of the jobs to SQL databases."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

_DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql"}


@contextmanager
def connected(url: URL, *, read_only: bool = False) -> Iterator[Connection]:
    """Give a connection to the block, and close it after."""
    kind = url.get_backend_name()
    if url.drivername == kind and kind in _DRIVERS:
        url = url.set(drivername=_DRIVERS[kind])
    if kind == "sqlite" and url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            if read_only:
                _forbid_writes(connection, kind)
            yield connection
    finally:
        engine.dispose()


def _forbid_writes(connection: Connection, kind: str) -> None:
    if kind == "sqlite":
        connection.exec_driver_sql("PRAGMA query_only = ON")
    elif kind == "postgresql":
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
    else:
        connection.exec_driver_sql("SET SESSION TRANSACTION READ ONLY")
        connection.rollback()  # the setting holds from the next transaction on
