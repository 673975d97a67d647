"""`rota worker`: runs a worker, and steers the workers that run anywhere.

The first word after `rota worker` decides, by one rule: if it is the name of a command (run, list, quiet, wake, stop,
scale), that command is meant, else `run`. So `rota worker shop:app` and `rota worker --processes 4` run a worker. An
app in a module named like a command is written with its colon, `rota worker list:app`, or after `run`.
"""

from typing import Any, ClassVar

import typer

from rota.cli.lazy_group import LazyGroup, Source

DEFAULT = "run"
_HELP = ("--help", "-h")


class WorkerGroup(LazyGroup):
    """Takes words that do not begin with the name of a command as those of `run`."""

    sources: ClassVar = {
        DEFAULT: Source("worker_command", "command"),
        "list": Source("worker_steering", "list_workers"),
        **{name: Source("worker_steering", name) for name in ("quiet", "wake", "stop", "scale")},
    }

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
