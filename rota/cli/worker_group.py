"""`rota worker`: runs a worker, and steers the workers that run anywhere.

The first word after `rota worker` decides, by one rule: if it is the name of a command (run, list, quiet, wake, stop,
scale), that command is meant, else `run`. So `rota worker shop:app` and `rota worker --processes 4` run a worker. An
app in a module named like a command is written with its colon, `rota worker list:app`, or after `run`.
"""

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperGroup

from rota.cli import worker_command, worker_steering

DEFAULT = "run"
_HELP = ("--help", "-h")


class WorkerGroup(TyperGroup):
    """Takes words that do not begin with the name of a command as those of `run`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `run` before words that belong to it."""
        if not args or args[0] not in (*self.commands, *_HELP):
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


program = typer.Typer(
    name="worker",
    cls=WorkerGroup,
    help="Workers: run one, see all, and steer them. `rota worker module:app` means `rota worker run module:app`.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
_COMMANDS: dict[str, Callable[..., None]] = {
    DEFAULT: worker_command.command,
    "list": worker_steering.list_workers,
    "quiet": worker_steering.quiet,
    "wake": worker_steering.wake,
    "stop": worker_steering.stop,
    "scale": worker_steering.scale,
}
for name, command in _COMMANDS.items():
    program.command(name=name)(command)
