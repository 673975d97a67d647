"""`rota task edit`, `unlock` and `undo`: a new payload, a unique lock in the way, deleted tasks that are put back."""

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from rota.app import Rota
from rota.cli import output, questions
from rota.cli.opened_app import with_app
from rota.cli.option_types import AsJson, Queue, TaskId, Url, Yes
from rota.cli.task.listing import found_refs
from rota.core.text import counted
from rota.errors import OptionError, RotaError, TaskNotFound
from rota.inspect import TrashedTask
from rota.inspect.named_queue import actor


def edit(
    task_id: TaskId,
    payload: Annotated[str, typer.Argument(help="The new payload; - reads it from standard input.")],
    queue: Queue = None,
    run: Annotated[bool, typer.Option("--run", help="Make the task run next.")] = False,
    no_check: Annotated[
        bool, typer.Option("--no-check", help="Do not compare it with the schema that the workers publish.")
    ] = False,
    url: Url = None,
) -> None:
    """Replace the payload of a task that is not running, for example of one that failed on it."""
    data = sys.stdin.buffer.read() if payload == "-" else payload.encode()

    async def act(app: Rota) -> None:
        [ref] = await found_refs(app.inspector(), [task_id], queue)
        questions.guard(f"Replace the payload of task {task_id}?")
        await app.actions(by=actor()).edit(*ref, data, run=run, check=not no_check)

    with_app(url, act)
    output.say("The payload was replaced, and the task is pending." if run else "The payload was replaced.")


def unlock(
    task_id: Annotated[str | None, typer.Argument(help="The task that names the lock.")] = None,
    queue: Queue = None,
    type_name: Annotated[str | None, typer.Option("--type", help="The task type, without an ID.")] = None,
    payload: Annotated[str | None, typer.Option(help="The payload of the type.")] = None,
    key: Annotated[str | None, typer.Option(help="The unique key that the enqueue names.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also if a task holds it that has not ended.")] = False,
    yes: Yes = False,
    url: Url = None,
) -> None:
    """Free a unique lock that is in the way: its task is gone or has ended."""
    if (task_id is None) == (type_name is None):
        raise OptionError("Name the lock by the ID of a task, or by --type with --payload or --key.")
    if type_name is not None and (queue is None or (payload is None) == (key is None)):
        raise OptionError("--type needs --queue, and --payload or --key.")
    if not force:
        questions.guard("Free a unique lock?")
    elif not questions.agreed("Free a lock that a task may hold, so that a second one can run?", yes=yes):
        raise typer.Exit(1)

    async def act(app: Rota) -> bool:
        actions, place = app.actions(by=actor()), queue
        if task_id is not None:
            [(place, name)] = await found_refs(app.inspector(), [task_id], queue)
            lock = await actions.unique_lock(place, name)
            if not lock:
                raise OptionError(f"Task {task_id} has no unique lock.")
        else:
            data = None if payload is None else payload.encode()
            lock = actions.lock_of(place or "", type_name or "", payload=data, key=key)
        return await actions.free_lock(place or "", lock, force=force)

    output.say("The lock was freed." if with_app(url, act) else "The lock was free.")


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
    if listed:
        _print_deleted(with_app(url, lambda app: app.actions().deleted(queue=queue)), as_json)
        return
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
    output.say(f"{counted(len(outcomes) - len(failures), 'task')} put back.")
    for failure in failures[:10]:
        output.fail(str(failure))
    if failures:
        raise typer.Exit(1)


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


COMMANDS: tuple[Callable[..., None], ...] = (undo, edit, unlock)
