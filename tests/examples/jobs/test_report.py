"""Reports from SQL queries, as CSV and as a page."""

import csv
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from examples.jobs import app
from examples.jobs.engine import connected
from examples.jobs.report import TooManyRows, build
from examples.jobs.settings import JobRefused
from rota import PayloadError
from rota.testing import run_inline_sync
from tests.servers.databases import DatabaseServer

Configure = Callable[..., dict[str, str]]


@pytest.fixture
def reports(configure: Configure, tmp_path: Path) -> Path:
    queries = tmp_path / "queries"
    queries.mkdir()
    (queries / "sales.sql").write_text("SELECT name, amount FROM sales WHERE amount > :least ORDER BY amount;\n")
    (queries / "delete.sql").write_text("DELETE FROM sales RETURNING name")
    (queries / "broken.sql").write_text("SELECT FROM")
    with closing(sqlite3.connect(tmp_path / "shop.sqlite3")) as connection, connection:
        connection.execute("CREATE TABLE sales (name TEXT, amount REAL)")
        rows = [("plain", 1), ("<b>bold</b> & 'co'", 2.5), ("=HYPERLINK(1)", 3), ('a,"b"\nc', 4), (None, 5)]
        connection.executemany("INSERT INTO sales VALUES (?, ?)", rows)
    configure(
        queries=str(queries),
        databases={"shop": f"sqlite:///{tmp_path}/shop.sqlite3"},
        folders={"reports": tmp_path / "reports"},
    )
    return tmp_path / "reports"


def run(query: str = "sales", **arguments: object) -> dict[str, int]:
    words = {"parameters": {"least": 0}, **arguments}
    return run_inline_sync(app, build.plan(query, "shop", "reports", **words))  # type: ignore[arg-type]


def test_report_has_the_rows_of_the_query(reports: Path) -> None:
    assert run() == {"sales.csv": 5, "sales.html": 5}

    with (reports / "sales.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["name", "amount"]
    assert rows[1:3] == [["plain", "1.0"], ["<b>bold</b> & 'co'", "2.5"]]
    assert rows[4:] == [['a,"b"\nc', "4.0"], ["", "5.0"]]
    page = (reports / "sales.html").read_text(encoding="utf-8")
    assert page.count("<tr>") == 6
    assert "<td>&lt;b&gt;bold&lt;/b&gt; &amp; &#x27;co&#x27;" in page
    assert re.search(r"5 rows, \d{4}-\d\d-\d\d", page)


def test_text_that_a_spreadsheet_would_run_is_made_harmless(reports: Path) -> None:
    run(formats=["csv"])

    assert "'=HYPERLINK(1),3.0" in (reports / "sales.csv").read_text()


def test_parameters_are_values_and_not_sql(reports: Path) -> None:
    assert run(parameters={"least": 3}) == {"sales.csv": 2, "sales.html": 2}
    assert run(parameters={"least": "0 OR 1=1"}) == {"sales.csv": 0, "sales.html": 0}
    for parameters in ({}, {"least": 1, "other": 2}):
        with pytest.raises(JobRefused, match="It takes: least"):
            run(parameters=parameters)


def test_second_run_replaces_the_files(reports: Path) -> None:
    run(name="monday")
    run(name="monday", parameters={"least": 4}, formats=["html"])

    assert sorted(path.name for path in reports.iterdir()) == ["monday.csv", "monday.html"]
    assert "1 row," in (reports / "monday.html").read_text()


def test_query_can_only_read(reports: Path, tmp_path: Path) -> None:
    with pytest.raises(DBAPIError, match="readonly"):
        run("delete", parameters={})

    with closing(sqlite3.connect(tmp_path / "shop.sqlite3")) as connection:
        assert connection.execute("SELECT count(*) FROM sales").fetchone() == (5,)


def test_failure_leaves_the_files_of_the_last_run(reports: Path) -> None:
    run()
    before = (reports / "sales.csv").read_bytes()

    with pytest.raises(TooManyRows, match="more than 4 rows"):
        run(max_rows=4)
    with pytest.raises(DBAPIError):
        run("broken", parameters={}, name="sales")

    assert (reports / "sales.csv").read_bytes() == before
    assert sorted(path.name for path in reports.iterdir()) == ["sales.csv", "sales.html"]


@pytest.mark.parametrize("query", ["none", "../sales", "sales.sql", ""])
def test_query_that_the_administrator_did_not_write_is_refused(reports: Path, query: str) -> None:
    with pytest.raises(JobRefused, match="It has: broken, delete, sales"):
        run(query)


@pytest.mark.parametrize("words", [{"formats": []}, {"formats": ["pdf"]}, {"max_rows": 0}])
def test_wrong_argument_is_refused(reports: Path, words: dict[str, object]) -> None:
    with pytest.raises(PayloadError):
        run(**words)
    with pytest.raises(JobRefused, match="plain name"):
        run(name="../evil")


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgres_server", "mariadb_server"])
def test_report_on_a_server_can_only_read(
    request: pytest.FixtureRequest, server: str, configure: Configure, tmp_path: Path
) -> None:
    database: DatabaseServer = request.getfixturevalue(server)
    url = database.new_database()
    writing = "CREATE TABLE report_made_this (number INTEGER)"
    if database.scheme == "postgresql":
        with connected(make_url(url)) as connection:
            connection.exec_driver_sql("CREATE SEQUENCE counted")
            connection.commit()
        writing = "SELECT nextval('counted')"
    (tmp_path / "few.sql").write_text("SELECT :first AS number UNION ALL SELECT 2")
    (tmp_path / "make.sql").write_text(writing)
    configure(queries=str(tmp_path), databases={"main": url}, folders={"reports": tmp_path / "reports"})

    made = run_inline_sync(app, build.plan("few", "main", "reports", parameters={"first": 1}))
    with pytest.raises(DBAPIError, match=r"(?i)read.only transaction"):
        run_inline_sync(app, build.plan("make", "main", "reports"))

    assert made == {"few.csv": 2, "few.html": 2}
    assert sorted((tmp_path / "reports" / "few.csv").read_text().splitlines()) == ["1", "2", "number"]
