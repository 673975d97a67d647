"""`rota worker module:app`: runs the tasks of an application."""

import asyncio
import sys
from contextlib import AsyncExitStack
from typing import Annotated

import typer

from rota.cli.option_types import Url, settings_of
from rota.cli.target import APP_HELP, Discover, Modules, chosen, load_app
from rota.errors import ConfigError
from rota.settings.origin import CommandLine
from rota.settings.settings import Settings
from rota.supervisor.fleet import Order
from rota.supervisor.supervisor import Supervisor, supervise
from rota.tasks import logs


def command(
    app: Annotated[str | None, typer.Argument(help=APP_HELP)] = None,
    modules: Modules = None,
    discover: Discover = None,
    processes: Annotated[str | None, typer.Option(help="Worker processes: 4, or 1..8 to follow the load.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Tasks at once in each process.")] = None,
    queues: Annotated[
        str | None, typer.Option(help="Queues with weights: critical=6,default=3,low=1, or JSON.")
    ] = None,
    strict: Annotated[
        bool | None, typer.Option("--strict", help="Always fetch from the heaviest queue that has tasks.")
    ] = None,
    url: Url = None,
    shutdown_timeout: Annotated[str | None, typer.Option(help="How long running tasks may go on after a stop.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="Any setting: name=value; may be repeated.")
    ] = None,
    log_level: Annotated[logs.LogLevel | None, typer.Option(help=logs.LEVEL_HELP)] = None,
    burst: Annotated[
        bool, typer.Option("--burst", help="Stop when the queues are empty: nothing pending, running or due.")
    ] = False,
    scheduler: Annotated[
        bool | None,
        typer.Option("--scheduler/--no-scheduler", help="Run a scheduler too, if there are schedules or a store."),
    ] = None,
    supervised: Annotated[
        bool, typer.Option("--supervisor/--no-supervisor", help="Run the worker processes under a supervisor.")
    ] = True,
    follow_parent: Annotated[bool, typer.Option("--follow-parent", hidden=True)] = False,
    show_banner: Annotated[bool, typer.Option("--banner/--no-banner", help="Print a summary at startup.")] = True,
) -> None:
    """Run the tasks of an application until Ctrl-C or TERM. A second Ctrl-C stops at once."""
    target = chosen("worker", app, modules, discover)
    said = settings_of(
        setting or [],
        processes=processes,
        concurrency=concurrency,
        queues=queues,
        strict_priority=strict,
        url=url,
        shutdown_timeout=shutdown_timeout,
        scheduler=scheduler,
    )
    order = Order(target, said, log_level, show_banner, burst)
    sys.exit(asyncio.run(_supervise(order, follow_parent)) if supervised else _run_here(order, follow_parent))


def _log_format(said: CommandLine) -> logs.LogFormat:
    """Return the format for the supervisor, until it gets the settings of the app from its first process."""
    try:
        return Settings().updated_by(said).logging.log
    except ConfigError:
        return "text"  # the app may override the wrong setting; otherwise the first process reports it


async def _supervise(order: Order, follow_parent: bool) -> int:
    logs.set_up(order.log_level, _log_format(order.said))
    supervisor = Supervisor(order)
    async with AsyncExitStack() as stack:
        if follow_parent:
            from rota.cli import run_worker as running

            await stack.enter_async_context(running.while_parent_lives(supervisor.stop))
        return await supervise(supervisor)


def _run_here(order: Order, follow_parent: bool) -> int:
    from rota.cli import run_worker as running  # a supervisor has no use for the modules that run tasks

    app = load_app(order.target)
    app.settings = app.settings.updated_by(order.said)  # so that tasks that enqueue use them too
    logs.set_up(order.log_level, app.settings.logging.log)
    return running.run(app, order.target, show_banner=order.show_banner, follow_parent=follow_parent, burst=order.burst)
