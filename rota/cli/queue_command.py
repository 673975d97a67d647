"""`rota queue`: the queues, one queue in full, its history, and what steers queues (`queue_steering`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from rota.cli import output, queue_steering
from rota.cli.inspecting import STATES, labelled, name_heading, opened, print_states, share
from rota.cli.language import translated
from rota.cli.option_types import AsJson, Url
from rota.cli.stats_command import oldest, print_queues, state_of
from rota.core.text import counted, did_you_mean
from rota.errors import QueueNotFound
from rota.inspect import DaySnapshot, GroupSnapshot, Overview, QueueSnapshot, SyncInspector
from rota.inspect.judgement import size

program = typer.Typer(
    name="queue",
    no_args_is_help=True,
    help="Queues: what is in them, who works them off; pause, drain and delete them.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
Names = Annotated[list[str], typer.Argument(help="The names of queues.")]
SHOWN_DAYS = 7
SHOWN_GROUPS = 10


@dataclass(frozen=True, slots=True)
class InspectedQueue:
    """One queue in full. `consumers` are the IDs of the servers that take tasks from it, `days` the last seven days."""

    numbers: QueueSnapshot
    consumers: Sequence[str]
    groups: Sequence[GroupSnapshot]
    days: Sequence[DaySnapshot]


@program.command(name="list")
def list_queues(url: Url = None, as_json: AsJson = False) -> None:
    """List the queues with their sizes, the age of the oldest waiting task, and their workers."""
    with opened(url) as inspector:
        seen = inspector.overview()
    if as_json:
        output.print_json(seen.queues)
    else:
        print_queues(seen, {})


@program.command(name="inspect")
def inspect_queues(names: Names, url: Url = None, as_json: AsJson = False) -> None:
    """Show queues in full: tasks by state, groups, the last days, and their workers."""
    with opened(url) as inspector:
        seen = inspector.overview()
        queues = [_found(seen, name) for name in dict.fromkeys(names)]
        parts = [(queue, inspector.groups(queue.queue), inspector.history(queue.queue, SHOWN_DAYS)) for queue in queues]
    if as_json:
        output.print_json([InspectedQueue(queue, _ids(seen, queue), groups, days) for queue, groups, days in parts])
        return
    for number, (queue, groups, days) in enumerate(parts):
        if number:
            typer.echo()
        _show(queue, groups, days, seen)


@program.command()
def history(
    names: Names,
    days: Annotated[int, typer.Option("--days", "-x", help="Number of days, today first; 90 are kept.")] = 10,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Show how many tasks of queues ran and failed on each of the last days (UTC)."""
    with opened(url) as inspector:
        found = {name: _history(inspector, name, days) for name in dict.fromkeys(names)}
    if as_json:
        output.print_json(found)
        return
    for number, (name, each) in enumerate(found.items()):
        if number:
            typer.echo()
        if len(found) > 1:
            name_heading(name)
        _print_days(each)


def _history(inspector: SyncInspector, name: str, days: int) -> list[DaySnapshot]:
    try:
        return inspector.history(name, days)
    except QueueNotFound as error:
        raise _unknown(name, inspector.queues()) from error


def _found(seen: Overview, name: str) -> QueueSnapshot:
    for queue in seen.queues:
        if queue.queue == name:
            return queue
    if name in seen.broken:
        raise QueueNotFound(f"The queue {name!r} cannot be read: {seen.broken[name]}")
    raise _unknown(name, [queue.queue for queue in seen.queues])


def _unknown(name: str, known: Sequence[str]) -> QueueNotFound:
    return QueueNotFound(f"There is no queue {name!r}. {did_you_mean(name, known)}")


def _ids(seen: Overview, queue: QueueSnapshot) -> list[str]:
    return [server.id for server in seen.consumers(queue.queue)]


def _show(queue: QueueSnapshot, groups: Sequence[GroupSnapshot], days: Sequence[DaySnapshot], seen: Overview) -> None:
    name_heading(queue.queue)
    for name, value in _lines(queue, groups, seen):
        labelled(name, value)
    typer.echo()
    print_states({state: getattr(queue, state) for state in STATES})
    typer.echo()
    _print_days(days)


def _lines(queue: QueueSnapshot, groups: Sequence[GroupSnapshot], seen: Overview) -> list[tuple[str, str]]:
    at = output.now()
    since = f"{translated(', ')}{output.relative(queue.paused_at, at)}" if queue.paused_at is not None else ""
    lines = [
        ("State", f"{state_of(queue, seen)}{since}"),
        ("Size", counted(queue.size, "task")),
        ("Oldest", f"{oldest(queue)} waiting" if queue.pending else "no task waits"),
        (
            "Memory",
            "not known: the user may not run MEMORY USAGE" if queue.memory_bytes is None else size(queue.memory_bytes),
        ),
        ("All time", f"{queue.processed_total:,} run, {queue.failed_total:,} failed, {queue.crashed_total:,} crashed"),
    ]
    for name, stop in (("Workers", queue.workers), ("Producers", queue.producers)):
        if stop is not None:
            by = f" by {stop.by}" if stop.by else ""
            why = f": {stop.reason}" if stop.reason else ""
            lines.append((name, f"stopped{by}, {output.relative(stop.since, at)}{why}"))
    if queue.orphaned:
        lines.append(("Orphaned", f"{counted(queue.orphaned, 'task')} of workers that have died"))
    if groups:
        named = ", ".join(f"{group.name} ({group.size})" for group in groups[:SHOWN_GROUPS])
        more = f", … (+{len(groups) - SHOWN_GROUPS})" if len(groups) > SHOWN_GROUPS else ""
        lines.append(("Groups", f"{named}{more}"))
    if queue.in_aggregation:
        lines.append(("Joining", f"{counted(queue.in_aggregation, 'task')} taken from groups by an aggregator"))
    for server in seen.consumers(queue.queue):
        kind = "Go worker" if server.is_go else "Worker"
        started = output.relative(server.started_at, at)
        lines.append(
            (kind, f"{server.host}:{server.pid}; {server.active} of {server.concurrency} slots busy; started {started}")
        )
    return lines


def _print_days(days: Sequence[DaySnapshot]) -> None:
    columns = [
        output.Column("day (UTC)"),
        *(output.Column(name, right=True) for name in ("run", "failed", "errors", "crashed")),
    ]
    rows = [
        (f"{each.day}", f"{each.processed:,}", f"{each.failed:,}", share(each.error_rate), f"{each.crashed:,}")
        for each in days
    ]
    output.print_table(columns, rows)


program.command()(queue_steering.pause)
program.command()(queue_steering.resume)
program.command()(queue_steering.drain)
program.command()(queue_steering.delete)
