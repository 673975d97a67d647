"""Completes queues and task types in the shell from the server.

Completion must never get in the way of typing: the server has 300 ms to answer, nothing is printed, and an answer that
does not come in time, or any error, completes nothing.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rota.broker.sync import SyncBroker

Finder = Callable[[Any, str], list[str]]
_QUICK = {"connect_timeout": "300ms", "response_timeout": "300ms", "retry_for": "0s"}
_MOST = 500
"""Queues that are offered. More of them are read only as far as the first page."""


def complete(parameter: Any, finder: Finder) -> None:
    """Let a parameter be completed by a finder, unless its command has said how to complete it."""
    if getattr(parameter, "_custom_shell_complete", None) is None:

        def found(ctx: typer.Context, incomplete: str) -> list[str]:
            return finder(ctx, incomplete)

        # Typer sets it only from the signature of a command; a test shows whether a new version still reads it.
        vars(parameter)["_custom_shell_complete"] = typer.main.get_param_completion(found)


def queues(ctx: Any, incomplete: str) -> list[str]:
    """Return the queues whose names begin with what was typed."""

    def read(broker: "SyncBroker") -> list[str]:
        _, page = broker.execute("SSCAN", broker.keys.queues, 0, "COUNT", _MOST, key=broker.keys.queues)
        return [name.decode("utf-8", "replace") for name in page]

    return _named(_asked(ctx, read), incomplete)


def task_types(ctx: Any, incomplete: str) -> list[str]:
    """Return the task types of live workers whose names begin with what was typed."""
    from rota.tasks.type_record import unpack
    from rota.wire import look_server

    def read(broker: "SyncBroker") -> list[str]:
        digests = {digest for digest, _ in broker.run(look_server.servers_by_types(broker.keys, 0))}
        keys = [broker.keys.published_types(digest) for digest in digests]
        records = [broker.execute("GET", key, key=key) for key in keys]
        return [each.type for record in records if record is not None for each in unpack(record).types]

    return _named(_asked(ctx, read), incomplete)


def _asked(ctx: Any, read: "Callable[[SyncBroker], list[str]]") -> list[str]:
    """Ask the server of the command line that is being typed."""
    from rota.cli.opened_app import app_of

    try:
        with app_of(ctx.params.get("url"), **_QUICK) as app:
            return read(app.sync_client.origin)
    except Exception:  # of a wrong setting, a server that is away, a right that is missing: typing goes on
        return []


def _named(names: list[str], incomplete: str) -> list[str]:
    return sorted({name for name in names if name.startswith(incomplete) and name.isprintable()})


COMPLETERS: dict[str, Finder] = {
    "queue": queues,
    "queues": queues,
    "to_queue": queues,
    "task_type": task_types,
    "type": task_types,
    "type_name": task_types,
}
"""The finder for an argument or an option, by its name."""
NAMES_OF_QUEUES = "names"
"""The argument of the commands of `rota queue`. Other commands call the names of schedules so."""
TARGET_OF_A_MOVE = (("task", "move"), "to")


def finder_of(path: tuple[str, ...], parameter: str | None) -> Finder | None:
    """Return what completes a parameter of the command with these words; None if nothing does."""
    if (path[:1] == ("queue",) and parameter == NAMES_OF_QUEUES) or (path, parameter) == TARGET_OF_A_MOVE:
        return queues
    return COMPLETERS.get(parameter or "")
