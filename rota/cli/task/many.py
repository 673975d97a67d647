"""Names the tasks of a command, previews an act on them, asks, does it in batches, and prints what was done.

Exit codes: 0 if each task was changed or was as wanted, 1 if one was left as it was, 2 for wrong use, 130 after Ctrl-C.
"""

import asyncio
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, TypeAlias

import typer

from rota.app import Rota
from rota.cli import option_types, output, questions
from rota.cli.opened_app import with_app
from rota.cli.task.listing import found_refs
from rota.cli.task.search_command import note_unread
from rota.core.text import counted
from rota.errors import OptionError, RotaError
from rota.inspect import Actions, Bulk, BulkProgress, Chosen, InState, Matching, Preview, Targets, TaskRef
from rota.inspect.bulk_acts import BulkAct
from rota.inspect.named_queue import actor
from rota.tasks.job import TaskState

Ids: TypeAlias = Annotated[list[str] | None, typer.Argument(help="IDs of tasks.")]
All: TypeAlias = Annotated[bool, typer.Option("--all", help="All tasks of --queue in --state.")]
Where: TypeAlias = Annotated[
    str | None, typer.Option("--where", help="All tasks that a query finds, as in 'state:retry error:timeout'.")
]
State: TypeAlias = Annotated[str | None, typer.Option("--state", "-s", help="The state, with --all.")]
Group: TypeAlias = Annotated[str | None, typer.Option("--group", "-g", help="The group, for aggregating tasks.")]
ActName: TypeAlias = Literal[
    "Run", "Archive", "Delete", "Cancel", "Reschedule", "Move", "Requeue", "Unlock", "Edit", "Edit and run"
]
"""The name of an act in its progress bar, its question (`_ASKED`) and what was done (`_DONE`)."""
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


def act_on(
    act: BulkAct, which: Which, verb: ActName, yes: bool, url: str | None, as_json: bool, *, is_risky: bool = False
) -> None:
    """Do an act to the tasks that a command names, and print the result. A risky act asks for named tasks too."""
    which.check()

    async def run(app: Rota) -> BulkProgress | None:
        bulk = await _asked_for(app, act, which, verb, yes, is_risky)
        if bulk is None:
            return None
        try:
            await _do(app.actions(by=actor()), bulk, verb)
        except RotaError as error:
            _end(bulk.progress, verb, as_json, raised=error)
            raise
        return bulk.progress

    progress = with_app(url, run)
    if progress is None:
        raise typer.Exit(1)
    _end(progress, verb, as_json)
    if progress.stopped or progress.failed:
        raise typer.Exit(STOPPED if progress.stopped else 1)


async def _asked_for(app: Rota, act: BulkAct, which: Which, verb: ActName, yes: bool, is_risky: bool) -> Bulk | None:
    """Preview the act, and ask. Returns None if the answer is no."""
    actions = app.actions(by=actor())
    refs = await found_refs(app.inspector(), which.ids, which.queue)
    if which.ids:
        question = _asked(verb, counted(len(refs), "task"), is_risky)
        if not questions.agreed(question, yes=yes or not is_risky):
            return None
    else:
        seen = await actions.preview(which.targets(refs), act=act)
        _show(seen)
        number = counted(seen.count, "task") if seen.is_exact else f"at least {counted(seen.count, 'task')}"
        if (seen.count or not seen.is_exact) and not questions.agreed(_asked(verb, number, is_risky), yes=yes):
            return None
    return actions.bulk(act, which.targets(refs))


async def _do(actions: Actions, bulk: Bulk, verb: ActName) -> None:
    """Do all batches. Ctrl-C stops after the one that is being done."""
    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError):  # where the loop knows no signals, Ctrl-C interrupts the command
        loop.add_signal_handler(signal.SIGINT, bulk.stop)
    try:
        with output.progress(verb, bulk.progress.total) as done:
            async for progress in actions.batches(bulk):
                done(progress.seen)
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


_ASKED = {
    "Unlock": "Free the unique locks of {}?",
    "Unlock by force": "Free the unique locks of {}, so that second ones can run beside those that hold them?",
    "Edit": "Replace the payload of {}?",
    "Edit and run": "Replace the payload of {} and run them?",
}
_DONE: dict[ActName, str] = {
    "Run": "{} now pending.",
    "Archive": "{} archived.",
    "Delete": "{} deleted.",
    "Cancel": "{} cancelled.",
    "Reschedule": "{} rescheduled.",
    "Move": "{} moved.",
    "Requeue": "{} put back.",
    "Unlock": "{} without a lock now.",
    "Edit": "{} with the new payload.",
    "Edit and run": "{} with the new payload, now pending.",
}


def _asked(verb: ActName, number: str, is_risky: bool) -> str:
    key = f"{verb} by force" if is_risky else verb
    return _ASKED[key].format(number) if key in _ASKED else f"{verb} {number}?"


def json_of(progress: BulkProgress) -> dict[str, Any]:
    """Return the progress of an act as a value for JSON."""
    failures = [
        {"queue": each.task.queue, "id": each.task.id, "kind": type(each.error).__name__, "error": str(each.error)}
        for each in progress.failures
    ]
    return {**{each.name: getattr(progress, each.name) for each in fields(progress)}, "failures": failures}


def _end(progress: BulkProgress, verb: ActName, as_json: bool, raised: RotaError | None = None) -> None:
    """Print what was done. `raised` has ended the act: it is printed after this, and alone if nothing was tried."""
    if as_json and (progress.seen or raised is None):
        output.print_json(json_of(progress))
    elif not as_json and (progress.seen > 1 or raised is None):
        _tell(progress, verb, raised)


def _tell(progress: BulkProgress, verb: ActName, raised: RotaError | None) -> None:
    output.say(_DONE[verb].format(counted(progress.done, "task")))
    if verb in _ASKED and progress.same:
        output.note(f"Of these, {counted(progress.same, 'task')} needed no change.")
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
