"""`rota dev module:app`: an embedded server, a worker, and a new start of it whenever a file changes."""

import asyncio
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from rota.broker.embedded import Embedded
from rota.cli.target import load_app
from rota.cli.workshop import Workshop, can_watch
from rota.errors import ConfigError
from rota.settings import Settings

DATA = Path(".rota/server")


def command(
    app: Annotated[str | None, typer.Argument(help="module:app; without it the setting `app` says.")] = None,
    data: Annotated[Path, typer.Option(help="Where the embedded server keeps its data.")] = DATA,
    watch: Annotated[Path, typer.Option(help="The folder whose changes restart the worker.")] = Path(),
    reload: Annotated[bool, typer.Option(help="Start anew when a Python file changes.")] = True,
) -> None:
    """Develop: everything in one command, with no server to install.

    An embedded server is started unless the app, ROTA_URL or pyproject.toml names one.
    """
    target = app or Settings().app
    if not target:
        raise ConfigError("Which application? Write rota dev module:app, or set ROTA_APP.")
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if reload and not can_watch():
        reload = False
        console.print(
            "[yellow]watchfiles is not installed, so the worker does not restart when a file changes. "
            "To change that: pip install 'rota\\[dev]'[/]"
        )
    with ExitStack() as stack:
        environment: dict[str, str] = {}
        if load_app(target).settings.source_of("url") == "default":
            environment["ROTA_URL"] = stack.enter_context(Embedded(data)).url
            console.print(f"[dim]embedded server: {environment['ROTA_URL']}, its data is in {data}[/]")
        # No supervisor: a worker that ends shows why, and waits for the mended code.
        command_line = [sys.executable, "-m", "rota.cli", "worker", target, "--no-supervisor", "--follow-parent"]
        workshop = Workshop(command_line, environment, console)
        code = asyncio.run(workshop.run(watch if reload else None))
    sys.exit(code)
