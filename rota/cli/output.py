"""Prints for people and for programs: what all commands share.

Tables fit the terminal: an optional column is left out where there is no room, and a column that folds breaks its
cells. In a pipe no line is wrapped and nothing is coloured, so that grep and awk read whole rows; NO_COLOR switches the
colours off in a terminal too. Results go to standard output. Notes, warnings, questions and progress go to standard
error, so that `rota ... --json | jq` reads the result alone. Names from the server are printed with escapes, because a
terminal would carry out a control sequence in one of them.
"""

import json
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import typer
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rota.cli.json_values import plain_json
from rota.cli.language import translated, translated_title
from rota.core.text import printable
from rota.errors import ConfigError, RotaError

WRONG_USE = 2
"""The exit code of a command that was called or set up wrongly."""
STYLES = {
    "failed": "red",
    "failing": "bold red",
    "error": "bold red",
    "lost": "red",
    "expired": "red",
    "quarantined": "red",
    "archived": "red",
    "retry": "yellow",
    "cancelled": "yellow",
    "skipped": "yellow",
    "paused": "yellow",
    "warning": "yellow",
    "succeeded": "green",
    "completed": "green",
    "running": "cyan",
    "waiting": "cyan",
    "active": "cyan",
    "note": "cyan",
    "scheduled": "green",
    "done": "dim",
    "deleted": "dim",
}
_STYLES_IN_ALL = {**STYLES, "已暂停": STYLES["paused"]}
_UNITS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
_SECOND = timedelta(seconds=1)
_EIGHTHS = " ▏▎▍▌▋▊▉"
_LEVELS = "▁▂▃▄▅▆▇█"
_GAP = 2
NARROWEST = 10
"""Characters that a column which folds has at least."""
READABLE = 24
"""Characters that a column which folds should have before an optional column takes the room."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    `folds` says that a narrow terminal may break its cells into lines, and `optional` that a narrow terminal may leave
    it out: of several such columns the last one goes first. A pipe gets all of them.
    """

    title: str
    folds: bool = False
    right: bool = False
    optional: bool = False


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print a table. Cells with the name of a state or an outcome get its colour. In a pipe, lines are not wrapped."""
    console = Console(highlight=False)
    columns = [replace(column, title=translated_title(column.title)) for column in columns]
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [
        max(map(cell_len, (column.title, *(row[number] for row in shown)))) for number, column in enumerate(columns)
    ]
    if not console.file.isatty():
        for row in ([column.title for column in columns], *shown):
            cells = [_padded(*each) for each in zip(row, widths, columns, strict=True)]
            typer.echo("  ".join(cells).rstrip())
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    kept = _kept(columns, widths, console.width)
    columns = _folding(columns, widths, kept, console.width)
    least = _least(columns, widths, NARROWEST)
    fits = _room_for(least, kept) <= console.width
    for number in kept:
        column = columns[number]
        overflow: Literal["fold", "ellipsis"] = "fold" if column.folds else "ellipsis"
        table.add_column(
            column.title,
            overflow=overflow,
            no_wrap=not column.folds,
            justify="right" if column.right else "left",
            # Rich would cut all columns a little, and give one that folds a letter a line. It also counts half a gap
            # too many at both ends. If no column that folds may give it up, it cuts off the end of each row.
            min_width=(least[number] - _GAP if column.folds else least[number]) if fits or column.folds else None,
        )
    for row in shown:
        table.add_row(*(styled(row[number]) for number in kept))
    console.print(table)


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield rows as lines in which the cells of a column stand below each other."""
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        yield "  ".join(map(set_cell_size, row, widths)).rstrip()


def _padded(cell: str, width: int, column: Column) -> str:
    return " " * (width - cell_len(cell)) + cell if column.right else set_cell_size(cell, width)


def _kept(columns: Sequence[Column], widths: Sequence[int], room: int) -> list[int]:
    """Return the numbers of the columns to show. The others are optional and do not fit."""
    needs = _least(columns, widths, READABLE)
    kept = list(range(len(columns)))
    for number in reversed(range(len(columns))):
        if _room_for(needs, kept) <= room:
            break
        if columns[number].optional:
            kept.remove(number)
    return kept


def _folding(columns: Sequence[Column], widths: Sequence[int], kept: Sequence[int], room: int) -> list[Column]:
    """Let further columns of text fold, the widest first, until a table fits that would lose its last columns."""
    shown = list(columns)
    for number in sorted(kept, key=lambda each: -widths[each]):
        if _room_for(_least(shown, widths, NARROWEST), kept) > room and not shown[number].right:
            shown[number] = replace(shown[number], folds=True)
    return shown


def _least(columns: Sequence[Column], widths: Sequence[int], bound: int) -> list[int]:
    """Return the widths that columns need, where one that folds needs `bound` at most."""
    return [min(width, bound) if column.folds else width for column, width in zip(columns, widths, strict=True)]


