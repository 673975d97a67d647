"""`rota config`: every setting, its value, and the source of the value."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rota.cli import output
from rota.cli.language import translated_help, translated_title
from rota.cli.option_types import AsJson
from rota.cli.target import Discover, Modules, load_app, target_of
from rota.settings.origin import Origin
from rota.settings.settings import Settings

_STYLES = {
    "default": "dim",
    "profile": "magenta",
    "environment": "yellow",
    "pyproject.toml": "cyan",
    "rota dev": "cyan",
    "code": "green",
}
_HEADINGS = ("group", "setting", "value", "from", "what it is for")
_ALIGNED = 40
"""The columns are aligned up to this width. A longer value shifts the rest of its own line only."""
_WIDE = 120
"""The width of a terminal from which on the descriptions are shown."""


def command(
    app: Annotated[str | None, typer.Argument(help="module:app, to see what its code sets as well.")] = None,
    modules: Modules = None,
    discover: Discover = None,
    changed: Annotated[bool, typer.Option("--changed", help="Only what is not at its default.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show all settings with their values and sources."""
    settings = Settings()
    if target := target_of(app, modules, discover):
        settings = load_app(target).settings
    rows = [row for row in settings.table() if not (changed and row.source == "default")]
    if as_json:
        typer.echo(json.dumps([row._asdict() for row in rows], indent=2))
        return
    rows = [row._replace(about=translated_help(row.about)) for row in rows]
    if not rows:
        output.note("Every setting has its default.")
    console = Console(highlight=False)
    if console.file.isatty():
        console.print(_table(rows, wide=console.width >= _WIDE))
    else:
        _print_lines([_HEADINGS, *rows])
    for warning in settings.warnings():
        output.note(warning)


def _table(rows: Sequence[Origin], *, wide: bool) -> Table:
    """Make a table in which long values are folded and not cut. Without `wide`, the descriptions are left out.

    The name of a group stands in its first row only.
    """
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in _HEADINGS if wide else _HEADINGS[:4]:
        table.add_column(
            translated_title(heading), overflow="fold", no_wrap=heading == "group" or (heading == "setting" and wide)
        )
    shown = ""
    for row in rows:
        group = "" if row.group == shown else row.group
        shown = row.group
        source = f"[{_STYLES[row.source]}]{row.source}[/]"
        cells = [
            group,
            f"[bold]{row.name}[/]",
            escape(row.value) or "[dim]–[/]",
            source,
            f"[dim]{escape(row.about)}[/]",
        ]
        table.add_row(*cells[: len(table.columns)])
    return table


def _print_lines(rows: Sequence[Sequence[str]]) -> None:
    """Print one line for each row, aligned and without wrapping, for grep and files."""
    widths = [min(max(len(row[column]) for row in rows), _ALIGNED) for column in range(len(_HEADINGS) - 1)]
    for row in rows:
        cells = [(cell or "-").ljust(width) for cell, width in zip(row, widths, strict=False)]
        typer.echo("  ".join([*cells, row[-1]]))
