"""The task `report:build`: a table from a SQL query, as CSV and as a page.

The query is a file of the administrator, in the folder JOBS_QUERIES. A task names it and gives values for its
parameters (`:month`), which travel apart from the SQL. The query runs in a transaction that can only read.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from annotated_types import Interval, MinLen
from sqlalchemy import Connection, Row, text

from examples.jobs.dumps import read_url
from examples.jobs.engine import connected
from examples.jobs.settings import JobRefused, JobSettings, plain_file
from examples.jobs.whole_file import whole_file
from rota import Context, Retry, Tasks
from rota.core.text import counted

tasks = Tasks()
_QUERY_NAME = re.compile(r"[A-Za-z0-9_-]+")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_BATCH = 1000
_HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; margin: 3rem auto; max-width: 72rem; padding: 0 1rem }}
  table {{ border-collapse: collapse }}
  th, td {{ border-bottom: 1px solid #ddd; padding: .3rem .8rem; text-align: left }}
  td.number {{ text-align: right; font-variant-numeric: tabular-nums }}
</style>
<h1>{title}</h1>
<table>
"""
_FOOT = "</table>\n<p>{rows}, {time}</p>\n</html>\n"


class TooManyRows(JobRefused):
    """The result of the query is longer than the task allows."""


class _Sheet(Protocol):
    """One form of the report, written row by row."""

    def head(self, columns: Iterable[str]) -> None: ...

    def row(self, values: Iterable[Any]) -> None: ...

    def foot(self, rows: int) -> None: ...


@tasks.task(
    "build",
    timeout="30m",
    retention="7d",
    retry=Retry(max=3, backoff="exponential", base="1m", never=[JobRefused]),
)
def build(
    context: Context,
    query: str,
    database: str,
    folder: str,
    name: str = "",
    parameters: dict[str, str | int | float | None] | None = None,
    formats: Annotated[list[Literal["csv", "html"]], MinLen(1)] = ["csv", "html"],  # noqa: B006 - never changed
    max_rows: Annotated[int, Interval(ge=1, le=10_000_000)] = 100_000,
) -> dict[str, int]:
    """Run a query, write its rows as `<name>.csv` and `<name>.html`, and return the names and the number of rows.

    `name` is that of the query if none is given. A second run replaces the files. More than `max_rows` rows are an
    error, and no file is written.
    """
    settings = JobSettings.read()
    sql = read_query(settings, query)
    directory = settings.folder(folder)
    targets = {form: plain_file(directory, f"{name or query}.{form}") for form in sorted(set(formats))}
    with connected(read_url(settings.database(database)), read_only=True) as connection, ExitStack() as files:
        sheets = [_open(files, form, path, name or query) for form, path in targets.items()]
        rows = 0
        for rows, row in enumerate(_rows(connection, sql, parameters or {}, sheets), 1):
            if rows > max_rows:
                raise TooManyRows(f"The query {query!r} gives more than {max_rows} rows. Narrow it, or raise max_rows.")
            if rows % _BATCH == 0:
                context.progress(rows, text=f"{rows} rows")
                context.raise_if_cancelled()
            for sheet in sheets:
                sheet.row(row)
        for sheet in sheets:
            sheet.foot(rows)
    return {path.name: rows for path in targets.values()}


def read_query(settings: JobSettings, name: str) -> str:
    """Return the SQL of a query."""
    folder = settings.queries
    if folder is None or not _QUERY_NAME.fullmatch(name) or not (folder / f"{name}.sql").is_file():
        known = sorted(path.stem for path in folder.glob("*.sql")) if folder else []
        raise JobRefused(f"JOBS_QUERIES has no query {name!r}. It has: {', '.join(known) or 'none'}.")
    return (folder / f"{name}.sql").read_text(encoding="utf-8")


def _rows(connection: Connection, sql: str, parameters: dict[str, Any], sheets: Iterable[_Sheet]) -> Iterator[Row[Any]]:
    query = text(sql.strip().removesuffix(";"))
    known = query.compile().params
    if wrong := parameters.keys() ^ known.keys():
        takes = ", ".join(sorted(known)) or "none"
        raise JobRefused(f"The parameters do not fit the query: {', '.join(sorted(wrong))}. It takes: {takes}.")
    result = connection.execution_options(yield_per=_BATCH).execute(query, parameters)
    for sheet in sheets:
        sheet.head(result.keys())
    yield from result


def _open(files: ExitStack, form: str, path: Path, title: str) -> _Sheet:
    file = files.enter_context(whole_file(path)).file
    # The file outlives the text layer above it, because it is synced and renamed after that.
    page = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    files.callback(page.detach)
    return CsvSheet(page) if form == "csv" else HtmlSheet(page, title)


class CsvSheet:
    """Rows with commas. A text that a spreadsheet would run as a formula gets an apostrophe in front."""

    def __init__(self, file: io.TextIOWrapper) -> None:
        self._rows = csv.writer(file, lineterminator="\r\n")

    def head(self, columns: Iterable[str]) -> None:
        self._rows.writerow([_harmless(name) for name in columns])

    def row(self, values: Iterable[Any]) -> None:
        self._rows.writerow([_harmless(value) for value in values])

    def foot(self, rows: int) -> None:
        """A CSV file has no end of its own."""


class HtmlSheet:
    """A page with a table."""

    def __init__(self, file: io.TextIOWrapper, title: str) -> None:
        self._file = file
        self._title = title

    def head(self, columns: Iterable[str]) -> None:
        cells = "".join(f"<th>{escape(name)}" for name in columns)
        self._file.write(_HEAD.format(title=escape(self._title)) + f"<tr>{cells}\n")

    def row(self, values: Iterable[Any]) -> None:
        self._file.write(f"<tr>{''.join(map(_cell, values))}\n")

    def foot(self, rows: int) -> None:
        self._file.write(_FOOT.format(rows=counted(rows, "row"), time=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"))


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _cell(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"<td>{escape('' if value is None else str(value))}"
    return f'<td class="number">{value}'
