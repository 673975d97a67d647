"""`rota task`: searches tasks, groups their errors, and says why one of them waits."""

import typer

from rota.cli.task import search_command, why_command

program = typer.Typer(name="task", no_args_is_help=True, help="Find tasks, and see what they wait for or failed by.")
program.command(name="search", context_settings=search_command.NO_SHORT_OPTIONS)(search_command.search)
program.command(name="errors", context_settings=search_command.NO_SHORT_OPTIONS)(search_command.errors)
program.command(name="why")(why_command.why)
