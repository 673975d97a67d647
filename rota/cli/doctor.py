"""`rota doctor`: finds faults of the server, permissions, queues and types, with their causes and fixes."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rota.app import Rota
from rota.cli.option_types import settings_of
from rota.cli.target import load_app
from rota.core.text import counted, printable
from rota.inspect.doctor import Examination, Finding, examine
from rota.settings.settings import Settings
from rota.wire.rights import Role

_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def command(
    app: Annotated[
        str | None,
        typer.Argument(help="module:app, to find tasks that it does not handle as well."),
    ] = None,
    url: Annotated[str | None, typer.Option(help="The server, instead of ROTA_URL.")] = None,
    role: Annotated[Role, typer.Option("--as", help="Whose rights the user of the URL should have.")] = "worker",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Look for what is wrong; exit code 1 if there is something. Nothing is changed."""
    target = app or Settings().cli.app
    loaded = load_app(target) if target else None
    settings = (loaded.settings if loaded else Settings()).updated_by(settings_of([], url=url))
    done = asyncio.run(_examine(loaded, settings, role))
    if as_json:
        typer.echo(json.dumps(_plain(done), indent=2))
    else:
        _show(done, Console(highlight=False))
    raise typer.Exit(0 if done.healthy else 1)


async def _examine(app: Rota | None, settings: Settings, role: Role) -> Examination:
    broker = (app or Rota(settings=settings)).connect(settings)
    try:
        return await examine(broker, role=role, archive_max=settings.sweep.archive_max, handles=_handles(app))
    finally:
        await broker.aclose()


def _handles(app: Rota | None) -> Callable[[str], bool] | None:
    if app is None:
        return None
    find = app.find_handler
    return lambda name: find(name) is not None


def _plain(done: Examination) -> dict[str, object]:
    findings = [{**asdict(finding), "link": finding.link} for finding in done.findings]
    return {"healthy": done.healthy, "queues": done.queues, "servers": done.servers, "findings": findings}


def _show(done: Examination, console: Console) -> None:
    for finding in done.findings:
        _show_one(finding, console)
    looked = f"{counted(done.queues, 'queue')} and {counted(done.servers, 'server')} looked at"
    faults = sum(finding.severity != "note" for finding in done.findings)
    console.print(
        f"[green]Nothing is wrong[/]: {looked}." if done.healthy else f"{counted(faults, 'fault')}: {looked}."
    )


def _show_one(finding: Finding, console: Console) -> None:
    rows = [(f"[{_STYLES[finding.severity]}]{finding.severity}[/]", f"[bold]{escape(printable(finding.what))}[/]")]
    more = f"{finding.link} in the source of Rota"
    for name, text in (("why", finding.cause), ("fix", finding.fix), ("more", more)):
        rows.append((f"  [dim]{name}[/]", escape(printable(text))))
    if not console.file.isatty():  # lines are not wrapped, for grep, even if FORCE_COLOR asks for colours
        for label, text in rows:
            console.print(label, text, soft_wrap=True)
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")  # so that a narrow terminal does not cut names and links
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print()
