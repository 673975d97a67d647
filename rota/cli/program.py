"""The command-line program: its commands, the output of errors, and the standard streams."""

import os
import sys

import typer

from rota.cli import (
    calendar_command,
    config,
    cron_command,
    dev,
    doctor,
    enqueue_command,
    group_command,
    health_command,
    metrics_command,
    output,
    profiles_command,
    queue_command,
    schedule,
    scheduler_command,
    server_command,
    shell_command,
    stats_command,
    store_command,
    task,
    task_types,
    version,
    worker_group,
)
from rota.cli.frame import Frame
from rota.errors import ConfigError, RotaError
from rota.settings.origin import read_project_file
from rota.settings.values import as_utf8

program = typer.Typer(
    name="rota",
    cls=Frame,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
program.callback()(version.option)
program.add_typer(worker_group.program)
program.command(name="scheduler")(scheduler_command.command)
program.command(name="dev")(dev.command)
program.command(name="enqueue")(enqueue_command.command)
program.command(name="health")(health_command.command)
program.command(name="stats")(stats_command.command)
program.add_typer(queue_command.program)
program.add_typer(task.program)
program.add_typer(group_command.program)
program.add_typer(cron_command.program)
program.command(name="metrics")(metrics_command.command)
program.command(name="types")(task_types.command)
program.command(name="server")(server_command.command)
program.command(name="doctor")(doctor.command)
program.add_typer(schedule.program)
program.add_typer(calendar_command.program)
program.add_typer(store_command.program, name="store")
program.command(name="profiles")(profiles_command.command)
program.command(name="shell")(shell_command.command)
program.command(name="config")(config.command)
program.command(name="version")(version.command)

WRONG_USE = 2


def main() -> None:
    """Run the command line. An error that Rota itself raises is printed as one line without a traceback."""
    prepare_streams()
    read_project_file()
    try:
        words, second_program = dev.split_words(sys.argv[1:])
        program(words, obj=second_program, prog_name="rota")  # also for `python -m rota.cli`
    except RotaError as error:
        sys.exit(explain(error))


def explain(error: RotaError) -> int:
    """Print an error as one line, and return its exit code."""
    output.fail(str(error))
    return WRONG_USE if isinstance(error, ConfigError) else 1


def prepare_streams() -> None:
    """Open the standard streams that the caller closed, and cope with a locale that is not UTF-8.

    A closed stream is opened on the null device, because otherwise the first printed line would end the command, and
    the next file or socket would get the number of the stream. A character that the encoding of an output lacks is
    written as an escape. Arguments are decoded as UTF-8.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # opens the lowest free number, which is `number`
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if callable(reconfigure := getattr(stream, "reconfigure", None)):
            reconfigure(errors="backslashreplace")
    sys.argv[1:] = map(as_utf8, sys.argv[1:])
