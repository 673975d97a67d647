"""`rota worker module:app`: runs the tasks of an application."""

import asyncio
import sys
from collections.abc import Iterable
from typing import Annotated

import typer
from rich.console import Console

from rota.app import Rota
from rota.broker.broker import Broker
from rota.cli import children, logs, running
from rota.cli.banner import Banner
from rota.cli.target import load_app
from rota.cli.version import rota_version
from rota.errors import ConfigError
from rota.settings import Settings
from rota.worker.wakeup import choose


def command(
    app: Annotated[str | None, typer.Argument(help="module:app; without it the setting `app` says.")] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="Worker processes.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Tasks at once in each process.")] = None,
    queues: Annotated[str | None, typer.Option(help="Queues with weights: critical=6,default=3,low=1.")] = None,
    strict: Annotated[bool | None, typer.Option("--strict", help="Always the heaviest queue that has tasks.")] = None,
    url: Annotated[str | None, typer.Option(help="The server, instead of ROTA_URL.")] = None,
    shutdown_timeout: Annotated[str | None, typer.Option(help="How long running tasks may go on after a stop.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="Any setting: name=value; may be repeated.")
    ] = None,
    log_level: Annotated[logs.LogLevel, typer.Option(help="debug, info, warning or error.")] = "info",
    follow_parent: Annotated[bool, typer.Option("--follow-parent", hidden=True)] = False,
    show_banner: Annotated[bool, typer.Option("--banner/--no-banner", help="Say at the start what is what.")] = True,
) -> None:
    """Run the tasks of an application until Ctrl-C or TERM. A second Ctrl-C stops at once."""
    target = app or Settings().app
    if not target:
        raise ConfigError("Which application? Write rota worker module:app, or set ROTA_APP.")
    logs.set_up(log_level)
    loaded = load_app(target)
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
    settings = loaded.settings = loaded.settings.updated(**said)  # the tasks' own enqueueing follows it too
    if show_banner:
        asyncio.run(_banner(target, loaded, settings)).show(Console(stderr=True))
    if settings.processes.most == 1:
        running.run(loaded, settings, follow_parent=follow_parent)
        return
    own = {**said, "processes": 1}
    words = [word for name, value in own.items() for word in ("--set", f"{name}={value}")]
    single = children.worker_command(target, "--follow-parent", "--no-banner", "--log-level", log_level, *words)
    sys.exit(
        asyncio.run(children.supervise(children.Children(single, settings.processes.least), follow_parent=follow_parent))
    )


def _pairs(words: Iterable[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not separator:
            raise ConfigError(f"--set {word} is not of the form name=value; `rota config` lists the names.")
        pairs[name.strip()] = value
    return pairs


async def _banner(target: str, app: Rota, settings: Settings) -> Banner:
    broker = app.connect()
    try:
        facts = await broker.check()
        wake_up = await _wake_up(broker, settings)
    finally:
        await broker.aclose()
    unknown = [f"{name} is set, but there is no such setting" for name in settings.unknown_environment()]
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
        warnings=[*facts.warnings, *unknown],
    )


async def _wake_up(broker: Broker, settings: Settings) -> str:
    keys = [broker.keys.queue(name) for name in settings.queues]
    link = await broker.open_link(keys[0].pending)
    try:
        return (await choose(settings.wake_up, broker, link, keys, lambda queue, contended: None)).name
    finally:
        await link.aclose()
