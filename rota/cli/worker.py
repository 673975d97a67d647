"""`rota worker module:app`: runs the tasks of an application."""

import asyncio
import sys
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Annotated

import typer
from rich.console import Console

from rota.app import Rota
from rota.broker.broker import Broker
from rota.cli import logs, running
from rota.cli.banner import Banner
from rota.cli.parent import while_parent_lives
from rota.cli.target import APP_HELP, MODULES_HELP, chosen, load_app
from rota.cli.version import rota_version
from rota.errors import ConfigError
from rota.settings import Settings
from rota.supervisor.supervisor import Order, Supervisor, supervise
from rota.worker.wakeup import choose


def command(
    app: Annotated[str | None, typer.Argument(help=APP_HELP)] = None,
    modules: Annotated[list[str] | None, typer.Argument(help=MODULES_HELP)] = None,
    processes: Annotated[str | None, typer.Option(help="Worker processes: 4, or 1..8 to follow the load.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Tasks at once in each process.")] = None,
    queues: Annotated[
        str | None, typer.Option(help="Queues with weights: critical=6,default=3,low=1, or JSON.")
    ] = None,
    strict: Annotated[bool | None, typer.Option("--strict", help="Always the heaviest queue that has tasks.")] = None,
    url: Annotated[str | None, typer.Option(help="The server, instead of ROTA_URL.")] = None,
    shutdown_timeout: Annotated[str | None, typer.Option(help="How long running tasks may go on after a stop.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="Any setting: name=value; may be repeated.")
    ] = None,
    log_level: Annotated[logs.LogLevel, typer.Option(help="debug, info, warning or error.")] = "info",
    supervised: Annotated[
        bool, typer.Option("--supervisor/--no-supervisor", help="Whether a small parent watches over the processes.")
    ] = True,
    follow_parent: Annotated[bool, typer.Option("--follow-parent", hidden=True)] = False,
    show_banner: Annotated[bool, typer.Option("--banner/--no-banner", help="Say at the start what is what.")] = True,
) -> None:
    """Run the tasks of an application until Ctrl-C or TERM. A second Ctrl-C stops at once."""
    target = chosen("worker", app, modules)
    logs.set_up(log_level)
    said = {
        "processes": processes,
        "concurrency": concurrency,
        "queues": queues,
        "strict_priority": strict,
        "url": url,
        "shutdown_timeout": shutdown_timeout,
        **_pairs(setting or []),
    }
    said = {name: value for name, value in said.items() if value is not None}
    if supervised:
        sys.exit(asyncio.run(_supervise(Order(target, said, log_level, show_banner), follow_parent)))
    loaded = load_app(target)
    settings = loaded.settings = loaded.settings.updated(**said)  # the tasks' own enqueueing follows it too
    if show_banner:
        asyncio.run(banner(target, loaded, settings)).show(Console(stderr=True))
    running.run(loaded, settings, follow_parent=follow_parent)


async def _supervise(order: Order, follow_parent: bool) -> int:
    supervisor = Supervisor(order)
    async with AsyncExitStack() as stack:
        if follow_parent:
            await stack.enter_async_context(while_parent_lives(supervisor.stop))
        return await supervise(supervisor)


def _pairs(words: Iterable[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not separator:
            # The word is not shown: it may be a URL with a password.
            raise ConfigError("--set needs name=value, as in --set lease=1m; `rota config` lists the names.")
        pairs[name.strip()] = value
    return pairs


async def banner(target: str, app: Rota, settings: Settings) -> Banner:
    """Ask the server what it is, and say what this worker will do."""
    broker = app.connect()
    try:
        facts = await broker.check()
        wake_up = await _wake_up(broker, settings)
    finally:
        await broker.aclose()
    return Banner(
        version=rota_version(),
        app=target,
        broker=str(broker.address),
        server=f"{facts.product} {facts.version or '(version unknown)'}"
        + (f", {facts.nodes} masters" if facts.nodes > 1 else ""),
        queues=settings.queues,
        strict=settings.strict_priority,
        concurrency=settings.concurrency,
        processes=settings.processes,
        wake_up=wake_up,
        types=[handler.type for handler in app.registry],
        warnings=[*facts.warnings, *settings.environment_warnings(), *unserved(app, settings)],
    )


def unserved(app: Rota, settings: Settings) -> list[str]:
    """Warn of queues that tasks of the app name, where nobody has said which queues this worker serves."""
    if settings.source_of("queues") != "default":
        return []  # it was chosen: others may serve the rest
    named = {handler.options.queue for handler in app.registry if handler.options.queue is not None}
    left = ", ".join(sorted(named - settings.queues.keys()))
    return (
        [f"Tasks go to queues that are not served here: {left}. Name them with --queues or ROTA_QUEUES."]
        if left
        else []
    )


async def _wake_up(broker: Broker, settings: Settings) -> str:
    keys = [broker.keys.queue(name) for name in settings.queues]
    link = await broker.open_link(keys[0].pending)
    try:
        return (await choose(settings.wake_up, broker, link, keys, lambda queue, contended: None)).name
    finally:
        await link.aclose()
