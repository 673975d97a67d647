"""Clean-up by age: files of a folder, rows of a table."""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import BigInteger, Column, Date, DateTime, Integer, MetaData, String, Table, insert, select
from sqlalchemy.engine import URL, make_url

from examples.jobs import app
from examples.jobs.cleanup import clean_files, clean_rows
from examples.jobs.engine import connected
from examples.jobs.settings import JobRefused
from rota import PayloadError
from rota.testing import run_inline_sync
from tests.servers.databases import DatabaseServer

Configure = Callable[..., dict[str, str]]
DAY = 86_400
MONTH = timedelta(days=30)


@pytest.fixture
def folder(configure: Configure, tmp_path: Path) -> Path:
    root = tmp_path / "cache"
    (root / "below").mkdir(parents=True)
    configure(folders={"cache": root})
    for name, days in (("old.tmp", 40), ("new.tmp", 1), ("old.txt", 40), ("below/old.tmp", 40)):
        touch(root / name, days)
    return root


def touch(path: Path, days: float) -> None:
    path.write_bytes(b"1234")
    os.utime(path, (time.time() - days * DAY,) * 2)


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def test_only_old_files_that_match_are_removed(folder: Path) -> None:
    found = run_inline_sync(app, clean_files.plan("cache", "*.tmp", MONTH))

    assert found == {"files": 1, "bytes": 4}
    assert names(folder) == {"new.tmp", "old.txt", "below/old.tmp"}


def test_folders_below_are_cleaned_where_asked_and_stay(folder: Path) -> None:
    assert run_inline_sync(app, clean_files.plan("cache", "*.tmp", MONTH, recursive=True))["files"] == 2
    assert run_inline_sync(app, clean_files.plan("cache", "*.tmp", MONTH, recursive=True))["files"] == 0

    assert names(folder) == {"new.tmp", "old.txt"}
    assert (folder / "below").is_dir()


def test_dry_run_counts_and_removes_nothing(folder: Path) -> None:
    before = names(folder)

    assert run_inline_sync(app, clean_files.plan("cache", "*", MONTH, recursive=True, dry_run=True))["files"] == 3

    assert names(folder) == before


