"""`rota task`: the commands of tasks, in the order that teaches them."""

import typer

from rota.cli import enqueue_command
from rota.cli.task import acting, listing, repairing, search_command, task_log, why_command

program = typer.Typer(
    name="task",
    help="Tasks: find and look at them, see why they wait or failed; enqueue, run, archive, delete and move them.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
program.command(name="list")(listing.list_tasks)
program.command(name="search", context_settings=search_command.NO_SHORT_OPTIONS)(search_command.search)
program.command(name="errors", context_settings=search_command.NO_SHORT_OPTIONS)(search_command.errors)
program.command(name="why")(why_command.why)
program.command(name="inspect")(listing.inspect)
program.command(name="log")(task_log.log)
program.command(name="enqueue")(enqueue_command.command)
for _command in (*acting.COMMANDS, *repairing.COMMANDS):
    program.command(name=_command.__name__)(_command)
