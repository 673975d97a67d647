"""The commands that change tasks: one, several by their IDs, or all of a state.

`rota task run ID` names tasks by their IDs; `rota task run --all --queue mail --state retry` takes all of a queue in
one state, and `rota task run --where "state:archived error:timeout"` all that a query finds. An act on many first says
how many tasks it is about and shows some of them, and asks; `--yes` answers. An act on tasks that are named by their
IDs asks only for a profile with `confirm`. Ctrl-C ends it after the batch that is being done, and what was done is
printed in any case. `rota.cli.task.many` does so for all of them.
"""

from collections.abc import Callable
from typing import Annotated

import typer

from rota.cli import option_types
from rota.cli.option_types import AsJson, Queue, Url, Yes
from rota.cli.task.many import All, Group, Ids, State, Where, Which, act_on
from rota.errors import OptionError
from rota.inspect import Archive, Cancel, Delete, MoveTo, Requeue, Reschedule, RunNow
from rota.tasks.job import TaskState


def run(
    ids: Ids = None,
    queue: Queue = None,
    everything: All = False,
    state: State = None,
    group: Group = None,
    where: Where = None,
    yes: Yes = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Make tasks pending, so that they run next: scheduled, retried, grouped, archived or completed ones."""
    act_on(RunNow(), Which(ids or (), queue, everything, state, group, where), "Run", yes, url, as_json)


def archive(
    ids: Ids = None,
    queue: Queue = None,
    everything: All = False,
    state: State = None,
    group: Group = None,
    where: Where = None,
    yes: Yes = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Archive tasks that are not running. Nothing runs them until `rota task run`."""
    act_on(Archive(), Which(ids or (), queue, everything, state, group, where), "Archive", yes, url, as_json)


def delete(
    ids: Ids = None,
    queue: Queue = None,
    everything: All = False,
    state: State = None,
    group: Group = None,
    where: Where = None,
    no_undo: Annotated[bool, typer.Option("--no-undo", help="Do not keep them for undo, also with a store.")] = False,
    yes: Yes = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Delete tasks that are not running. With a store they are kept for `rota task undo`."""
    which = Which(ids or (), queue, everything, state, group, where)
    act_on(Delete(undo=not no_undo), which, "Delete", yes, url, as_json)


def cancel(
    ids: Ids = None,
    queue: Queue = None,
    everything: All = False,
    state: State = None,
    group: Group = None,
    where: Where = None,
    reason: Annotated[str, typer.Option(help="Why, as the task will show it.")] = "",
    yes: Yes = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Cancel tasks: waiting ones at once, running ones by their workers. They are not retried."""
    act_on(Cancel(reason), Which(ids or (), queue, everything, state, group, where), "Cancel", yes, url, as_json)


def reschedule(
    ids: Ids = None,
    queue: Queue = None,
    everything: All = False,
    state: State = None,
    where: Where = None,
    delay: Annotated[str | None, typer.Option(help="Run after this time: 30s, 5m, 1h30m.")] = None,
    at: Annotated[str | None, typer.Option(help="Run at this time (ISO 8601; local without an offset).")] = None,
    yes: Yes = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Change the time at which waiting tasks run: scheduled, retried or pending ones."""
    when = option_types.duration(delay, "--delay"), option_types.instant(at, "--at")
    if (when[0] is None) == (when[1] is None):
        raise OptionError("Name the time by --delay or by --at.")
    act = Reschedule(when[0] if when[0] is not None else when[1])  # type: ignore[arg-type]
    act_on(act, Which(ids or (), queue, everything, state, None, where), "Reschedule", yes, url, as_json)


def move(
    ids: Ids = None,
    to: Annotated[str, typer.Option("--to", help="The queue to move the tasks to.")] = "",
    queue: Queue = None,
    everything: All = False,
    state: State = None,
    group: Group = None,
    where: Where = None,
    create: Annotated[bool, typer.Option("--create", help="The queue may be new.")] = False,
    yes: Yes = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Move tasks to another queue, in their state, with their options, retries and unique locks."""
    if not to:
        raise OptionError("Name the queue to move the tasks to: --to low.")
    act_on(MoveTo(to, create), Which(ids or (), queue, everything, state, group, where), "Move", yes, url, as_json)


def requeue(
    ids: Ids = None,
    queue: Queue = None,
    everything: Annotated[bool, typer.Option("--all", help="All active tasks of --queue.")] = False,
    yes: Yes = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Put stuck tasks back: active ones whose worker has died. Running ones are left alone."""
    state = TaskState.ACTIVE.value if everything else None
    act_on(Requeue(), Which(ids or (), queue, everything, state, None), "Requeue", yes, url, as_json)


COMMANDS: tuple[Callable[..., None], ...] = (run, archive, delete, cancel, reschedule, move, requeue)
