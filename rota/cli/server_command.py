"""`rota server`: what the Redis or Valkey server says about itself, judged in words."""

import typer

from rota.cli import output
from rota.cli.inspecting import JUDGEMENT_STYLES, fact_text, labelled, name_heading, opened
from rota.cli.language import translated
from rota.cli.option_types import AsJson, Url
from rota.core.text import counted
from rota.inspect import BrokerSnapshot, Fact, NodeSnapshot
from rota.inspect.judgement import size

SHOWN_SLOW = 5


def command(url: Url = None, as_json: AsJson = False) -> None:
    """Show memory, persistence, clients, replicas and slow commands of the server, each with a judgement.

    The exit code is 1 if something is bad.
    """
    with opened(url) as inspector:
        broker = inspector.broker()
    if as_json:
        output.print_json(broker)
    else:
        _show(broker)
    raise typer.Exit(int(any(fact.judgement == "bad" for fact in broker.all_facts)))


def _show(broker: BrokerSnapshot) -> None:
    for fact in broker.facts:
        _print_fact(fact)
    for number, node in enumerate(broker.nodes):
        if number or broker.facts:
            typer.echo()
        name_heading(f"{node.product or 'Server'} {node.version or ''}, {node.address}".replace(" ,", ","))
        if numbers := _numbers(node):
            output.echo(translated(", ").join(map(translated, numbers)))
        for fact in node.facts:
            _print_fact(fact)
        _print_slow(node)


def _numbers(node: NodeSnapshot) -> list[str]:
    found = [
        None if node.uptime is None else f"up {output.rough(node.uptime)}",
        None if node.keys is None else counted(node.keys, "key"),
        None if node.commands_per_second is None else f"{node.commands_per_second:,} commands/s",
        None if node.memory_peak_bytes is None else f"peak {size(node.memory_peak_bytes)}",
        None if not node.replicas else counted(len(node.replicas), "replica"),
    ]
    return [each for each in found if each is not None]


def _print_fact(fact: Fact) -> None:
    labelled(fact.judgement, fact_text(fact), JUDGEMENT_STYLES[fact.judgement])


def _print_slow(node: NodeSnapshot) -> None:
    if not node.slow:
        return
    at = output.now()
    columns = [
        output.Column("slow command"),
        output.Column("key", folds=True),
        output.Column("took", right=True),
        output.Column(""),
    ]
    slowest = sorted(node.slow, key=lambda each: each.duration, reverse=True)[:SHOWN_SLOW]
    rows = [(each.command, each.key, output.precise(each.duration), output.relative(each.at, at)) for each in slowest]
    typer.echo()
    output.print_table(columns, rows)
