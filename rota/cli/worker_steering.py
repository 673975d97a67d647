"""`rota worker list`, `quiet`, `wake`, `stop` and `scale`: the workers that run anywhere, steered over the server."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from rota.cli import output, questions
from rota.cli.opened_app import with_app
from rota.cli.option_types import AsJson, Url, Yes
from rota.core.text import counted
from rota.errors import ConfigError, RotaError, WorkerNotFound
from rota.inspect import ServerSnapshot
from rota.inspect.judgement import size
from rota.inspect.worker_actions import WorkerAnswer, matching

if TYPE_CHECKING:
    from rota.app import Rota
    from rota.inspect import Actions

Names: TypeAlias = Annotated[
    list[str] | None, typer.Argument(help="Workers: an ID or its first characters, host:pid, or all of a host.")
]
All: TypeAlias = Annotated[bool, typer.Option("--all", help="All workers.")]
Fleet: TypeAlias = Annotated[
    bool, typer.Option("--fleet", help="The supervisor of the worker, and so all processes of its command.")
]
Reason: TypeAlias = Annotated[str, typer.Option("--reason", help="Why, for the log of the worker.")]
Order: TypeAlias = "Callable[[Actions, ServerSnapshot], Awaitable[WorkerAnswer]]"
SHORT_ID = 13
"""Characters of an ID that the table shows: `rota-` and the first eight of the UUID."""


def list_workers(
    running: Annotated[
        bool, typer.Option("--running", help="Show each running task, and for how long it runs.")
    ] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List the workers of Rota and the servers of Asynq, with their slots and queues, as of their last heartbeat."""
    servers = with_app(url, lambda app: app.inspector().servers())
    if as_json:
        output.print_json(servers)
    elif not servers:
        output.say("No worker runs. Start one: rota worker module:app")
    elif running:
        _print_running(servers, output.now())
    else:
        _print_workers(servers, output.now())


def _print_workers(servers: Sequence[ServerSnapshot], at: datetime) -> None:
    columns = [
        output.Column("id"),
        output.Column("host:pid", folds=True),
        output.Column("kind"),
        output.Column("version", optional=True),
        output.Column("status"),
        output.Column("busy", right=True),
        output.Column("slots", right=True),
        output.Column("started", optional=True),
        output.Column("memory", right=True, optional=True),
        output.Column("queues", folds=True),
    ]
    output.print_table(columns, [_worker_row(each, at) for each in servers])
    for each in servers:
        if each.blocked_by and each.blocked_for is not None:
            length = output.precise(each.blocked_for)
            output.warn(f"The event loop of {_host_and_pid(each)} has been blocked for {length} by {each.blocked_by}.")


def _worker_row(server: ServerSnapshot, at: datetime) -> tuple[str, ...]:
    return (
        server.id[:SHORT_ID],
        _host_and_pid(server),
        "Go" if server.is_go else "Rota",
        server.version or "-",
        _STATUS.get(server.status, server.status),
        f"{server.active}",
        f"{server.concurrency}",
        output.relative(server.started_at, at),
        "-" if server.memory_bytes is None else size(server.memory_bytes),
        ", ".join(f"{name}={priority}" for name, priority in server.queues.items()),
    )


def _print_running(servers: Sequence[ServerSnapshot], at: datetime) -> None:
    """Print the running tasks of each server, the one that has run the longest first."""
    columns = [
        output.Column("worker", folds=True),
        output.Column("for", right=True),
        output.Column("type", folds=True),
        output.Column("id"),
        output.Column("queue", folds=True),
        output.Column("deadline", optional=True),
    ]
    rows = [
        (
            _host_and_pid(server),
            "-" if task.started_at is None else output.rough(max(at - task.started_at, timedelta(0))),
            task.type,
            task.id,
            task.queue,
            output.relative(task.deadline, at, units=1),
        )
        for server in servers
        for task in sorted(server.running, key=lambda task: task.started_at or at)
    ]
    if rows:
        output.print_table(columns, rows)
    else:
        output.say("No worker runs a task at the moment.")


