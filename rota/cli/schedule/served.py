"""Checks before a schedule is saved: that a worker takes its task type, and that it will fire at all.

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
    """Return a sentence for each task type that no live worker takes."""
    found = _read(url)
    if found is None or not found.types:
        return []
    names = dict.fromkeys(each.task_type for each in definitions)
    return [_warning(found, name) for name in names if found.find(name) is None]


def confirmed(definition: ScheduleDefinition, url: str | None, *, yes: bool, is_new_type: bool = True) -> bool:
    """Warn if no live worker takes a new task type, and ask whether to go on. Without a terminal the answer is yes.

    A profile with `confirm` wants its name in any case.
    """
    warnings = warnings_of([definition], url) if is_new_type else []
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


def _warning(found: TypeList, name: str) -> str:
    text = f"No live worker publishes a handler for the task type {name!r}, so its tasks would wait in their queue."
    if advice := did_you_mean(name, [each.type for each in found.types]):
        text += f" {advice}"
    if found.unpublished:
        servers = counted(len(found.unpublished), "live server")
        text += f" {servers} may take it: Go servers publish no types, and workers only a moment after their start."
    return text
