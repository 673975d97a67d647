"""Prepares `rota worker` before it fetches tasks: waits for the server, and prints a summary of ten lines.

The worker waits for a server that does not answer, because it may come back. A server that refuses the worker
permanently (wrong password, missing permission, too old) ends the command at its first start, because a retry would not
help.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from rich.cells import set_cell_size
from rich.console import Console
from rich.markup import escape

from rota import events
from rota.app import Rota
from rota.broker.broker import Broker
from rota.broker.server_info import ServerInfo
from rota.cli.language import translated, translated_title
from rota.cli.version import NOT_INSTALLED
from rota.core.this_process import rota_version
from rota.errors import BrokerError, BrokerRefused, ConfigError
from rota.settings.settings import Settings
from rota.settings.values import ProcessRange
from rota.tasks.router import left_out
from rota.worker.consume.wakeup import choose

_MOST_TYPES = 6
_LABEL_WIDTH = 8


@dataclass(frozen=True, slots=True)
class Banner:
    """The values of the summary. `broker` must not hold a password."""

    version: str
    app: str
    broker: str
    server: str
    queues: dict[str, int]
    strict: bool
    concurrency: int
    processes: ProcessRange
    wake_up: str
    types: Sequence[str]
    warnings: Sequence[str]

    def lines(self) -> list[str]:
        """Return the lines with Rich's markup."""
        order = translated("strict: the first that has tasks") if self.strict else translated_title("weighted")
        slots = f"{self.concurrency} at once" + (
            f" in each of {self.processes} processes" if self.processes.most > 1 else ""
        )
        facts = {
            "app": self.app,
            "broker": self.broker,
            "server": self.server,
            "queues": f"{', '.join(f'{name}={weight}' for name, weight in self.queues.items())} ({order})",
            "tasks": translated(slots),
            "types": self._types(),
            "wake-up": self.wake_up,
            "stop": translated("Ctrl-C once: finish what runs; twice: at once"),
        }
        lines = [f"[bold cyan]Rota {escape(self.version)}[/]"]
        lines += [f"  [dim]{_label(name)}[/] {escape(value)}" for name, value in facts.items()]
        if not self.warnings:
            return [*lines, f"  [dim]{_label('warnings')}[/] {translated_title('none')}"]
        return lines + [f"  [yellow]{_label('warning')} {escape(translated(each))}[/]" for each in self.warnings]

    def show(self, console: Console) -> None:
        """Print the banner."""
        for line in self.lines():
            console.print(line, soft_wrap=True, highlight=False)

    def _types(self) -> str:
        if not self.types:
            return translated(
                "none. Tasks are registered when their module is imported: name those modules too, "
                f"rota worker {self.app} module_with_tasks"
            )
        more = len(self.types) - _MOST_TYPES
        return ", ".join(sorted(self.types)[:_MOST_TYPES]) + (translated(f" and {more} more") if more > 0 else "")


def _label(name: str) -> str:
    return set_cell_size(translated_title(name), _LABEL_WIDTH)


FIRST_PAUSE_SECONDS = 0.25
MOST_PAUSE_SECONDS = 5.0
SAY_AGAIN_SECONDS = 60.0

T = TypeVar("T")


async def prepare(
    target: str,
    app: Rota,
    broker: Broker,
    stop_asked: asyncio.Event,
    *,
    first: bool = True,
    show_banner: bool = True,
) -> bool:
    """Wait until the server answers, then print the summary. Returns False if the worker was stopped before.

    `first` is True for the first process of a command. It shows the warnings, in its summary or in the log, and raises
    ConfigError if the server refuses it. A process that is started later keeps waiting in that case, because the rest
    of the fleet works.
    """
    if first:
        for warning in app.settings.warnings():
            events.emit(events.ServerWarning(advice=warning))
    at_once = broker.within(timedelta(0))  # no retries in the broker, because `_answered` retries and logs
    try:
        ask: Callable[[], Awaitable[Banner | ServerInfo]] = (
            _banner(target, app, at_once) if show_banner else at_once.check
        )
        found = await _answered(ask, stop_asked, give_up=first)
    finally:
        await broker.aclose()
    if isinstance(found, Banner):
        found.show(Console(stderr=True))
    elif first and found is not None:
        for warning in (*found.warnings, *left_out()):
            events.emit(events.ServerWarning(advice=warning))
    return found is not None


async def _answered(ask: Callable[[], Awaitable[T]], stop_asked: asyncio.Event, *, give_up: bool) -> T | None:
    pause, said_at = FIRST_PAUSE_SECONDS, 0.0
    while True:
        try:
            found = await _unless(stop_asked, ask())
        except BrokerError as error:
            if give_up and isinstance(error, BrokerRefused):
                raise ConfigError(str(error)) from error
            if not said_at or time.monotonic() - said_at >= SAY_AGAIN_SECONDS:
                said_at = time.monotonic()
                events.emit(events.ServerAwaited(error=error))
        else:
            if said_at and found is not None:
                events.emit(events.ServerAnswers())
            return found
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop_asked.wait(), pause)
        pause = min(2 * pause, MOST_PAUSE_SECONDS)


async def _unless(stop_asked: asyncio.Event, act: Awaitable[T]) -> T | None:
    acting, stopping = asyncio.ensure_future(act), asyncio.ensure_future(stop_asked.wait())
    try:
        await asyncio.wait((acting, stopping), return_when=asyncio.FIRST_COMPLETED)
        return await acting if acting.done() else None
    finally:
        for task in (acting, stopping):
            task.cancel()
        await asyncio.gather(acting, stopping, return_exceptions=True)


def _banner(target: str, app: Rota, broker: Broker) -> Callable[[], Awaitable[Banner]]:
    async def ask() -> Banner:
        settings = app.settings
        facts = await broker.check()
        wake_up = await _wake_up(broker, settings)
        return Banner(
            version=rota_version() or NOT_INSTALLED,
            app=target,
            broker=str(broker.address),
            server=f"{facts.product} {facts.version or '(version unknown)'}"
            + (f", {facts.nodes} masters" if facts.nodes > 1 else ""),
            queues=settings.worker.queues,
            strict=settings.worker.strict_priority,
            concurrency=settings.worker.concurrency,
            processes=settings.supervisor.processes,
            wake_up=wake_up,
            types=[handler.type for handler in app.registry],
            warnings=[*facts.warnings, *unserved(app, settings), *left_out()],
        )

    return ask


def unserved(app: Rota, settings: Settings) -> list[str]:
    """Return a warning about queues of the app's tasks that are not served, if no queues were configured."""
    if settings.source_of("queues") != "default":
        return []  # the queues were configured, so other workers may serve the rest
    named = {handler.options.queue for handler in app.registry if handler.options.queue is not None}
    left = ", ".join(sorted(named - settings.worker.queues.keys()))
    return (
        [f"Tasks go to queues that are not served here: {left}. Name them with --queues or ROTA_QUEUES."]
        if left
        else []
    )


async def _wake_up(broker: Broker, settings: Settings) -> str:
    keys = [broker.keys.queue(name) for name in settings.worker.queues]
    link = await broker.open_link(keys[0].pending)
    try:
        return (await choose(settings.worker.wake_up, broker, link, keys, lambda queue, contended: None)).name
    finally:
        await link.aclose()
