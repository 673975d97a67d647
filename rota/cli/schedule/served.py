"""Checks before a schedule is saved: that a worker of its queue takes its task type.

A schedule that names no queue is enqueued to the queue that the type has in the app of the scheduler. It is taken to be
that of the app of the workers.

The types are those that live workers publish. A server that is away, or without live workers, gives no warning, because
schedules are often made before the workers start. A Go server publishes no types, so it may take any.
"""

import sys
from collections.abc import Iterable

from rota.cli import output, questions
from rota.cli.opened_app import app_of
from rota.core.text import counted, did_you_mean
from rota.errors import RotaError
from rota.inspect import TypeList
from rota.schedule.definition import ScheduleDefinition

_QUICK = {"connect_timeout": "1s", "response_timeout": "2s", "retry_for": "0s"}


def warnings_of(definitions: Iterable[ScheduleDefinition], url: str | None) -> list[str]:
    """Return a sentence for each task type that no live worker takes in the queue of its schedule."""
    found = _read(url)
    if found is None or not found.types:
        return []
    tasks = dict.fromkeys((each.task_type, each.queue) for each in definitions)
    return [warning for task in tasks if (warning := _warning(found, *task)) is not None]


def is_elsewhere(before: ScheduleDefinition, after: ScheduleDefinition) -> bool:
    """Whether an edit changes which workers take the tasks."""
    return (before.task_type, before.queue) != (after.task_type, after.queue)


def confirmed(definition: ScheduleDefinition, url: str | None, *, yes: bool, is_new: bool = True) -> bool:
    """Warn if no live worker takes the tasks of a new type or queue, and ask whether to go on. Without a terminal: yes.

    A profile with `confirm` wants its name in any case.
    """
    warnings = warnings_of([definition], url) if is_new else []
    for line in warnings:
        output.warn(line)
    return questions.agreed("Save it?", yes=yes or not warnings or not sys.stdin.isatty())


def _read(url: str | None) -> TypeList | None:
    app = app_of(url, **_QUICK)
    try:
        with app:
            return app.inspector_sync().types()
    except RotaError:  # the schedule can be saved without the server
        return None


def _warning(found: TypeList, name: str, queue: str | None) -> str | None:
    known = found.find(name)
    if known is None:
        text = f"No live worker publishes a handler for the task type {name!r}, so its tasks would wait in their queue."
        if advice := did_you_mean(name, [each.type for each in found.types]):
            text += f" {advice}"
    else:
        queue = queue or known.versions[0].defaults.queue
        if queue in known.queues:
            return None
        text = (
            f"Live workers handle the task type {name!r} only in other queues ({', '.join(known.queues)}), so its "
            f"tasks would wait in the queue {queue!r}. Name the queue of the schedule, or start a worker with --queues "
            f"{queue}."
        )
    if found.unpublished:
        servers = counted(len(found.unpublished), "live server")
        text += f" {servers} may take it: Go servers publish no types, and workers only a moment after their start."
    return text
