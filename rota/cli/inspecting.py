"""Shared by the commands that read the broker: the inspector, JSON of snapshots, bars and numbers.

The app is not imported: a command reads what the broker has.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any, cast

from rich.console import Console
from rich.markup import escape

from rota.app import Rota
from rota.cli import output
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


def json_value(value: Any) -> Any:
    """Return a snapshot as a value for JSON, with its properties of numbers and flags.

    Bytes become text if they are UTF-8, else `{"base64": ...}`; durations become seconds.
    """
    if is_dataclass(value):
        own = {each.name: json_value(getattr(value, each.name)) for each in fields(value)}
        return own | {name: json_value(getattr(value, name)) for name in _properties(type(value))}
    if isinstance(value, bytes):
        return _json_bytes(value)
    if isinstance(value, Mapping):
        return {str(key): json_value(each) for key, each in cast("Mapping[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [json_value(each) for each in cast("Sequence[Any]", value)]
    return value


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
    Console(highlight=False).print(f"[bold]{escape(printable(text))}[/]")


def share(rate: float | None) -> str:
    """Return a share as a percentage; `-` for None."""
    return "-" if rate is None else f"{rate:.2%}"


def _properties(kind: type) -> list[str]:
    return [name for name in dir(kind) if isinstance(getattr(kind, name), property) and name in _SHOWN]


_SHOWN = frozenset({"error_rate", "is_go", "is_orphaned", "size"})
"""Properties that are part of the JSON of a snapshot."""


def _json_bytes(value: bytes) -> Any:
    import base64

    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}
