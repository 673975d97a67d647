"""The command-line program: its commands, and the output of errors."""

import sys

import typer
from rich.console import Console
from rich.markup import escape

from rota.cli import config, dev, doctor, enqueue_command, health_command, streams, task_types, version, worker_command
from rota.errors import ConfigError, RotaError
from rota.settings.origin import read_project_file

program = typer.Typer(
    name="rota",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
program.callback()(version.option)
program.command(name="worker")(worker_command.command)
program.command(name="dev")(dev.command)
program.command(name="enqueue")(enqueue_command.command)
program.command(name="health")(health_command.command)
program.command(name="types")(task_types.command)
program.command(name="doctor")(doctor.command)
program.command(name="config")(config.command)
program.command(name="version")(version.command)

WRONG_USE = 2


def main() -> None:
    """Run the command line. An error that Rota itself raises is printed as one line without a traceback."""
    streams.prepare()
    read_project_file()
    try:
        words, second_program = dev.split_words(sys.argv[1:])
        program(words, obj=second_program)
    except RotaError as error:
        sys.exit(explain(error))


def explain(error: RotaError) -> int:
    """Print an error as one line, and return its exit code."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"[bold red]error[/] {escape(str(error))}")
    return WRONG_USE if isinstance(error, ConfigError) else 1
