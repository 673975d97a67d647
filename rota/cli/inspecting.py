"""Shared by the commands that read the broker: the inspector, bars and numbers.

The app is not imported: a command reads what the broker has.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from rich.cells import set_cell_size
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rota.cli import output
from rota.cli.language import language, translated, translated_title
from rota.cli.opened_app import app_of
from rota.core.text import printable
from rota.inspect import Fact, SyncInspector

STATES = ("pending", "active", "aggregating", "scheduled", "retry", "archived", "completed")
COLOURS = {
    "pending": "green",
    "active": "blue",
    "aggregating": "bright_green",
    "scheduled": "yellow",
    "retry": "magenta",
    "archived": "red",
    "completed": "cyan",
}
JUDGEMENT_STYLES = {"good": "green", "watch": "yellow", "bad": "bold red", "unknown": "dim"}
WIDEST_BAR = 40
LABEL_WIDTH = 12


@contextmanager
def opened(url: str | None) -> Generator[SyncInspector]:
    """Give the inspector of the server that the settings name."""
    with app_of(url) as app:
        yield app.inspector_sync()


def print_states(counts: Mapping[str, int]) -> None:
    """Print the number of tasks in each state, with bars on a terminal."""
    console = Console(highlight=False)
    most = max(counts[state] for state in STATES)
    wide = min(WIDEST_BAR, console.width - 30) if console.file.isatty() else 0
    for state in STATES:
        number = f"{counts[state]:,}"
        line = f"{state:<11}  {number:>9}  [{COLOURS[state]}]{output.bar(counts[state], most, wide)}[/]"
        console.print(line.rstrip() if wide else f"{state:<11}  {number:>9}")


def heading(title: str) -> None:
    """Print the heading of a part: bold on a terminal."""
    name_heading(translated_title(title))


def name_heading(name: str) -> None:
    """Print a name, which is not translated, as the heading of a part."""
    Console(highlight=False).print(f"[bold]{escape(printable(name))}[/]")


def labelled(label: str, text: str, style: str = "") -> None:
    """Print a line of a result behind its label. On a terminal a long line is wrapped beside the label."""
    console = Console(highlight=False)
    title, shown = translated_title(label), printable(translated(text))
    if not console.file.isatty():
        output.echo(f"{set_cell_size(title, LABEL_WIDTH)} {shown}")
        return
    table = Table.grid(padding=(0, 1))
    table.add_column(width=LABEL_WIDTH, style=style)
    table.add_column(overflow="fold")
    table.add_row(escape(title), escape(shown))
    console.print(table)


def fact_text(fact: Fact) -> str:
    """Return a fact about a server, and what to do, as sentences."""
    gap = " " if language() == "en" else ""
    return gap.join(filter(None, (translated(f"{fact.what}."), translated(fact.advice))))


def share(rate: float | None) -> str:
    """Return a share as a percentage; `-` for None."""
    return "-" if rate is None else f"{rate:.2%}"
