"""Prints schedules and runs for people: tables that fit the terminal, colours, and times relative to now."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import typer
from pydantic_core import to_jsonable_python
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rota.core.text import printable
from rota.schedule.definition import StoredSchedule

STYLES = {
    "failed": "red",
    "failing": "bold red",
    "lost": "red",
    "expired": "red",
    "quarantined": "red",
    "cancelled": "yellow",
    "skipped": "yellow",
    "paused": "yellow",
    "succeeded": "green",
    "running": "cyan",
    "scheduled": "green",
    "done": "dim",
    "deleted": "dim",
}
_UNITS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
_SECOND = timedelta(seconds=1)
NARROWEST = 10
"""Characters that a column which folds has at least."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. `folds` says that a narrow terminal may break its cells into lines."""

    title: str
    folds: bool = False
    right: bool = False


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print a table. Cells with the name of a state or an outcome get its colour. In a pipe, lines are not wrapped."""
    console = Console(highlight=False)
    shown = [[printable(cell) for cell in row] for row in rows]
    if not console.file.isatty():
        widths = [
            max(map(cell_len, (column.title, *(row[number] for row in shown)))) for number, column in enumerate(columns)
        ]
        for row in ([column.title for column in columns], *shown):
            typer.echo("  ".join(set_cell_size(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        overflow: Literal["fold", "ellipsis"] = "fold" if column.folds else "ellipsis"
        table.add_column(
            column.title,
            overflow=overflow,
            no_wrap=not column.folds,
            justify="right" if column.right else "left",
            min_width=NARROWEST if column.folds else None,  # else a narrow terminal gets one letter a line
        )
    for row in shown:
        table.add_row(*(styled(cell) for cell in row))
    console.print(table)


def styled(cell: str) -> str:
    """Return a cell with the colour of the state or outcome that it begins with, as Rich's markup."""
    style = STYLES.get(cell.partition(" (")[0])
    return f"[{style}]{escape(cell)}[/]" if style else escape(cell)


def print_json(value: Any) -> None:
    """Print a value for programs; durations are in seconds, times in ISO 8601."""
    typer.echo(json.dumps(to_jsonable_python(value, timedelta_mode="float"), ensure_ascii=False, indent=2))


def schedule_json(schedule: StoredSchedule) -> dict[str, Any]:
    """Return a schedule as JSON values: its fields as in a file, and what is known about it."""
    about = {
        "id": schedule.id,
        "version": schedule.version,
        "source": schedule.source,
        "created_at": schedule.created_at,
        "created_by": schedule.created_by,
        "updated_at": schedule.updated_at,
        "updated_by": schedule.updated_by,
        "deleted_at": schedule.deleted_at,
    }
    return {**about, "definition": schedule.definition.to_mapping()}


def field_value(value: Any) -> str:
    """Return the value of a field of a schedule, as a comparison shows it; None stands for the default."""
    return "(default)" if value is None else json.dumps(value, ensure_ascii=False)


def now() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(UTC)


def relative(moment: datetime | None, at: datetime) -> str:
    """Return a time relative to another one: `in 2h 5m`, `3d ago`, `now`; `-` for None."""
    if moment is None:
        return "-"
    length = rough(abs(moment - at))
    if length == "0s":
        return "now"
    return f"in {length}" if moment > at else f"{length} ago"


def rough(length: timedelta) -> str:
    """Return a duration with its two largest units: `2h 5m`, `3d`, `45s`."""
    seconds = round(length / _SECOND)
    parts: list[str] = []
    for unit, size in _UNITS:
        number, seconds = divmod(seconds, size)
        if number:
            parts.append(f"{number}{unit}")
        elif parts:
            break
        if len(parts) == 2:
            break
    return " ".join(parts) or "0s"


def precise(length: timedelta | None) -> str:
    """Return the duration of a run: `1.2 s`, `350 ms`, `2m 5s`; `-` for None."""
    if length is None:
        return "-"
    if length >= timedelta(minutes=1):
        return rough(length)
    if length < _SECOND:
        return f"{length / timedelta(milliseconds=1):.0f} ms"
    return f"{length / _SECOND:.1f} s"


def at_zone(moment: datetime | None, timezone: str) -> str:
    """Return a time as the clock of a zone shows it, with its distance from UTC; `-` for None."""
    if moment is None:
        return "-"
    from zoneinfo import ZoneInfo

    local = moment.astimezone(ZoneInfo(timezone))
    return f"{local:%a %Y-%m-%d %H:%M:%S %z}"
