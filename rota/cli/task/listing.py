"""`rota task list` and `rota task inspect`: the tasks of a queue or of all, and one task in full."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING, Annotated

import typer

from rota.cli import option_types, output
from rota.cli.language import translated
from rota.cli.opened_app import with_app
from rota.cli.option_types import AsJson, Queue, TaskId, Url
from rota.core.duration import display
from rota.errors import OptionError, TaskNotFound
from rota.inspect import TaskList, TaskRef, TaskSnapshot
from rota.tasks.job import TaskAttempt, TaskState

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


@dataclass(frozen=True, slots=True)
class Listing:
    """Some tasks of one or several lists. `total` counts the tasks in them, `next` is the cursor of the next page."""

    tasks: tuple[TaskSnapshot, ...]
    total: int
    next: str | None = None


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
            return Listing(found.tasks, found.total, found.next)
        return await _several(inspector, queue, state, size)

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


def print_list(found: Listing, now: datetime, *, several_states: bool) -> None:
    """Print tasks as a table. A column that has one value in all rows, the queue or the state, is left out."""
    several = {"queue": len({each.queue for each in found.tasks}) > 1, "state": several_states}
    columns = [
        output.Column("id"),
        *(output.Column(name) for name, wanted in several.items() if wanted),
        output.Column("type", folds=True),
        output.Column("when"),
        output.Column("tries", right=True, optional=True),
        output.Column("error", folds=True, optional=True),
        output.Column("payload", folds=True, optional=True),
    ]
    rows = [
        (
            each.id,
            *([each.queue] if several["queue"] else []),
            *([each.state.value] if several["state"] else []),
            each.type or _damage(each),
            when(each, now),
            f"{each.retried}/{each.max_retry}",
            clipped(each.last_error),
            clipped(readable(each.payload)),
        )
        for each in found.tasks
    ]
    output.print_table(columns, rows)
    if (rest := found.total - len(found.tasks)) > 0:
        output.note(f"{rest} more. `--size`, `--page`, --queue and --state show them.")


def inspect(task_id: TaskId, queue: Queue = None, url: Url = None, as_json: AsJson = False) -> None:
    """Show one task in full: its options, attempts, last error, payload, result and log."""
    task = with_app(url, lambda app: found_task(app.inspector(), task_id, queue))
    if as_json:
        output.print_json(task)
        return
    print_task(task, output.now())


def print_task(task: TaskSnapshot, now: datetime) -> None:
    """Print all that is known of a task."""
    output.print_fields(_facts(task, now))
    for title, text in (
        ("payload", readable(task.payload)),
        ("result", readable(task.result)),
        ("error", task.last_error),
        ("traceback", task.traceback),
        ("log", "\n".join(task.log_lines)),
    ):
        if text:
            output.print_section(title, text)
    if task.attempts:
        _print_attempts(task.attempts, now)


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


def _facts(task: TaskSnapshot, now: datetime) -> dict[str, str]:
    """Return the fields of a task that a person reads first, without those that are not set."""
    moments = {
        "waits since": task.pending_since,
        "runs next": task.next_process_at if task.state in (TaskState.SCHEDULED, TaskState.RETRY) else None,
        "last failed": task.last_failed_at,
        "completed": task.completed_at,
        "lease until": task.lease_until,
        "deadline": task.deadline,
    }
    facts = {
        "id": task.id,
        "queue": task.queue,
        "type": task.type or _damage(task),
        "state": f"{task.state.value} ({_condition(task)})" if _condition(task) else task.state.value,
        "tries": f"{task.retried}/{task.max_retry}",
        **{name: _moment(moment, now) for name, moment in moments.items() if moment is not None},
        "timeout": _length(task.timeout),
        "retention": _length(task.retention),
        "group": task.group,
        "lock": task.unique_key,
        "headers": ", ".join(f"{name}={value}" for name, value in task.headers.items()),
        "progress": _progress(task),
    }
    return {name: value for name, value in facts.items() if value}


def _condition(task: TaskSnapshot) -> str:
    if task.is_orphaned:
        return translated("its worker has died, or lost its lease")
    if task.cancel_reason:
        return translated(f"to be cancelled: {task.cancel_reason}")
    if task.cancel_reason is not None:
        return translated("to be cancelled")
    return task.end


def _damage(task: TaskSnapshot) -> str:
    return translated("(only the ID is left)" if task.is_dangling else "(not readable)")


def _progress(task: TaskSnapshot) -> str:
    report = task.last_report
    if report is None:
        return ""
    if report.total:
        share = f"{output.bar(report.done, report.total, 20)} {report.done / report.total:.0%}"
    else:
        share = f"{report.done:g}"
    return f"{share} {report.text}".rstrip()


def _print_attempts(attempts: Sequence[TaskAttempt], now: datetime) -> None:
    typer.echo()
    columns = [
        output.Column("attempt", right=True),
        output.Column("outcome"),
        output.Column("began"),
        output.Column("took", right=True),
        output.Column("worker", folds=True, optional=True),
        output.Column("error", folds=True, optional=True),
    ]
    output.print_table(
        columns,
        [
            (
                str(each.number),
                each.outcome or "running",
                output.relative(each.started_at, now),
                output.precise(each.ended_at - each.started_at if each.ended_at and each.started_at else None),
                f"{each.host}:{each.pid}" if each.pid is not None else each.worker,
                clipped(each.error),
            )
            for each in attempts
        ],
    )


def when(task: TaskSnapshot, now: datetime) -> str:
    """Return the time that matters in the state of a task: when it runs, failed, completed, or began to wait."""
    moment = {
        TaskState.SCHEDULED: task.next_process_at,
        TaskState.RETRY: task.next_process_at,
        TaskState.ARCHIVED: task.last_failed_at,
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


def _moment(moment: datetime, now: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC ({output.relative(moment, now)})"


def _length(length: timedelta | None) -> str:
    return "" if length is None else display(length)
