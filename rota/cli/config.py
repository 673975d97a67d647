"""`rota config`: every setting, its value, and where that comes from."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rota.cli.target import load_app
from rota.settings import Origin, Settings

_STYLES = {"default": "dim", "environment": "yellow", "pyproject.toml": "cyan", "code": "green"}


def command(
    app: Annotated[str | None, typer.Argument(help="module:app, to see what its code sets as well.")] = None,
    changed: Annotated[bool, typer.Option("--changed", help="Only what is not at its default.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show all settings with their values and sources."""
    settings = load_app(app).settings if app else Settings()
    rows = [row for row in settings.table() if not (changed and row.source == "default")]
    if as_json:
        typer.echo(json.dumps([row._asdict() for row in rows], indent=2))
        return
    console = Console(highlight=False)
    console.print(_table(rows))
    for name in settings.unknown_environment():
        console.print(f"[yellow]{escape(name)} is set, but there is no such setting: it changes nothing.[/]")


def _table(rows: list[Origin]) -> Table:
    table = Table("setting", "value", "from", "what it is for", box=None, header_style="bold", pad_edge=False)
    for row in rows:
        source = f"[{_STYLES[row.source]}]{row.source}[/]"
        table.add_row(f"[bold]{row.name}[/]", escape(row.value) or "[dim]–[/]", source, f"[dim]{escape(row.about)}[/]")
    return table