def _host_and_pid(server: ServerSnapshot) -> str:
    return f"{server.host}:{server.pid}"


def quiet(
    names: Names = None,
    everything: All = False,
    fleet: Fleet = False,
    reason: Reason = "",
    url: Url = None,
) -> None:
    """Let workers take no more tasks. Running tasks go on, and `wake` ends it."""
    _order(
        names,
        everything,
        url,
        "Quiet {count}?",
        "takes no more tasks",
        lambda actions, server: actions.quiet_worker(server, fleet=fleet, reason=reason),
    )


def wake(
    names: Names = None, everything: All = False, fleet: Fleet = False, reason: Reason = "", url: Url = None
) -> None:
    """Let workers take tasks again that were quieted."""
    _order(
        names,
        everything,
        url,
        "Wake {count}?",
        "takes tasks again",
        lambda actions, server: actions.wake_worker(server, fleet=fleet, reason=reason),
    )


def stop(
    names: Names = None,
    everything: All = False,
    fleet: Fleet = False,
    reason: Reason = "",
    yes: Yes = False,
    url: Url = None,
) -> None:
    """Stop workers gently: running tasks may finish. A supervisor starts another process, or stops with --fleet."""
    _order(
        names,
        everything,
        url,
        "Stop {count}?",
        "stops",
        lambda actions, server: actions.stop_worker(server, fleet=fleet, reason=reason),
        yes=yes,
    )


def scale(
    concurrency: Annotated[int, typer.Argument(min=1, help="Tasks at once in each process.")],
    names: Names = None,
    everything: All = False,
    reason: Reason = "",
    url: Url = None,
) -> None:
    """Change how many tasks workers run at once, until their processes end. Running tasks go on."""
    _order(
        names,
        everything,
        url,
        "Scale {count}?",
        f"runs up to {counted(concurrency, 'task')} at once",
        lambda actions, server: actions.scale_worker(server, concurrency, reason=reason),
    )


def _order(
    names: list[str] | None,
    everything: bool,
    url: str | None,
    question: str,
    done: str,
    order: Order,
    yes: bool = True,
) -> None:
    """Give an order to each of the named workers. The exit code is 1 if one of them did not obey.

    With `yes` the question is asked only for a profile with `confirm`.
    """
    if bool(names) == everything:
        raise ConfigError("Which workers? Name them, or write --all. `rota worker list` shows them.")

    async def act(app: "Rota") -> bool:
        servers = _chosen(await app.inspector().servers(), names)
        if not questions.agreed(question.format(count=counted(len(servers), "worker")), yes=yes):
            return False
        actions, well = app.actions(), True
        for server in servers:
            well = await _give(actions, server, order, done) and well
        return well

    if not with_app(url, act):
        raise typer.Exit(1)


async def _give(actions: "Actions", server: ServerSnapshot, order: Order, done: str) -> bool:
    name = f"{_host_and_pid(server)} ({server.id[:SHORT_ID]})"
    try:
        answer = await order(actions, server)
    except RotaError as error:
        output.fail(f"{name}: {error}")
        return False
    if answer.is_obeyed:
        output.say(f"{name} {done}.")
        return True
    output.fail(f"{name} did not obey. {answer.refusal}")
    return False


def _chosen(servers: Sequence[ServerSnapshot], names: list[str] | None) -> list[ServerSnapshot]:
    """Return the workers that the names mean. All workers do not include Go servers, which take no orders."""
    if not names:
        chosen = [each for each in servers if not each.is_go]
        if not chosen:
            raise WorkerNotFound("No worker of Rota runs. Start one: rota worker module:app")
        return chosen
    return list({each.id: each for name in names for each in matching(servers, name)}.values())


_STATUS = {"stopped": "quiet", "closed": "stopping"}
"""The meaning of Asynq's words for the status of a server."""
