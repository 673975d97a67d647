"""The commands that change tasks: one, several by their IDs, or all of a state.

`rota task run ID` names tasks by their IDs; `rota task run --all --queue mail --state retry` takes all of a queue in
one state, and `rota task run --where "state:archived error:timeout"` all that a query finds. An act on many first says
how many tasks it is about and shows some of them, and asks; `--yes` answers. An act on tasks that are named by their
IDs asks only for a profile with `confirm`. Ctrl-C ends it after the batch that is being done, and what was done is
printed in any case.

Exit codes: 0 if each task was changed or was as wanted, 1 if one was left as it was, 2 for wrong use, 130 after Ctrl-C.
"""

import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Annotated, Any, TypeAlias

import typer

from rota.app import Rota
from rota.cli import option_types, output, questions
from rota.cli.opened_app import with_app
from rota.cli.option_types import AsJson, Queue, Url, Yes
from rota.cli.task.listing import found_refs
from rota.cli.task.search_command import note_unread
from rota.core.text import counted
from rota.errors import BrokerError, OptionError, RotaError, StoreError
from rota.inspect import (
    Actions,
    Archive,
    Bulk,
    BulkProgress,
    Cancel,
    Chosen,
    Delete,
    InState,
    Matching,
    MoveTo,
    Preview,
    Requeue,
    Reschedule,
    RunNow,
    Targets,
    TaskRef,
)
from rota.inspect.bulk import BulkAct
from rota.inspect.named_queue import actor
from rota.tasks.job import TaskState

Ids: TypeAlias = Annotated[list[str] | None, typer.Argument(help="IDs of tasks.")]
All: TypeAlias = Annotated[bool, typer.Option("--all", help="All tasks of --queue in --state.")]
Where: TypeAlias = Annotated[
    str | None, typer.Option("--where", help="All tasks that a query finds, as in 'state:retry error:timeout'.")
]
State: TypeAlias = Annotated[str | None, typer.Option("--state", "-s", help="The state, with --all.")]
Group: TypeAlias = Annotated[str | None, typer.Option("--group", "-g", help="The group, for aggregating tasks.")]
SHOWN_FAILURES = 10
STOPPED = 130


@dataclass(frozen=True, slots=True)
class Which:
    """The tasks that a command names."""

    ids: Sequence[str]
    queue: str | None
    everything: bool = False
    state: str | None = None
    group: str | None = None
    where: str | None = None

    def check(self) -> None:
        """Raise OptionError unless the tasks are named in one way."""
        option_types.one_of(self.state, "--state", [each.value for each in TaskState])
        if sum((self.everything, bool(self.ids), self.where is not None)) != 1:
            raise OptionError("Name tasks by their IDs, by --all with --queue and --state, or by --where.")
        if self.where is not None and self.queue is not None:
            raise OptionError("A query names its queue itself: --where 'queue:mail state:retry'.")
        if self.everything and (self.queue is None or (self.state is None and self.group is None)):
            raise OptionError("--all needs --queue and --state, or --queue and --group.")
        if not self.everything and (self.state is not None or self.group is not None):
            raise OptionError("--state and --group choose tasks with --all. Tasks with IDs need only --queue.")

    def targets(self, refs: Sequence[TaskRef]) -> Targets:
        """Return the tasks for one pass."""
        if self.where is not None:
            return Matching(self.where)
        if not self.everything:
            return Chosen(refs)
        return InState(self.queue or "", self.state or TaskState.AGGREGATING, self.group or "")


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
    _act(RunNow(), Which(ids or (), queue, everything, state, group, where), "Run", yes, url, as_json)


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
    _act(Archive(), Which(ids or (), queue, everything, state, group, where), "Archive", yes, url, as_json)


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
    _act(
        Delete(undo=not no_undo), Which(ids or (), queue, everything, state, group, where), "Delete", yes, url, as_json
    )


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
    _act(Cancel(reason), Which(ids or (), queue, everything, state, group, where), "Cancel", yes, url, as_json)


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
    _act(act, Which(ids or (), queue, everything, state, None, where), "Reschedule", yes, url, as_json)


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
    _act(MoveTo(to, create), Which(ids or (), queue, everything, state, group, where), "Move", yes, url, as_json)


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
    _act(Requeue(), Which(ids or (), queue, everything, state, None), "Requeue", yes, url, as_json)


