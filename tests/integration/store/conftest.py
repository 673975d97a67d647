"""A store on each database: SQLite in the quick tests, PostgreSQL and MariaDB in the slow ones."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rota.store import Store, open_store

SERVERS = [pytest.param("postgres", marks=pytest.mark.slow), pytest.param("mariadb", marks=pytest.mark.slow)]


def url_on(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    """The URL of a database that was not used before."""
    if kind == "sqlite":
        return f"sqlite:///{folder}/rota.db"
    url: str = request.getfixturevalue(f"{kind}_server").new_database()
    return url


@pytest.fixture(params=["sqlite", *SERVERS])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    return url_on(request.param, request, tmp_path)


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """An empty store."""
    async with open_store(store_url, migrate=True) as opened:
        yield opened
