"""The address of a store: what `ROTA_STORE` may say, and the driver that serves it.

`sqlite:///folder/file.db` (relative) or `sqlite:////folder/file.db` (absolute), `postgresql://user:password@host/name`,
and `mysql://...` or `mariadb://...`. Rota chooses the driver. Options after `?` go to the driver, such as
`sslmode=require` to PostgreSQL.
"""

import importlib.util
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from rota.core.text import did_you_mean
from rota.errors import ConfigError
from rota.settings.origin import masked_store

DEFAULT_STORE = "sqlite:///.rota/rota.db"

_DRIVERS = {
    "sqlite": ("sqlite+aiosqlite", "aiosqlite", "store"),
    "postgresql": ("postgresql+psycopg", "psycopg", "postgres"),
    "postgres": ("postgresql+psycopg", "psycopg", "postgres"),
    "mysql": ("mysql+asyncmy", "asyncmy", "mysql"),
    "mariadb": ("mysql+asyncmy", "asyncmy", "mysql"),
}
"""For each scheme: the dialect of SQLAlchemy, the module that it needs, and the extra that installs it."""


@dataclass(frozen=True)
class StoreAddress:
    """The address of a store. Its text shows no password."""

    url: URL

    @cached_property
    def dialect(self) -> str:
        """Return `sqlite`, `postgresql` or `mysql`."""
        return self.url.get_backend_name()

    @property
    def file(self) -> Path:
        """Return the file of an SQLite store."""
        return Path(self.url.database or "")

    def __str__(self) -> str:
        if self.dialect == "sqlite":
            return str(self.file)
        return masked_store(self.url.set(drivername=self.dialect).render_as_string(hide_password=True))

    __repr__ = __str__


def read_address(text: str) -> StoreAddress:
    """Read the URL of a store. Raises ConfigError if it is wrong, or if its driver is not installed."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigError(
            f"The store is {masked_store(text)!r}, which is not a URL. Write {DEFAULT_STORE}, or "
            "postgresql://user:password@host/database."
        ) from None
    scheme, _, driver = url.drivername.partition("+")
    if scheme not in _DRIVERS:
        raise ConfigError(f"The store is {masked_store(text)!r}, but there is no store {scheme!r}. {_near(scheme)}")
    dialect, module, extra = _DRIVERS[scheme]
    if driver not in ("", dialect.partition("+")[2]):
        raise ConfigError(f"The store names the driver {driver!r}, but Rota chooses the driver: write {scheme}://.")
    if importlib.util.find_spec(module) is None:
        raise ConfigError(f"A {scheme} store needs {module}, which is not installed: pip install 'rota[{extra}]'")
    _check_database(url, scheme)
    return StoreAddress(url.set(drivername=dialect))


def _near(scheme: str) -> str:
    return did_you_mean(scheme, ("sqlite", "postgresql", "mysql", "mariadb"))


def _check_database(url: URL, scheme: str) -> None:
    if scheme == "sqlite":
        if url.host or url.username:
            raise ConfigError(
                f"The store names the host {url.host!r}, but SQLite is a file: sqlite:///folder/file.db has three "
                "slashes, and a path from the root has four."
            )
        if not url.database or url.database == ":memory:":
            raise ConfigError(f"The store names no file. Write {DEFAULT_STORE}, for example.")
    elif not url.database:
        raise ConfigError(f"The store names no database. Write {scheme}://user:password@host/database.")
