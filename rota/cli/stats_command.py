"""`rota stats`: all queues at a glance, once or again and again.

With `--watch` the command looks every few seconds, and shows how many tasks of each queue ran per second since then.
When the server is away it says so, keeps the last numbers and goes on.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console

from rota.cli import output
from rota.cli.inspecting import JUDGEMENT_STYLES, STATES, fact_text, heading, labelled, opened, print_states, share
from rota.cli.language import translated
from rota.cli.option_types import AsJson, Url
from rota.core.duration import at_least
from rota.core.text import counted
from rota.errors import BrokerUnavailable
from rota.inspect import BrokerSnapshot, Overview, QueueSnapshot, Rate, ServerSnapshot, SyncInspector
from rota.inspect.judgement import WORST_FIRST, size

MOST_OFTEN = timedelta(milliseconds=500)


@dataclass(frozen=True, slots=True)
class Stats:
    """All queues and servers, and the broker."""

    queues: Sequence[QueueSnapshot]
    servers: Sequence[ServerSnapshot]
    broken: Mapping[str, str]
    """The queues that cannot be read, and why."""
    taken_at: datetime
    broker: BrokerSnapshot
    rates: Mapping[str, Rate]
    """With --watch, the runs per second of each queue since the look before."""


def command(
    url: Url = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again and again, until Ctrl+C.")] = False,
    interval: Annotated[str, typer.Option(help="How often --watch looks.")] = "2s",
    as_json: AsJson = False,
) -> None:
    """Show the tasks by state and queue, today's runs, the workers and the server."""
    seconds = at_least(interval, MOST_OFTEN, "--interval", "each look reads all queues").total_seconds()
    with opened(url) as inspector:
        if not watch:
            _show(inspector.overview(), inspector.broker(), {}, as_json=as_json)
            return
        try:
            _watch(inspector, seconds, as_json=as_json)
        except KeyboardInterrupt:
            output.note("")  # what the shell prints next begins on a line of its own
            raise typer.Exit(0) from None


def _watch(inspector: SyncInspector, seconds: float, *, as_json: bool) -> None:
    console = Console()
    before: Overview | None = None
    while True:
        try:
            seen, broker = inspector.overview(), inspector.broker()
        except BrokerUnavailable as error:
            output.note(f"The server does not answer: {error}")
        else:
            if not as_json:
                console.clear()
            _show(seen, broker, {} if before is None else seen.rates(before), as_json=as_json)
            before = seen
        time.sleep(seconds)


def _show(seen: Overview, broker: BrokerSnapshot, rates: dict[str, Rate], *, as_json: bool) -> None:
    if as_json:
        output.print_json(Stats(seen.queues, seen.servers, seen.broken, seen.taken_at, broker, rates))
        return
    counts = {state: sum(getattr(queue, state) for queue in seen.queues) for state in STATES}
    heading("Tasks by state")
    print_states(counts)
    typer.echo()
    heading("Queues")
    print_queues(seen, rates)
    typer.echo()
    _print_totals(seen)
    _print_broker(broker)


def print_queues(seen: Overview, rates: dict[str, Rate]) -> None:
    """Print a table of all queues. With `rates` it has a column of runs per second."""
    if not seen.queues:
        output.note("There are no queues: no task was ever enqueued on this server.")
    else:
        columns = [output.Column("queue", folds=True), output.Column("state")]
        columns += [output.Column(name, right=True) for name in ("size", "pending", "active", "oldest")]
        columns += [output.Column("per s", right=True)] if rates else []
        columns += [output.Column(name, right=True) for name in ("today", "failed")]
        columns += [output.Column(name, right=True, optional=True) for name in ("workers", "memory")]
        output.print_table(columns, [_row(queue, seen, rates) for queue in seen.queues])
    for name, why in seen.broken.items():
        output.note(f"The queue {name} cannot be read: {why}")


def state_of(queue: QueueSnapshot, seen: Overview) -> str:
    """Return in a word or two how a queue is doing. `refusing` means that only its producers are paused."""
    if queue.producers is not None and queue.producers.kind == "drain":
        return translated("draining")
    if queue.producers is not None and queue.producers.kind == "delete":
        return translated("deleting")
    if queue.is_paused:
        return translated("paused")
    if queue.producers is not None:
        return translated("refusing")
    return translated("served" if seen.consumers(queue.queue) else "no worker")


def oldest(queue: QueueSnapshot) -> str:
    """Return how long the next task has been waiting; `-` if none waits, `?` if the task does not tell."""
    if queue.latency is None:
        return "?"
    return output.rough(queue.latency) if queue.pending else "-"


def _row(queue: QueueSnapshot, seen: Overview, rates: dict[str, Rate]) -> Sequence[str]:
    rate = rates.get(queue.queue)
    return (
        queue.queue,
        state_of(queue, seen),
        f"{queue.size:,}",
        f"{queue.pending:,}",
        f"{queue.active:,}",
        oldest(queue),
        *([f"{rate.processed:,.1f}" if rate else "-"] if rates else []),
        f"{queue.processed:,}",
        f"{queue.failed:,}",
        str(len(seen.consumers(queue.queue))),
        "?" if queue.memory_bytes is None else size(queue.memory_bytes),
    )


def _print_totals(seen: Overview) -> None:
    processed, failed = sum(each.processed for each in seen.queues), sum(each.failed for each in seen.queues)
    go = sum(server.is_go for server in seen.servers)
    slots, busy = sum(each.concurrency for each in seen.servers), sum(each.active for each in seen.servers)
    workers = counted(len(seen.servers), "worker") + (f" ({go} of Go)" if go else "")
    rate = share(failed / processed if processed else None)
    labelled("Today (UTC)", f"{processed:,} run, {failed:,} failed ({rate})")
    labelled("Workers", f"{workers}; {busy:,} of {slots:,} slots busy")


def _print_broker(broker: BrokerSnapshot) -> None:
    for node in broker.nodes:
        product = " ".join(filter(None, (node.product or "?", node.version)))
        memory = "?" if node.memory_bytes is None else size(node.memory_bytes)
        clients = "?" if node.clients is None else counted(node.clients, "client")
        labelled("Server", f"{product} at {node.address}, {memory} used, {clients}")
    worst = sorted(broker.all_facts, key=lambda fact: WORST_FIRST.index(fact.judgement))
    for fact in worst:
        if fact.judgement in ("bad", "watch"):
            labelled(fact.judgement, fact_text(fact), JUDGEMENT_STYLES[fact.judgement])
