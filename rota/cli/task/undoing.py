"""`rota task undo`: puts deleted tasks back."""

from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from rota.app import Rota
from rota.cli import output, questions
from rota.cli.opened_app import with_app
from rota.cli.option_types import AsJson, Queue, Url
from rota.cli.schedule.opened_store import refuse_missing_store
from rota.cli.task.many import SHOWN_FAILURES
from rota.core.text import counted
from rota.errors import OptionError, RotaError, TaskNotFound
from rota.inspect import TrashedTask
from rota.inspect.bulk import MOST_FAILURES
from rota.inspect.named_queue import actor
from rota.settings.settings import Settings


def undo(
    task_id: Annotated[str | None, typer.Argument(help="The deleted task.")] = None,
    queue: Queue = None,
    deletion: Annotated[
        str | None, typer.Option("--deletion", help="All tasks that were deleted together, as `delete` names them.")
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="List deleted tasks that are kept, and change nothing.")
    ] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Put deleted tasks back as they were, as long as they are kept (the setting deleted_age)."""
    if sum((task_id is not None, deletion is not None, listed)) != 1:
        raise OptionError("Name a deleted task by its ID, all of a deletion by --deletion, or list them by --list.")
    if (store_url := Settings().database.store) is not None:
        refuse_missing_store(store_url)
    if listed:
        _print_deleted(with_app(url, lambda app: app.actions().deleted(queue=queue)), as_json)
        return
    if deletion is not None and queue is not None:
        raise OptionError(
            "--deletion puts back all tasks of a deletion, so it does not go with --queue. Leave --queue out."
        )
    questions.guard("Put deleted tasks back?")

    async def act(app: Rota) -> list[str | RotaError]:
        actions = app.actions(by=actor())
        if deletion is not None:
            return await actions.undo_all(deletion)
        kept = await actions.deleted(queue=queue, task_id=task_id, limit=1)
        await actions.undo(kept[0].queue if kept else queue or "default", task_id or "")
        return ["done"]

    outcomes = with_app(url, act)
    failures = [each for each in outcomes if isinstance(each, RotaError)]
    if not outcomes:
        raise TaskNotFound(f"No task of the deletion {deletion!r} is kept. `rota task undo --list` lists what is kept.")
    _print_outcome(len(outcomes) - len(failures), failures, as_json)
    if failures:
        raise typer.Exit(1)


def _print_outcome(done: int, failures: Sequence[RotaError], as_json: bool) -> None:
    if as_json:
        shown = [{"kind": type(each).__name__, "error": str(each)} for each in failures[:MOST_FAILURES]]
        output.print_json({"done": done, "failed": len(failures), "failures": shown})
        return
    output.say(f"{counted(done, 'task')} put back.")
    for failure in failures[:SHOWN_FAILURES]:
        output.fail(str(failure))


def _print_deleted(found: list[TrashedTask], as_json: bool) -> None:
    if as_json:
        output.print_json(found)
        return
    if not found:
        output.note("No deleted task is kept.")
        return
    now = output.now()
    columns = [
        output.Column("id"),
        output.Column("queue"),
        output.Column("type", folds=True),
        output.Column("state"),
        output.Column("deleted"),
        output.Column("by", optional=True),
        output.Column("deletion", optional=True),
    ]
    output.print_table(
        columns,
        [
            (
                each.task_id,
                each.queue,
                each.type,
                each.state,
                output.relative(each.deleted_at, now),
                each.deleted_by,
                each.deletion,
            )
            for each in found
        ],
    )


COMMANDS: tuple[Callable[..., None], ...] = (undo,)
