"""`rota cron`: the entries that running schedulers show, of Rota and of Asynq, and what they have enqueued.

`rota schedule` shows the schedules of Rota in full. Here stands what every program on Asynq's keys can see.
"""

from datetime import datetime
from typing import Annotated

import typer

from rota.cli import output
from rota.cli.inspecting import name_heading, opened
from rota.cli.option_types import AsJson, Url
from rota.core.text import counted
from rota.inspect import EnqueueEventSnapshot, SchedulerEntrySnapshot

program = typer.Typer(
    name="cron",
    no_args_is_help=True,
    help="Entries of running schedulers, of Rota and of Asynq.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
Ids = Annotated[list[str], typer.Argument(help="The IDs of entries, as `rota cron list` shows them.")]


@program.command(name="list")
def list_entries(url: Url = None, as_json: AsJson = False) -> None:
    """List the entries: when each is next, and when it was last."""
    with opened(url) as inspector:
        found = inspector.scheduler_entries()
    if as_json:
        output.print_json(found)
    elif not found:
        output.note("No running scheduler shows an entry. `rota schedule list` shows what is stored.")
    else:
        _print_entries(found)


def _print_entries(found: list[SchedulerEntrySnapshot]) -> None:
    at = output.now()
    columns = [
        output.Column("entry", folds=True),
        output.Column("kind"),
        *(output.Column(title, folds=True) for title in ("spec", "type")),
        output.Column("next"),
        output.Column("last"),
        *(output.Column(title, folds=True, optional=True) for title in ("options", "payload")),
    ]
    rows = [
        (
            entry.id,
            "Go" if entry.is_go else "Rota",
            entry.spec,
            entry.task_type,
            _next(entry, at),
            output.relative(entry.previous_at, at),
            ", ".join(entry.options) or "-",
            _text(entry.payload),
        )
        for entry in found
    ]
    output.print_table(columns, rows)


def _next(entry: SchedulerEntrySnapshot, at: datetime) -> str:
    """Return when an entry fires next, and why not before."""
    if not entry.pause:
        return output.relative(entry.next_at, at)
    return entry.pause if entry.next_at is None else f"{output.relative(entry.next_at, at)} ({entry.pause})"


def _text(payload: bytes) -> str:
    """Return a payload for people."""
    try:
        return payload.decode() or "-"
    except UnicodeDecodeError:
        return counted(len(payload), "byte")


@program.command()
def history(
    ids: Ids,
    page: Annotated[int, typer.Option(help="Which page.")] = 1,
    size: Annotated[int, typer.Option(help="Lines of a page; at most 500.")] = 30,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Show the tasks that entries have enqueued, the latest first. The last 1,000 of each entry are kept."""
    with opened(url) as inspector:
        found = {each: inspector.enqueue_events(each, page=page, size=size) for each in dict.fromkeys(ids)}
    if as_json:
        output.print_json(found)
        return
    for number, (each, events) in enumerate(found.items()):
        if number:
            typer.echo()
        if len(found) > 1:
            name_heading(each)
        _print_events(each, events, page)


def _print_events(entry: str, events: list[EnqueueEventSnapshot], page: int) -> None:
    if not events:
        where = f" on page {page}" if page > 1 else ""
        output.note(f"The entry {entry} has enqueued nothing{where}, or there is none with this ID.")
        return
    at = output.now()
    rows = [
        (
            event.task_id,
            "-" if event.enqueued_at is None else f"{event.enqueued_at:%Y-%m-%d %H:%M:%S} UTC",
            output.relative(event.enqueued_at, at),
        )
        for event in events
    ]
    output.print_table([output.Column("task", folds=True), output.Column("enqueued"), output.Column("")], rows)
