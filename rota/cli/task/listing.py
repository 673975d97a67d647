"""`rota task list`: the tasks of a queue or of all. Other commands of tasks find and show tasks with it too."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import product
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from rota.cli import option_types, output
from rota.cli.language import translated
from rota.cli.opened_app import with_app
from rota.cli.option_types import AsJson, Queue, Url
from rota.errors import OptionError, TaskNotFound
from rota.inspect import TaskList, TaskRef, TaskSnapshot
from rota.tasks.job import TaskState

if TYPE_CHECKING:
    from rota.app import Rota
    from rota.inspect import Inspector

STATES = (
    TaskState.ACTIVE,
    TaskState.PENDING,
    TaskState.SCHEDULED,
    TaskState.RETRY,
    TaskState.ARCHIVED,
    TaskState.COMPLETED,
)
"""The states whose tasks are listed where no state is named. A group has to be named for aggregating tasks."""
_CLIPPED = 200


class RunningPlace(NamedTuple):
    """The server that runs an active task, as its last heartbeat says. `server` is its ID."""

    queue: str
    id: str
    server: str
    host: str
    pid: int
    started_at: datetime | None


@dataclass(frozen=True, slots=True)
class Listing:
    """Some tasks of one or several lists. `total` counts the tasks in them, `next` is the cursor of the next page."""

    tasks: tuple[TaskSnapshot, ...]
    total: int
    next: str | None = None
    running: tuple[RunningPlace, ...] = ()
    """Where the active tasks of these run. A task that began after the last heartbeat of its worker is left out."""


def list_tasks(
    queue: Queue = None,
    state: Annotated[str | None, typer.Option("--state", "-s", help="Only tasks in this state.")] = None,
    group: Annotated[
        str | None, typer.Option("--group", "-g", help="The group, for the state aggregating, which needs one.")
    ] = None,
    page: Annotated[int, typer.Option(min=1, help="The page, with --queue and --state.")] = 1,
    size: Annotated[int, typer.Option(min=1, max=500, help="Tasks on a page.")] = 30,
    cursor: Annotated[
        str | None, typer.Option(help="Go on after this page: `next` of its --json. Leaves no task out.")
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List tasks of a queue or of all queues, in the order in which they will run."""
    option_types.one_of(state, "--state", [each.value for each in TaskState])
    if group is not None:
        state = state or TaskState.AGGREGATING.value
    if (page, cursor) != (1, None) and (queue is None or state is None):
        raise OptionError("--page and --cursor go on in one list. Give --queue and --state too.")
    if state == TaskState.AGGREGATING and (group is None or queue is None):
        raise OptionError(
            "Aggregating tasks are listed by group: give --queue and --group. `rota group list` names them."
        )

    async def read(app: "Rota") -> Listing:
        inspector = app.inspector()
        if queue is not None and state is not None:
            found = await inspector.tasks(queue, state, page=page, size=size, cursor=cursor, group=group)
            listing = Listing(found.tasks, found.total, found.next)
        else:
            listing = await _several(inspector, queue, state, size)
        return replace(listing, running=await running_places(inspector, listing.tasks))

    found = with_app(url, read)
    if as_json:
        output.print_json(found)
        return
    if not found.tasks:
        output.note("There is no such task.")
        return
    print_list(found, output.now(), several_states=state is None)


async def _several(inspector: "Inspector", queue: str | None, state: str | None, size: int) -> Listing:
    """Read the first tasks of several lists. A list after the last shown task is only counted."""
    queues = await inspector.queues() if queue is None else [queue]
    shown: list[TaskSnapshot] = []
    total = 0
    for each_state, name in product(STATES if state is None else [TaskState(state)], queues):
        page: TaskList = await inspector.tasks(name, each_state, size=max(1, size - len(shown)))
        shown += page.tasks[: size - len(shown)]
        total += page.total
    return Listing(tuple(shown), total)


async def running_places(inspector: "Inspector", tasks: Sequence[TaskSnapshot]) -> tuple[RunningPlace, ...]:
    """Return where the active ones of these tasks run. That reads all servers, so it is left out where none is."""
    refs = [(each.queue, each.id) for each in tasks if each.state is TaskState.ACTIVE]
    if not refs:
        return ()
    found = {
        (task.queue, task.id): RunningPlace(task.queue, task.id, server.id, server.host, server.pid, task.started_at)
        for server in await inspector.servers()
        for task in server.running
    }
    return tuple(found[ref] for ref in refs if ref in found)


