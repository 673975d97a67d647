"""Prints for people and for programs: what all commands share.

`row_table` has tables. Results go to standard output. Notes, warnings, questions and progress go to standard error, so
that `rota ... --json | jq` reads the result alone. Names from the server are printed with escapes, because a terminal
would carry out a control sequence in one of them.
"""

import json
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import typer
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape

from rota.cli.json_values import plain_json
from rota.cli.language import translated, translated_title
from rota.cli.row_table import STYLES, styled
from rota.cli.row_table import Column as Column
from rota.cli.row_table import RowTable as RowTable
from rota.cli.row_table import aligned as aligned
from rota.cli.row_table import print_table as print_table
from rota.core.text import printable
from rota.errors import ConfigError, RotaError

if TYPE_CHECKING:
    from rich.progress import Progress

WRONG_USE = 2
"""The exit code of a command that was called or set up wrongly."""
_UNITS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
_SECOND = timedelta(seconds=1)
_EIGHTHS = " ▏▎▍▌▋▊▉"
_LEVELS = "▁▂▃▄▅▆▇█"


def print_json(value: Any) -> None:
    """Print a value for programs, in the form that `plain_json` gives it."""
    typer.echo(json.dumps(plain_json(value), ensure_ascii=False, indent=2))


def print_json_line(value: Any) -> None:
    """Print a value for programs as one line."""
    typer.echo(json.dumps(plain_json(value), ensure_ascii=False))


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


class Shown:
    """The progress of long work, which is called with the number that is done so far. It shows nothing in a pipe."""

    def __init__(self, bar: "Progress | None" = None, task: Any = None) -> None:
        self._bar = bar
        self._task = task

    def __call__(self, done: int) -> None:
        """Show the number that is done."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done)

    @contextmanager
    def aside(self) -> Generator[None]:
        """Take the progress away while the block prints a part of the result."""
        if self._bar is None:
            yield
            return
        self._bar.stop()
        try:
            yield
        finally:
            self._bar.start()


@contextmanager
def progress(title: str, total: int | None = None) -> Generator[Shown]:
    """Show the progress of long work on standard error, if that is a terminal.

    The result is to be called with the number that is done so far. Without a `total` the number alone is shown.
    """
    console = Console(stderr=True)
    if not sys.stderr.isatty() or console.is_dumb_terminal:
        yield Shown()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    description = TextColumn("{task.description}")
    columns = (description, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        yield Shown(shown, shown.add_task(translated(title), total=total))


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
