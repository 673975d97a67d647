"""`rota group`: the groups of a queue, whose tasks wait to be joined into one."""

from datetime import datetime
from typing import Annotated

import typer

from rota.cli import output
from rota.cli.inspecting import opened
from rota.cli.language import translated
from rota.cli.option_types import AsJson, Url
from rota.core.text import counted
from rota.errors import ConfigError
from rota.inspect import AggregationSnapshot

program = typer.Typer(
    name="group",
    no_args_is_help=True,
    help="Groups: tasks that wait to be joined into one.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@program.callback()
def group() -> None:
    """Make `list` a command of its own also while it is the only one."""


@program.command(name="list")
def list_groups(
    queue: Annotated[str | None, typer.Argument(help="The name of the queue.")] = None,
    by_option: Annotated[str | None, typer.Option("--queue", "-q", hidden=True)] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List the groups of a queue with the number of their tasks."""
    name = queue or by_option
    if name is None:
        raise ConfigError("Which queue? Write rota group list QUEUE; `rota queue list` shows the queues.")
    with opened(url) as inspector:
        found = inspector.groups(name)
    if as_json:
        output.print_json(found)
        return
    if not found:
        output.note(f"The queue {name} has no groups.")
        return
    at = output.now()
    columns = [
        output.Column("group", folds=True),
        output.Column("waiting", right=True),
        output.Column("being joined", folds=True),
    ]
    rows = [
        (each.name, f"{each.size:,}", "; ".join(_until(one, at) for one in each.aggregations) or "-") for each in found
    ]
    output.print_table(columns, rows)


def _until(aggregation: AggregationSnapshot, at: datetime) -> str:
    return translated(f"{counted(aggregation.size, 'task')}, deadline {output.relative(aggregation.deadline, at)}")