def print_list(found: Listing, now: datetime, *, several_states: bool) -> None:
    """Print tasks as a table. A column that says nothing, such as a queue that all rows share, is left out."""
    running = {(each.queue, each.id): each for each in found.running}
    shown = {
        "queue": len({each.queue for each in found.tasks}) > 1,
        "state": several_states,
        "worker": bool(found.running),
    }
    columns = _columns(several_states)
    rows = [_row(each, running.get((each.queue, each.id)), now) for each in found.tasks]
    kept = [number for number, column in enumerate(columns) if shown.get(column.title, True)]
    output.print_table([columns[number] for number in kept], [[row[number] for number in kept] for row in rows])
    if (rest := found.total - len(found.tasks)) > 0:
        output.note(f"{rest} more. `--size`, `--page`, --queue and --state show them.")


def _columns(several_states: bool) -> list[output.Column]:
    return [
        output.Column("id"),
        output.Column("queue"),
        output.Column("state"),
        output.Column("type", folds=True),
        output.Column("when"),
        output.Column("worker", folds=True, optional=several_states),
        output.Column("tries", right=True, optional=True),
        output.Column("error", folds=True, optional=True),
        output.Column("payload", folds=True, optional=True),
    ]


def _row(task: TaskSnapshot, running: RunningPlace | None, now: datetime) -> tuple[str, ...]:
    return (
        task.id,
        task.queue,
        task.state.value,
        task.type or damage(task),
        when(task, now, None if running is None else running.started_at),
        "-" if running is None else f"{running.host}:{running.pid}",
        f"{task.retried}/{task.max_retry}",
        clipped(task.last_error),
        clipped(readable(task.payload)),
    )


async def found_task(inspector: "Inspector", task_id: str, queue: str | None) -> TaskSnapshot:
    """Return a task by its ID, in the named queue or in the queue that has it. Raises TaskNotFound."""
    [ref] = await found_refs(inspector, [task_id], queue)
    return await inspector.task(*ref)


async def found_refs(inspector: "Inspector", ids: Sequence[str], queue: str | None) -> list[TaskRef]:
    """Return the tasks with these IDs, each in the named queue or in the queue that has it. Raises TaskNotFound."""
    if queue is not None or not ids:
        return [TaskRef(queue or "", task_id) for task_id in ids]
    names = await inspector.queues()
    found = await inspector.chosen_tasks([(name, task_id) for name in names for task_id in ids])
    refs: list[TaskRef] = []
    for task_id in ids:
        match [ref for ref in found if ref.id == task_id]:
            case [ref]:
                refs.append(ref)
            case []:
                raise TaskNotFound(f"No queue has a task {task_id!r}: it was deleted, or its retention is over.")
            case several:
                queues = ", ".join(ref.queue for ref in several)
                raise OptionError(f"Several queues have a task {task_id!r}: {queues}. Name one by --queue.")
    return refs


def damage(task: TaskSnapshot) -> str:
    """Return why a task has no type to show."""
    return translated("(only the ID is left)" if task.is_dangling else "(not readable)")


def when(task: TaskSnapshot, now: datetime, began: datetime | None = None) -> str:
    """Return the time that matters in the state of a task: when it runs, began, ended, or began to wait."""
    moment = {
        TaskState.ACTIVE: began,
        TaskState.SCHEDULED: task.next_process_at,
        TaskState.RETRY: task.next_process_at,
        TaskState.ARCHIVED: task.archived_at,
        TaskState.COMPLETED: task.completed_at,
        TaskState.PENDING: task.pending_since,
    }.get(task.state)
    return output.relative(moment, now, units=1)


def readable(data: bytes) -> str:
    """Return a payload or a result as text; bytes that are not text are counted."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return translated(f"({len(data)} bytes that are not text)")


def clipped(text: str) -> str:
    """Return the beginning of a text, for a cell of a table."""
    return text if len(text) <= _CLIPPED else f"{text[: _CLIPPED - 1]}…"
