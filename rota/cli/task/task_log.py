"""`rota task log`: what the handler of a task has logged; with `--follow` also what it logs from now on."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from rota.cli import output
from rota.cli.opened_app import with_app
from rota.cli.option_types import AsJson, Queue, TaskId, Url
from rota.cli.task.listing import found_task
from rota.errors import TaskNotFound
from rota.inspect import TaskSnapshot
from rota.tasks.job import TaskState

if TYPE_CHECKING:
    from rota.app import Rota

_ENDS = (TaskState.COMPLETED, TaskState.ARCHIVED)
_EVERY_SECONDS = 1.0


def log(
    task_id: TaskId,
    queue: Queue = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the task has ended.")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Print the log lines of a task. The exit code of --follow is 1 if the task has failed."""
    try:
        task = with_app(url, lambda app: _print(app, task_id, queue, follow, _object if as_json else output.echo))
    except KeyboardInterrupt:
        output.note("")  # what the shell prints next begins on a line of its own
        raise typer.Exit(130) from None
    if not follow and not task.log:
        output.note("The task has no log lines: a handler writes them with context.log(...), in Rota workers only.")
    if follow:
        output.note(f"The task is {task.state.value}.")
        raise typer.Exit(1 if task.state == TaskState.ARCHIVED else 0)


def _object(line: str) -> None:
    typer.echo(json.dumps({"line": line}, ensure_ascii=False))


async def _print(
    app: "Rota", task_id: str, queue: str | None, follow: bool, show: Callable[[str], None]
) -> TaskSnapshot:
    inspector = app.inspector()
    task = await found_task(inspector, task_id, queue)
    seen: list[str] = []
    while True:
        lines = task.log_lines
        for line in new_lines(seen, lines):
            show(line)
        seen = lines
        if not follow or task.state in _ENDS:
            return task
        await asyncio.sleep(_EVERY_SECONDS)
        try:
            task = await inspector.task(task.queue, task_id)
        except TaskNotFound:  # it has succeeded, and is not kept
            output.note("The task is gone: it has succeeded without a retention, or was deleted.")
            raise typer.Exit(0) from None


def new_lines(seen: Sequence[str], lines: Sequence[str]) -> Sequence[str]:
    """Return the lines that were not there before. The worker drops the first lines of a long log."""
    for start in range(len(seen)):
        kept = seen[start:]
        if list(lines[: len(kept)]) == list(kept):
            return lines[len(kept) :]
    return lines
