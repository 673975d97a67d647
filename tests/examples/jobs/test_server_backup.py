"""Backups of PostgreSQL and MariaDB databases on real servers, and the way back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from examples.jobs import app
from examples.jobs.backup import back_up, backups, restore
from examples.jobs.engine import connected
from examples.jobs.programs import ProgramFailed
from examples.jobs.settings import JobRefused
from rota.testing import run_inline_sync
from tests.servers.databases import QUOTED_PASSWORD, DatabaseServer

pytestmark = pytest.mark.slow
Configure = Callable[..., dict[str, str]]
Databases = dict[str, str]

ROWS = [(number, f"näme 'of' \\ {number}\n\t") for number in range(3000)]


@pytest.fixture(params=["postgres_server", "mariadb_server"])
def databases(request: pytest.FixtureRequest, configure: Configure, tmp_path: Path) -> Databases:
    """Two databases of one server, `shop` with rows and `empty`, and a folder for backups."""
    server: DatabaseServer = request.getfixturevalue(request.param)
    urls = {"shop": server.new_database(), "empty": server.new_database()}
    kind = "BYTEA" if server.scheme == "postgresql" else "BLOB"
    with connected(make_url(urls["shop"])) as connection:
        connection.execute(
            text(f"CREATE TABLE customers (number INTEGER PRIMARY KEY, name VARCHAR(100), picture {kind})")
        )
        insert = text("INSERT INTO customers VALUES (:number, :name, :picture)")
        connection.execute(insert, [{"number": n, "name": name, "picture": b"\x00\xff'"} for n, name in ROWS])
        connection.execute(text("CREATE VIEW few AS SELECT * FROM customers WHERE number < 10"))
        connection.commit()
    configure(databases=urls, folders={"backups": tmp_path / "backups"})
    return urls


def ask(url: str, query: str) -> list[tuple[Any, ...]]:
    with connected(make_url(url)) as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def run_backup(database: str = "shop") -> str:
    return run_inline_sync(app, back_up.options(task_id="one").plan(database, "backups"))


def test_backup_comes_back_in_an_empty_database(databases: Databases) -> None:
    name = run_backup()

    run_inline_sync(app, restore.plan("empty", "backups", name))

    assert ask(databases["empty"], "SELECT number, name FROM customers ORDER BY number") == ROWS
    assert ask(databases["empty"], "SELECT count(*) FROM few") == [(10,)]
    assert bytes(ask(databases["empty"], "SELECT picture FROM customers WHERE number = 7")[0][0]) == b"\x00\xff'"


def test_restore_replaces_what_was_changed_once_told(databases: Databases) -> None:
    run_backup()
    with connected(make_url(databases["shop"])) as connection:
        connection.execute(text("DELETE FROM customers WHERE number > 5"))
        connection.commit()

    with pytest.raises(JobRefused, match=r"overwrite=true"):
        run_inline_sync(app, restore.plan("shop", "backups"))
    for _ in range(2):
        run_inline_sync(app, restore.plan("shop", "backups", overwrite=True))

    assert ask(databases["shop"], "SELECT number, name FROM customers ORDER BY number") == ROWS


def test_program_that_fails_leaves_no_backup_and_hides_the_password(
    databases: Databases, configure: Configure, tmp_path: Path
) -> None:
    wrong = {"shop": databases["shop"].replace(QUOTED_PASSWORD, "secret")}
    configure(databases=wrong)

    with pytest.raises(ProgramFailed, match="ended with exit code") as caught:
        run_backup()

    assert "secret" not in str(caught.value)
    assert backups(tmp_path / "backups", "shop") == []
    assert [path.name for path in (tmp_path / "backups").iterdir()] == [".shop.lock"]


@pytest.mark.parametrize("databases", ["postgres_server"], indirect=True)
def test_restore_that_breaks_off_leaves_the_database_as_it_was(databases: Databases, tmp_path: Path) -> None:
    """Half of a PostgreSQL backup is refused by `pg_restore`, and its transaction is rolled back."""
    from examples.jobs.dumps import dump_format, read_url

    name = run_backup()
    half = tmp_path / "half.dump"
    whole = (tmp_path / "backups" / name).read_bytes()
    half.write_bytes(whole[: len(whole) * 2 // 3])
    url = read_url(databases["shop"])

    with pytest.raises(ProgramFailed, match="pg_restore"):
        dump_format(url).restore(url, half)

    assert ask(databases["shop"], "SELECT number, name FROM customers ORDER BY number") == ROWS
