"""`rota task search` and `rota task errors`: both read tasks of all queues, show how far they are, and can be stopped.

A search prints each task as soon as it is found. Ctrl-C stops the reading, and errors are printed as found so far. A
query is one argument or several, which are joined by blanks. A term may begin with a `-`, so these commands have no
short options.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, TypeVar

import typer
from rich.cells import cell_len

from rota.cli import output
from rota.cli.inspecting import opened
from rota.cli.option_types import AsJson, Url, duration
from rota.cli.output import Column
from rota.core.text import counted
from rota.errors import ConfigError, OptionError, QueryError
from rota.inspect import ErrorGroup, ErrorPage, Hit, SearchPage
from rota.inspect.query import Query
from rota.inspect.query_parser import parse

PageT = TypeVar("PageT", SearchPage, ErrorPage)
NOTHING_FOUND = 1
STOPPED = 130

Words = Annotated[
    list[str] | None, typer.Argument(metavar="QUERY", help="Terms as in 'state:retry error:timeout'; docs/search.md.")
]


def search(
    query: Words = None,
    limit: Annotated[int, typer.Option(min=1, help="Stop after this many tasks.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Go on behind an earlier search, which has printed this.")] = None,
    as_json: AsJson = False,
    json_lines: Annotated[
        bool, typer.Option("--json-lines", help="For programs: one object a line, as soon as a task is found.")
    ] = False,
    url: Url = None,
) -> None:
    """Search the tasks of all states and queues. The exit code is 1 if there is none.

    Terms: type: state: queue: group: error: id: worker: payload: payload.user_id: result: before: after: or a word.
    A comma separates choices, * stands for any text, quotes keep blanks, and - negates, as in -state:completed.
    """
    if as_json and json_lines:
        raise OptionError("--json prints one object at the end, and --json-lines many: give one of them.")
    read = query_of(query)
    found = _Found(None if as_json else _print_lines if json_lines else _rows_printer())
    asked = "" if cursor is not None and not query else read
    with opened(url) as inspector:
        found.is_stopped = _read(inspector.search(asked, limit=limit, cursor=cursor), found.add)
    _end_search(found)
    raise typer.Exit(STOPPED if found.is_stopped else 0 if found.number else NOTHING_FOUND)


def errors(
    query: Words = None,
    within: Annotated[str | None, typer.Option(help="Only tasks that failed last within this time, as in 24h.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Print this many groups.")] = 20,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Group failed tasks by their error: the class, the place in the code, and the task type.

    Tasks in the states retry and archived are read, unless the query names states. The bars show when the tasks failed
    last, in the last 24 hours.
    """
    read, length = query_of(query), duration(within, "--within")
    last: deque[ErrorPage] = deque(maxlen=1)
    with opened(url) as inspector:
        is_stopped = _read(inspector.errors(read, within=length), last.append)
    _print_errors(last[0] if last else None, limit, as_json=as_json)
    raise typer.Exit(STOPPED if is_stopped else 0)


def query_of(words: Sequence[str] | None) -> Query:
    """Read the query of a command line. Times without an offset are local. An error shows the position."""
    given = list(words or ())
    spaced = next((word for word in given if len(given) > 1 and any(map(str.isspace, word)) and '"' not in word), None)
    if spaced is not None:
        raise ConfigError(
            f"The shell has removed the quotes around {spaced!r}. Put the whole query between single quotes, as in "
            "rota task search 'state:retry error:\"connection refused\"'."
        )
    text = " ".join(given)
    try:
        return parse(text, None)
    except QueryError as error:
        raise ConfigError(f"{error}\n{pointed(error)}") from None


def pointed(error: QueryError) -> str:
    """Return the query with a line below it that points at the fault."""
    text = "".join(char if char.isprintable() else " " for char in error.text)
    before, fault = text[: error.position], text[error.position : error.position + error.length]
    return f"  {text}\n  {' ' * cell_len(before)}{'^' * max(1, cell_len(fault))}"


def _read(pages: Iterator[PageT], take: Callable[[PageT], None]) -> bool:
    """Read all pages, and show how many tasks they have looked at. Returns whether the user has stopped it."""
    try:
        first = next(pages)
        take(first)
        with output.progress("Looking at tasks", first.total) as show:
            show(first.scanned)
            for page in pages:
                with show.aside() if isinstance(page, SearchPage) and page.hits else nullcontext():
                    take(page)
                show(page.scanned)
    except KeyboardInterrupt:
        return True
    return False


@dataclass(slots=True)
class _Found:
    """The hits of a search so far. Without a `printer`, they are kept for the end."""

    printer: Callable[[Sequence[Hit]], None] | None
    number: int = 0
    hits: list[Hit] = field(default_factory=list[Hit])
    last: SearchPage | None = None
    is_stopped: bool = False

    def add(self, page: SearchPage) -> None:
        self.last = page
        self.number += len(page.hits)
        if self.printer is None:
            self.hits += page.hits
        elif page.hits:
            self.printer(page.hits)


