"""Tables of rows for people.

A table fits the terminal: an optional column is left out where there is no room, and a column that folds breaks its
cells. In a pipe no line is wrapped and nothing is coloured, so that grep and awk read whole rows; NO_COLOR switches the
colours off in a terminal too.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import typer
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rota.cli.language import translated_title
from rota.core.text import printable

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


class RowTable:
    """A table that is printed piece by piece, as its rows become known.

    A column gets wider for wide cells of later pieces, and one that was left out stays away.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = [replace(column, title=translated_title(column.title)) for column in columns]
        self._widths = [cell_len(column.title) for column in self._columns]
        self._kept = list(range(len(columns)))
        self._is_begun = False

    def add(self, rows: Iterable[Sequence[str]]) -> None:
        """Print some rows, the first time below the titles of the columns."""
        console = Console(highlight=False)
        shown = [[printable(cell) for cell in row] for row in rows]
        self._widths = [
            max(map(cell_len, (" " * width, *(row[number] for row in shown))))
            for number, width in enumerate(self._widths)
        ]
        if console.file.isatty():
            self._print(console, shown)
        else:
            for row in (*([] if self._is_begun else [[column.title for column in self._columns]]), *shown):
                cells = [_padded(*each) for each in zip(row, self._widths, self._columns, strict=True)]
                typer.echo("  ".join(cells).rstrip())
        self._is_begun = True

    def _print(self, console: Console, rows: Sequence[Sequence[str]]) -> None:
        widths, room = self._widths, console.width
        self._kept = kept = [each for each in _kept(self._columns, widths, room) if each in self._kept]
        columns = _folding(self._columns, widths, kept, room)
        least = _least(columns, widths, NARROWEST)
        fits = _room_for(least, kept) <= room
        table = Table(box=None, header_style="bold", pad_edge=False, show_header=not self._is_begun)
        for number in kept:
            column = columns[number]
            overflow: Literal["fold", "ellipsis"] = "fold" if column.folds else "ellipsis"
            table.add_column(
                column.title,
                overflow=overflow,
                no_wrap=not column.folds,
                justify="right" if column.right else "left",
                # Rich would cut all columns a little, and give one that folds a letter a line. It also counts half a
                # gap too many at both ends. If no column that folds may give it up, it cuts off the end of each row.
                min_width=(least[number] - _GAP if column.folds else least[number]) if fits or column.folds else None,
            )
        for row in rows:
            table.add_row(*(styled(row[number]) for number in kept))
        console.print(table)


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print a table. Cells with the name of a state or an outcome get its colour. In a pipe, lines are not wrapped."""
    RowTable(columns).add(rows)


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
