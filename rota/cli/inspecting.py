"""Shared by the commands that read the broker: the inspector, bars and numbers.

The app is not imported: a command reads what the broker has.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

from rota.app import Rota
from rota.cli import output
from rota.cli.language import translated
from rota.cli.option_types import settings_of
from rota.core.text import printable
from rota.inspect import SyncInspector
from rota.settings.settings import Settings

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
WIDEST_BAR = 40


@contextmanager
def opened(url: str | None) -> Generator[SyncInspector]:
    """Give the inspector of the server that the settings name."""
    with Rota(settings=Settings().updated_by(settings_of([], url=url))) as app:
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


def heading(text: str) -> None:
    """Print the heading of a part: bold on a terminal."""
    Console(highlight=False).print(f"[bold]{escape(printable(translated(text)))}[/]")


def share(rate: float | None) -> str:
    """Return a share as a percentage; `-` for None."""
    return "-" if rate is None else f"{rate:.2%}"
