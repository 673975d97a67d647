"""`rota doctor`: finds faults of the server, permissions, queues, types and tasks, with their causes and fixes.

With `--repair` it repairs tasks and locks: it examines, asks, repairs, and examines again.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Annotated

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rota.app import Rota
from rota.broker import Broker
from rota.cli import output, questions
from rota.cli.language import translated, translated_title
from rota.cli.opened_app import app_of
from rota.cli.option_types import AsJson, Url
from rota.cli.store_findings import store_findings
from rota.cli.target import Discover, Modules, target_of
from rota.core.duration import display
from rota.core.text import counted, printable
from rota.errors import BrokerError
from rota.inspect.doctor import Examination, Finding, Repair, examine
from rota.inspect.doctor.repair import DELAY
from rota.wire.reconcile import MEANING, MOST_SEARCHED
from rota.wire.rights import Role

Repaired = Mapping[str, Mapping[str, int]]

_BEFORE_A_REPAIR = ("server", "rights", "not-looked-at", "not-compared")
_START = "In {delay}, what is still wrong then is repaired. Ctrl-C stops; run it again to go on."
_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def command(
    app: Annotated[
        str | None,
        typer.Argument(help="module:app, to find tasks that it does not handle as well."),
    ] = None,
    modules: Modules = None,
    discover: Discover = None,
    url: Url = None,
    role: Annotated[
        Role | None,
        typer.Option("--as", help="Role whose rights the user of the URL should have.", show_default="worker"),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair tasks and locks that contradict the lists, beside running workers.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Repair without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find what is wrong; exit code 1 if there is something. Without `--repair` nothing is changed."""
    if yes and not repair:
        raise typer.BadParameter("--yes answers the question of --repair, so it needs --repair.")
    target = target_of(app, modules, discover)
    opened = app_of(url, target)
    look = partial(_examine, opened, role or ("repairer" if repair else "worker"), _handles(opened) if target else None)
    done = asyncio.run(look())
    repaired: Repaired | None = None
    if repair:
        if not as_json:
            _show(done, Console(highlight=False))
        if (repaired := _repair(done, opened, yes=yes, as_json=as_json)) is not None:
            done = asyncio.run(look())
    if as_json:
        _print_json(done, (repaired or {}) if repair else None)
    elif not repair or repaired is not None:
        _show(done, Console(highlight=False))
    raise typer.Exit(0 if done.healthy else 1)


async def _examine(app: Rota, role: Role, handles: Callable[[str], bool] | None) -> Examination:
    settings = app.settings
    broker = app.connect()
    try:
        done = await examine(broker, role=role, archive_max=settings.sweep.archive_max, handles=handles)
        return replace(done, findings=[*done.findings, *await store_findings(settings.database.store)])
    finally:
        await broker.aclose()


def _repair(seen: Examination, app: Rota, *, yes: bool, as_json: bool) -> Repaired | None:
    """Repair what was found if the user agrees. Returns the repairs, or None if nothing was tried.

    A repair that is cut off ends the command. For programs it prints what was found before, and what was repaired.
    """
    if any(finding.code in _BEFORE_A_REPAIR and finding.severity == "error" for finding in seen.findings):
        output.note("Nothing was repaired: first correct the errors of the server and of the rights.")
        return None
    number = sum(sum(kinds.values()) for kinds in seen.discrepancies.values())
    if not number:
        output.note("There is nothing to repair.")
        return None
    if not questions.agreed(f"Repair {counted(number, 'entry', 'entries')}?", yes=yes):
        return None
    settings, broker = app.settings, app.connect()
    delay = max(DELAY, 2 * settings.worker.heartbeat)
    repair = Repair(
        broker,
        max_crashes=settings.worker.max_crashes,
        attempts_limit=settings.logging.attempts_limit_bytes,
        delay=delay,
    )
    try:
        asyncio.run(_run(repair, broker, _START.format(delay=display(delay))))
    except KeyboardInterrupt:
        _cut_off(repair, seen, as_json=as_json)
        output.note("Stopped. The repaired entries are complete; run the command again to go on.")
        raise typer.Exit(130) from None
    except BrokerError as error:
        _cut_off(repair, seen, as_json=as_json)
        output.note(f"The repair ended early: {error} Run it again to go on.")
        raise typer.Exit(1) from None
    _tell(repair)
    return _numbers(repair)


def _cut_off(repair: Repair, seen: Examination, *, as_json: bool) -> None:
    _tell(repair)
    if as_json:
        _print_json(seen, _numbers(repair))


def _numbers(repair: Repair) -> Repaired:
    return {queue: dict(kinds) for queue, kinds in repair.repaired.items()}


async def _run(repair: Repair, broker: Broker, first_line: str) -> None:
    try:
        # Printed inside the loop, because a Ctrl-C while the loop is being made would leave it half made.
        output.note(first_line)
        await repair.run()
    finally:
        await broker.aclose()


def _tell(repair: Repair) -> None:
    for queue, kinds in sorted(repair.repaired.items()):
        for kind, number in kinds.most_common():
            output.note(f"Repaired in the queue {queue!r}: {number} × {MEANING[kind]}.")
    if repair.running:
        output.note(
            f"Left alone: {counted(len(repair.running), 'task')} that a live server runs; one is "
            f"{printable(min(repair.running)[1])}."
        )
    if repair.long:
        output.note(
            f"Left for later: {counted(len(repair.long), 'task')} of queues in which more than {MOST_SEARCHED:,} tasks "
            "are pending, because a search of the list would block the server. Run the command again when fewer wait."
        )


def _handles(app: Rota) -> Callable[[str], bool]:
    find = app.find_handler
    return lambda name: find(name) is not None


def _plain(done: Examination) -> dict[str, object]:
    findings = [{**asdict(finding), "link": finding.link} for finding in done.findings]
    numbers = {"queues": done.queues, "servers": done.servers, "tasks": done.tasks}
    return {"healthy": done.healthy, **numbers, "findings": findings, "discrepancies": done.discrepancies}


def _print_json(done: Examination, repaired: Repaired | None) -> None:
    typer.echo(json.dumps(_plain(done) | ({} if repaired is None else {"repaired": repaired}), indent=2))


def _show(done: Examination, console: Console) -> None:
    for finding in done.findings:
        _show_one(finding, console)
    faults = counted(sum(finding.severity != "note" for finding in done.findings), "fault")
    verdict = "Nothing is wrong" if done.healthy else faults
    looked = f"{verdict}: {counted(done.queues, 'queue')} and {counted(done.servers, 'server')} looked at."
    console.print(translated(looked), style="green" if done.healthy else None)


def _show_one(finding: Finding, console: Console) -> None:
    style, severity = _STYLES[finding.severity], translated_title(finding.severity)
    rows = [(f"[{style}]{severity}[/]", f"[bold]{escape(printable(translated(finding.what)))}[/]")]
    more = f"{finding.link} in the source of Rota"
    for name, text in (("why", finding.cause), ("fix", finding.fix), ("more", more)):
        rows.append((f"  [dim]{translated_title(name)}[/]", escape(printable(translated(text)))))
    if not console.file.isatty():  # lines are not wrapped, for grep, even if FORCE_COLOR asks for colours
        for label, text in rows:
            console.print(label, text, soft_wrap=True)
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, min_width=max(cell_len(translated_title(each)) for each in _STYLES))
    table.add_column(overflow="fold")  # so that a narrow terminal does not cut names and links
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print()