def test_what_a_link_points_to_stays(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    touch(tmp_path / "other" / "precious.tmp", 40)
    (folder / "link.tmp").symlink_to(tmp_path / "other" / "precious.tmp")
    (folder / "linked").symlink_to(tmp_path / "other")
    for link in (folder / "link.tmp", folder / "linked"):
        os.utime(link, (0, 0), follow_symlinks=False)

    run_inline_sync(app, clean_files.plan("cache", "*.tmp", MONTH, recursive=True))

    assert (tmp_path / "other" / "precious.tmp").exists()
    assert not (folder / "link.tmp").is_symlink()


@pytest.mark.parametrize("path", ["cache/../..", "cache/linked", "elsewhere", "/etc"])
def test_folder_outside_of_the_settings_is_refused(folder: Path, tmp_path: Path, path: str) -> None:
    (folder / "linked").symlink_to(tmp_path)

    with pytest.raises(JobRefused):
        run_inline_sync(app, clean_files.plan(path, "*", MONTH))


# Rows


def sqlite(path: Path) -> URL:
    return make_url(f"sqlite:///{path}/shop.sqlite3")


def fill(url: URL, kind: Any, times: list[Any]) -> None:
    """Make the table `events`, with a key of two columns and these times."""
    table = Table(
        "events",
        MetaData(),
        Column("shop", String(20), primary_key=True),
        Column("number", Integer, primary_key=True),
        Column("at", kind),
    )
    with connected(url) as connection:
        table.metadata.create_all(connection)
        connection.execute(insert(table), [{"shop": "a", "number": n, "at": at} for n, at in enumerate(times)])
        connection.commit()


def left(url: URL) -> list[int]:
    table = Table("events", MetaData(), Column("number", Integer))
    with connected(url) as connection:
        return list(connection.execute(select(table.c.number).order_by(table.c.number)).scalars())


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


KINDS = {
    "a time without zone": (DateTime(), lambda at: at.replace(tzinfo=None)),
    "a time with zone": (DateTime(timezone=True), lambda at: at),
    "a date": (Date(), lambda at: at.date()),
    "Unix seconds": (BigInteger(), lambda at: int(at.timestamp())),
}
TEXTS = {
    "text with T and zone": (String(40), lambda at: at.isoformat()),
    "text with a space": (String(40), lambda at: at.strftime("%Y-%m-%d %H:%M:%S")),
}


def check_rows(url: URL, configure: Configure, kind: Any, form: Callable[[datetime], Any]) -> None:
    now = datetime.now(UTC)
    ages = [MONTH * 3, MONTH + timedelta(days=1), MONTH - timedelta(days=1), timedelta(0)]
    fill(url, kind, [form(now - age) for age in ages] + [None])
    configure(databases={"shop": url.render_as_string(hide_password=False)}, purge={"shop.events": "at"})

    assert run_inline_sync(app, clean_rows.plan("shop.events", MONTH)) == 2
    assert run_inline_sync(app, clean_rows.plan("shop.events", MONTH)) == 0

    assert left(url) == [2, 3, 4]


@pytest.mark.parametrize("kind", [*KINDS, *TEXTS])
def test_old_rows_are_deleted_whatever_holds_their_time(configure: Configure, tmp_path: Path, kind: str) -> None:
    check_rows(sqlite(tmp_path), configure, *{**KINDS, **TEXTS}[kind])


@pytest.fixture(params=["postgres_server", "mariadb_server"])
def server_url(request: pytest.FixtureRequest) -> URL:
    server: DatabaseServer = request.getfixturevalue(request.param)
    return make_url(server.new_database())


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_old_rows_of_a_server_are_deleted(server_url: URL, configure: Configure, kind: str) -> None:
    check_rows(server_url, configure, *KINDS[kind])


def test_batches_are_transactions_of_their_own(configure: Configure, tmp_path: Path) -> None:
    """The third batch fails, and the first two stay deleted; the next run goes on."""
    fill(sqlite(tmp_path), BigInteger(), [0] * 10)
    configure(databases={"shop": str(sqlite(tmp_path))}, purge={"shop.events": "at"})
    with closing(sqlite3.connect(tmp_path / "shop.sqlite3")) as connection, connection:
        connection.execute(
            "CREATE TRIGGER guard BEFORE DELETE ON events WHEN OLD.number = 7 BEGIN SELECT RAISE(ABORT, 'kept'); END"
        )

    with pytest.raises(Exception, match="kept"):
        run_inline_sync(app, clean_rows.plan("shop.events", MONTH, batch=3))
    assert left(sqlite(tmp_path)) == [6, 7, 8, 9]

    with closing(sqlite3.connect(tmp_path / "shop.sqlite3")) as connection, connection:
        connection.execute("DROP TRIGGER guard")
    assert run_inline_sync(app, clean_rows.plan("shop.events", MONTH, batch=3)) == 4


@pytest.mark.parametrize("table", ["shop.customers", "shop.events; DROP TABLE events", "events", "other.events"])
def test_table_that_the_settings_do_not_name_is_refused(configure: Configure, tmp_path: Path, table: str) -> None:
    configure(databases={"shop": str(sqlite(tmp_path))}, purge={"shop.events": "at"})

    with pytest.raises(JobRefused, match=r"It allows: shop\.events"):
        run_inline_sync(app, clean_rows.plan(table, MONTH))


def test_settings_that_do_not_fit_the_database_are_refused(configure: Configure, tmp_path: Path) -> None:
    configure(databases={"shop": str(sqlite(tmp_path))}, purge={"shop.events": "when", "shop.none": "at"})
    fill(sqlite(tmp_path), BigInteger(), [0])

    with pytest.raises(JobRefused, match="no column 'when'"):
        run_inline_sync(app, clean_rows.plan("shop.events", MONTH))
    with pytest.raises(JobRefused, match="no table 'none'"):
        run_inline_sync(app, clean_rows.plan("shop.none", MONTH))


def test_batch_of_no_rows_is_refused_before_it_runs(configure: Configure) -> None:
    with pytest.raises(PayloadError, match="greater than or equal to 1"):
        run_inline_sync(app, clean_rows.plan("shop.events", MONTH, batch=0))