def _room_for(widths: Sequence[int], kept: Sequence[int]) -> int:
    return sum(widths[number] + _GAP for number in kept) - _GAP


def styled(cell: str) -> str:
    """Return a cell with the colour of the state or outcome that it begins with, as Rich's markup."""
    style = _STYLES_IN_ALL.get(cell.partition(" (")[0])
    return f"[{style}]{escape(cell)}[/]" if style else escape(cell)


def print_json(value: Any) -> None:
    """Print a value for programs, in the form that `plain_json` gives it."""
    typer.echo(json.dumps(plain_json(value), ensure_ascii=False, indent=2))


def print_fields(fields: Mapping[str, str]) -> None:
    """Print names with their values, one a line, for one thing that a command shows in full."""
    titled = {translated_title(name): value for name, value in fields.items()}
    width = max(map(cell_len, titled), default=0)
    console = Console(highlight=False, soft_wrap=True)
    for name, value in titled.items():
        console.print(f"[dim]{escape(set_cell_size(name, width))}[/]  {styled(printable(value))}")


def print_section(title: str, text: str) -> None:
    """Print a text of several lines below its title, such as a payload or a traceback."""
    typer.echo()
    Console(highlight=False, soft_wrap=True).print(f"[dim]{escape(translated_title(title))}[/]")
    for line in text.rstrip().split("\n"):
        typer.echo(f"  {printable(line)}")


def echo(text: str) -> None:
    """Print a line that is data, such as a name or a line of a log: it is not translated."""
    typer.echo(printable_lines(text))


def say(text: str) -> None:
    """Print a line of a result."""
    typer.echo(printable_lines(translated(text)))


def note(text: str) -> None:
    """Print a remark for people to standard error, where a pipe does not read it."""
    typer.echo(printable_lines(translated(text)), err=True)


def warn(text: str) -> None:
    """Print a warning to standard error."""
    _labelled("warning", text)


def fail(text: str) -> None:
    """Print an error to standard error: what happened, why, and what to do. The caller chooses the exit code."""
    _labelled("error", text)


def explain(error: RotaError) -> int:
    """Print an error as one line, and return its exit code."""
    fail(str(error))
    return WRONG_USE if isinstance(error, ConfigError) else 1


def _labelled(label: str, text: str) -> None:
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(f"[{STYLES[label]}]{translated_title(label)}[/] {escape(printable_lines(translated(text)))}")


def printable_lines(text: str) -> str:
    """Return a text of several lines with escapes for other characters that are not printable."""
    return "\n".join(map(printable, text.split("\n")))


@contextmanager
def progress(title: str, total: int | None = None) -> Generator[Callable[[int], None]]:
    """Show the progress of long work on standard error, if that is a terminal.

    The result is a function to call with the number that is done so far. Without a `total` the number alone is shown.
    """
    console = Console(stderr=True)
    if not sys.stderr.isatty() or console.is_dumb_terminal:
        yield lambda done: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    description = TextColumn("{task.description}")
    columns = (description, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task(translated(title), total=total)
        yield lambda done: shown.update(task, completed=done)


def bar(value: float, most: float, width: int) -> str:
    """Return a bar whose length shows a value, where `most` has the whole width. A value above 0 is always seen."""
    if most <= 0 or value <= 0 or width <= 0:
        return ""
    eighths = max(1, round(min(value / most, 1) * width * 8))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def sparkline(values: Sequence[float | None]) -> str:
    """Return one character for each value, as high as the value; a space for None."""
    most = max((value for value in values if value is not None), default=0)
    return "".join(" " if value is None else _LEVELS[round(value / most * 7) if most > 0 else 0] for value in values)


def terminal_width() -> int:
    """Return the width of the terminal, or 80 where there is none."""
    return Console().width


def now() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(UTC)


def relative(moment: datetime | None, at: datetime, *, units: int = 2) -> str:
    """Return a time relative to another one: `in 2h 5m`, `3d ago`, `now`; `-` for None."""
    if moment is None:
        return "-"
    length = rough(abs(moment - at), units=units)
    if length == "0s":
        return translated("now")
    return translated(f"in {length}" if moment > at else f"{length} ago")


def rough(length: timedelta, *, units: int = 2) -> str:
    """Return a duration with its largest units: `2h 5m`, `3d`, `45s`."""
    seconds = round(length / _SECOND)
    parts: list[str] = []
    for unit, size in _UNITS:
        number, seconds = divmod(seconds, size)
        if number:
            parts.append(f"{number}{unit}")
        elif parts:
            break
        if len(parts) == units:
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

    return dated(moment.astimezone(ZoneInfo(timezone)), "%Y-%m-%d %H:%M:%S %z")


def dated(moment: date, form: str) -> str:
    """Return the day of the week in the language of the locale, and a day or a time in a form of `strftime`."""
    return f"{translated_title(f'{moment:%a}')} {moment.strftime(form)}"