def _act(act: BulkAct, which: Which, verb: str, yes: bool, url: str | None, as_json: bool) -> None:
    which.check()
    progress = with_app(url, lambda app: _acted(app, act, which, verb, yes))
    if progress is None:
        raise typer.Exit(1)
    if as_json:
        output.print_json(json_of(progress))
    else:
        _tell(progress, verb)
    if progress.stopped or progress.failed:
        raise typer.Exit(STOPPED if progress.stopped else 1)


async def _acted(app: Rota, act: BulkAct, which: Which, verb: str, yes: bool) -> BulkProgress | None:
    actions = app.actions(by=actor())
    refs = await found_refs(app.inspector(), which.ids, which.queue)
    if which.ids:
        questions.guard(f"{verb} {counted(len(refs), 'task')}?")
    else:
        seen = await actions.preview(which.targets(refs), act=act)
        _show(seen)
        number = counted(seen.count, "task") if seen.is_exact else f"at least {counted(seen.count, 'task')}"
        if (seen.count or not seen.is_exact) and not questions.agreed(f"{verb} {number}?", yes=yes):
            return None
    bulk = actions.bulk(act, which.targets(refs))
    await _do(actions, bulk, verb)
    return bulk.progress


async def _do(actions: Actions, bulk: Bulk, verb: str) -> None:
    """Do all batches. Ctrl-C stops after the one that is being done."""
    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError):  # where the loop knows no signals, Ctrl-C interrupts the command
        loop.add_signal_handler(signal.SIGINT, bulk.stop)
    try:
        with output.progress(verb, bulk.progress.total) as done:
            async for progress in actions.batches(bulk):
                done(progress.seen)
    except (BrokerError, StoreError) as error:
        if bulk.progress.seen > 1:
            _tell(bulk.progress, verb, raised=error)
        raise
    finally:
        with suppress(NotImplementedError):
            loop.remove_signal_handler(signal.SIGINT)


def _show(seen: Preview) -> None:
    if seen.is_exact:
        output.note(f"{counted(seen.count, 'task')}." if seen.count else "There is no such task.")
    else:
        output.note(f"At least {counted(seen.count, 'task')}: looked at {seen.scanned:,} of {seen.of:,}.")
    rows = [(info.id, info.type, info.state.value) for info in seen.sample]
    for line in output.aligned(rows):
        typer.echo(f"  {line}", err=True)
    if seen.is_exact and seen.count > len(seen.sample) > 0:
        output.note(f"  and {seen.count - len(seen.sample):,} more")


_DONE = {
    "Run": "{} now pending.",
    "Archive": "{} archived.",
    "Delete": "{} deleted.",
    "Cancel": "{} cancelled.",
    "Reschedule": "{} rescheduled.",
    "Move": "{} moved.",
    "Requeue": "{} put back.",
}


def json_of(progress: BulkProgress) -> dict[str, Any]:
    """Return the progress of an act as a value for JSON."""
    failures = [
        {"queue": each.task.queue, "id": each.task.id, "kind": type(each.error).__name__, "error": str(each.error)}
        for each in progress.failures
    ]
    return {**{each.name: getattr(progress, each.name) for each in fields(progress)}, "failures": failures}


def _tell(progress: BulkProgress, verb: str, raised: RotaError | None = None) -> None:
    """Print what was done. `raised` has ended the act, and is printed after it."""
    output.say(_DONE[verb].format(counted(progress.done, "task")))
    shown = [each for each in progress.failures if each.error is not raised][:SHOWN_FAILURES]
    for failure in shown:
        output.fail(str(failure.error))
    if (rest := progress.failed - len(shown)) > 0:
        output.fail(f"{counted(rest, 'more task' if shown else 'task')} left as they were. --json names the first 100.")
    note_unread(progress.unread)
    if progress.stopped:
        output.note("Stopped. Run the command again to go on.")
    if progress.unkept:
        output.note(f"{progress.unkept:,} of the deleted tasks are not kept any more: other deletions needed the room.")
    if progress.deletion and progress.done > progress.unkept:
        output.note(f"To put them back: rota task undo --deletion {progress.deletion}")


COMMANDS: tuple[Callable[..., None], ...] = (run, archive, delete, cancel, reschedule, move, requeue)
