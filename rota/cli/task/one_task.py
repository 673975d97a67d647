"""`rota task inspect`: one task in full."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import typer

from rota.cli import output
from rota.cli.language import translated
from rota.cli.opened_app import with_app
from rota.cli.option_types import AsJson, Queue, TaskId, Url
from rota.cli.task.listing import RunningPlace, clipped, damage, found_task, readable, running_places
from rota.core.duration import display
from rota.inspect import TaskSnapshot
from rota.tasks.job import TaskAttempt, TaskState

if TYPE_CHECKING:
    from rota.app import Rota


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedTask(TaskSnapshot):
    """A task in full: with its lease and its condition, and with the server that runs it."""

    running: RunningPlace | None = None
    """Where an active task runs, and since when; None if it began after the last heartbeat of its worker."""

    @classmethod
    def of(cls, task: TaskSnapshot, running: Sequence[RunningPlace]) -> "InspectedTask":
        """Make it of a task, and of the server that runs it, if there is one."""
        known = {each.name: getattr(task, each.name) for each in fields(task)}
        return cls(**known, running=next(iter(running), None))


def inspect(task_id: TaskId, queue: Queue = None, url: Url = None, as_json: AsJson = False) -> None:
    """Show one task in full: its options, attempts, last error, payload, result and log."""

    async def read(app: "Rota") -> InspectedTask:
        inspector = app.inspector()
        task = await found_task(inspector, task_id, queue)
        return InspectedTask.of(task, await running_places(inspector, [task]))

    task = with_app(url, read)
    if as_json:
        output.print_json(task)
        return
    print_task(task, output.now())


def print_task(task: InspectedTask, now: datetime) -> None:
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


def _facts(task: InspectedTask, now: datetime) -> dict[str, str]:
    """Return the fields of a task that a person reads first, without those that are not set."""
    moments = {
        "waits since": task.pending_since,
        "runs next": task.next_process_at if task.state in (TaskState.SCHEDULED, TaskState.RETRY) else None,
        "runs since": task.running and task.running.started_at,
        "last failed": task.last_failed_at,
        "archived since": task.archived_at,
        "completed": task.completed_at,
        "lease until": task.lease_until,
        "deadline": task.deadline,
    }
    facts = {
        "id": task.id,
        "queue": task.queue,
        "type": task.type or damage(task),
        "state": f"{task.state.value} ({_condition(task)})" if _condition(task) else task.state.value,
        "worker": f"{task.running.host}:{task.running.pid}" if task.running else "",
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


def _moment(moment: datetime, now: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC ({output.relative(moment, now)})"


def _length(length: timedelta | None) -> str:
    return "" if length is None else display(length)