def _rows_printer() -> Callable[[Sequence[Hit]], None]:
    table = output.RowTable(_COLUMNS)

    def print_rows(hits: Sequence[Hit]) -> None:
        now = output.now()
        table.add([_row(hit, now) for hit in hits])

    return print_rows


def _print_lines(hits: Sequence[Hit]) -> None:
    for hit in hits:
        output.print_json_line(hit_json(hit))


def _end_search(found: _Found) -> None:
    last = found.last
    has_more = found.is_stopped or (last is not None and not last.is_last)
    if found.printer is None:
        output.print_json(
            {
                "hits": [hit_json(hit) for hit in found.hits],
                "scanned": last.scanned if last else 0,
                "total": last.total if last else 0,
                "cursor": last.cursor if last and has_more else None,
                "unread": last.unread if last else (),
            }
        )
        return
    if last is None:
        return
    output.note(f"{counted(found.number, 'task')} found; looked at {last.scanned:,} of {last.total:,}.")
    note_unread(last.unread)
    if has_more:
        output.note(f"To go on: rota task search --cursor {last.cursor}")


_COLUMNS = (
    Column("queue", folds=True),
    Column("id"),
    Column("type", folds=True),
    Column("state"),
    Column("when", optional=True),
    Column("error", folds=True, optional=True),
)


def _row(hit: Hit, now: datetime) -> tuple[str, ...]:
    return (
        hit.ref.queue,
        hit.ref.id,
        hit.type or "-",
        hit.state.value,
        output.relative(hit.at, now, units=1),
        _short(hit.error),
    )


def _short(text: str, most: int = 120) -> str:
    first = text.strip().partition("\n")[0]
    return first if len(first) <= most else f"{first[: most - 1]}…"


def hit_json(hit: Hit) -> dict[str, Any]:
    """Return a hit as JSON values. A payload that is not UTF-8 is `{"base64": ...}`."""
    return {
        "queue": hit.ref.queue,
        "id": hit.ref.id,
        "state": hit.state,
        "at": hit.at,
        "type": hit.type,
        "payload": hit.payload,
        "error": hit.error or None,
        "failed_at": hit.failed_at,
        "retried": hit.retried,
        "max_retry": hit.max_retry,
        "group": hit.group or None,
    }


def note_unread(unread: Sequence[str]) -> None:
    """Warn of lists that a search could not read to the end."""
    if unread:
        output.warn(
            f"{counted(len(unread), 'list')} could not be read to the end, because another program has changed the "
            f"type of the key, or tasks moved too fast: {', '.join(unread)}"
        )


def _print_errors(page: ErrorPage | None, limit: int, *, as_json: bool) -> None:
    groups = page.groups[:limit] if page else ()
    if as_json:
        output.print_json(
            {
                "groups": [_group_json(group) for group in groups],
                "tasks": page.tasks if page else 0,
                "ungrouped": page.ungrouped if page else 0,
                "scanned": page.scanned if page else 0,
                "total": page.total if page else 0,
                "unread": page.unread if page else (),
            }
        )
        return
    now = output.now()
    if groups:
        output.print_table(_ERROR_COLUMNS, [_error_row(group, now) for group in groups])
    if page is None:
        return
    failed, kinds = counted(page.tasks, "failed task"), counted(len(page.groups), "error")
    output.note(f"{failed} with {kinds}; looked at {page.scanned:,} of {page.total:,}.")
    if len(page.groups) > limit:
        output.note(f"{len(page.groups) - limit} more: --limit {len(page.groups)} prints all.")
    if page.ungrouped:
        output.note(f"Not grouped: {counted(page.ungrouped, 'task')} with further errors. Search for fewer tasks.")
    note_unread(page.unread)


_ERROR_COLUMNS = (
    Column("tasks", right=True),
    Column("type"),
    Column("last"),
    Column("24 hours", optional=True),
    Column("place", optional=True),
    Column("error", folds=True),
)


def _error_row(group: ErrorGroup, now: datetime) -> tuple[str, ...]:
    return (
        f"{group.tasks:,}",
        group.type or "-",
        output.relative(group.last_at, now),
        output.sparkline(group.trend),
        group.line or "-",
        _short(group.text),
    )


def _group_json(group: ErrorGroup) -> dict[str, Any]:
    return {
        "fingerprint": group.fingerprint,
        "type": group.type,
        "exception": group.exception or None,
        "place": group.place or None,
        "line": group.line or None,
        "text": group.text,
        "tasks": group.tasks,
        "queues": group.queues,
        "states": group.states,
        "first_at": group.first_at,
        "last_at": group.last_at,
        "trend": group.trend,
        "sample": hit_json(group.sample),
    }
