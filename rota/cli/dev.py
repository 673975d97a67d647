"""`rota dev module:app`: runs an embedded server and a worker, and restarts the worker when a file changes."""

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from rota.broker import dev_server
from rota.broker.dev_server import DATA, URL_FILE
from rota.broker.embedded import Embedded
from rota.broker.url import masked
from rota.cli.language import translated
from rota.cli.option_types import settings_of
from rota.cli.reload import Reloader, SecondProgram, can_watch
from rota.cli.target import APP_HELP, SEPARATOR, Discover, ImportFailed, Modules, chosen, load_app
from rota.errors import ConfigError
from rota.settings.origin import CommandLine
from rota.settings.settings import Settings
from rota.tasks import logs


def command(
    context: typer.Context,
    app: Annotated[str | None, typer.Argument(help=APP_HELP)] = None,
    modules: Modules = None,
    discover: Discover = None,
    data: Annotated[Path, typer.Option(help="Where the embedded server keeps its data.")] = DATA,
    watch: Annotated[Path, typer.Option(help="The folder whose changes restart the worker.")] = Path(),
    reload: Annotated[bool, typer.Option(help="Start anew when a Python file changes.")] = True,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Tasks at once.")] = None,
    queues: Annotated[str | None, typer.Option(help="Queues with weights: critical=6,default=3,low=1.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="Any setting: name=value; may be repeated.")
    ] = None,
    log_level: Annotated[logs.LogLevel | None, typer.Option(help=logs.LEVEL_HELP)] = None,
) -> None:
    """Develop: everything in one command, with no server to install.

    An embedded server is started unless the app, ROTA_URL or pyproject.toml names one. Other programs that are started
    in this folder find it. `rota dev shop:app -- uvicorn web:app` runs a second program with the same server.
    """
    program: list[str] | None = context.obj
    if program == []:
        raise ConfigError("Name the program after the --, as in: rota dev shop:app -- uvicorn web:app")
    dev_server.silence()
    target = chosen("dev", app, modules, discover)
    if not watch.is_dir():
        raise ConfigError(f"There is no folder {watch} to watch for changes.")
    said = settings_of(setting or [], concurrency=concurrency, queues=queues)
    settings = _settings(target).updated_by(said)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if reload and not can_watch():
        reload = False
        console.print(
            "[yellow]watchfiles is not installed, so the worker does not restart when a file changes. "
            "To change that: pip install 'rota\\[dev]'[/]"
        )
    if settings.source_of("task_log_level") == "default":
        said = said.with_setting("task_log_level", "info", "--set")  # so that successful tasks show
    environment = dict(os.environ)
    with ExitStack() as stack:
        second = SecondProgram(program, environment, console) if program else None
        if settings.source_of("url") in ("default", "rota dev"):
            environment["ROTA_URL"] = stack.enter_context(Embedded(data)).url
            _announce(console, environment["ROTA_URL"], data)
        reloader = Reloader(_worker(target, said, log_level), environment, console, second)
        code = asyncio.run(reloader.run(watch if reload else None))
    sys.exit(code)


def _settings(target: str) -> Settings:
    try:
        return load_app(target).settings
    except ImportFailed:
        return Settings()  # the worker reports the error, and restarts when the code is fixed


def _announce(console: Console, url: str, data: Path) -> None:
    told = translated(f"embedded server: {masked(url)}, its data is in {data}")
    console.print(f"[dim]{escape(told)}[/]")
    url_file = escape(str((data / URL_FILE).absolute()))
    found = "programs in this folder find it by themselves; elsewhere" if data == DATA else "for other programs"
    console.print(f"[dim]{translated(found)}{translated(': ')}export ROTA_URL=\"$(cat '{url_file}')\"[/]")


def _worker(target: str, said: CommandLine, log_level: logs.LogLevel | None) -> list[str]:
    # Without a supervisor, so that a worker that ends shows its error and is not restarted before the code is fixed.
    words = [sys.executable, "-m", "rota.cli", "worker", *target.split(SEPARATOR), "--no-supervisor", "--follow-parent"]
    options: Sequence[str] = ["--log-level", log_level] if log_level else []
    return [*words, *options, *(word for name, value in said.values.items() for word in ("--set", f"{name}={value}"))]
