"""`rota queue pause`, `resume`, `drain` and `delete`: who may put tasks into queues and take them out, and the end."""

import asyncio
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from rota.cli import option_types, output, questions
from rota.cli.language import translated
from rota.cli.opened_app import with_app
from rota.cli.option_types import Url, Yes
from rota.core.text import counted
from rota.errors import OptionError, QueueNotFound
from rota.inspect import DeletionProgress, DrainProgress
from rota.inspect.queue_actions import WHOM
from rota.wire.pause import Pauses, Stop, Whom

if TYPE_CHECKING:
    from rota.app import Rota

Queues: TypeAlias = Annotated[list[str], typer.Argument(help="The names of queues.")]
For: TypeAlias = Annotated[
    str, typer.Option("--for", help="Whom: workers, producers or both. Go producers do not obey.")
]
Reason: TypeAlias = Annotated[str, typer.Option("--reason", help="Why, for everybody to see.")]
STOPPED = 130
"""The exit code after Ctrl-C."""
LINE_SECONDS = 10.0
"""How often the progress is printed where the output is not a terminal."""


def pause(queues: Queues, whom: For = "workers", reason: Reason = "", url: Url = None) -> None:
    """Pause queues: workers take no tasks from them, or producers cannot enqueue, or both. `resume` ends it."""
    option_types.one_of(whom, "--for", WHOM)
    chosen: Whom = whom  # type: ignore[assignment]  # checked above
    questions.guard(f"Pause {', '.join(queues)}?")

    async def act(app: "Rota") -> None:
        for queue in queues:
            paused = await app.actions().pause(queue, chosen, reason=reason)
            output.say(f"Queue {queue} is paused for {_words(paused)}.")

    with_app(url, act)


def resume(queues: Queues, whom: For = "both", url: Url = None) -> None:
    """Resume queues that are paused or drained. It also ends a deletion that was broken off, and keeps what is left."""
    option_types.one_of(whom, "--for", WHOM)
    chosen: Whom = whom  # type: ignore[assignment]  # checked above
    questions.guard(f"Resume {', '.join(queues)}?")

    async def act(app: "Rota") -> None:
        for queue in queues:
            was = await app.actions().resume(queue, chosen)
            output.say(_resumed(queue, was))

    with_app(url, act)


def drain(
    queues: Queues,
    reason: Reason = "",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the drain until nothing is left.")] = True,
    timeout: Annotated[str | None, typer.Option(help="How long to follow it: 10m. Then the exit code is 1.")] = None,
    url: Url = None,
) -> None:
    """Refuse new tasks, let the workers run the rest, and show what is left. The queue stays closed until `resume`."""
    limit = option_types.duration(timeout, "--timeout")
    if limit is not None and not wait:
        raise OptionError("--timeout limits how long the drain is followed, so it does not go with --no-wait.")
    questions.guard(f"Drain {', '.join(queues)}?")
    closed: list[str] = []

    async def act(app: "Rota") -> bool:
        for queue in queues:
            await app.actions().drain(queue, reason=reason)
            closed.append(queue)
        if not wait:
            output.say(f"New tasks for {counted(len(queues), 'queue')} are refused until `rota queue resume`.")
            return True
        try:
            async with asyncio.timeout(None if limit is None else limit.total_seconds()):
                for queue in queues:
                    await _follow(app, queue)
        except TimeoutError:
            output.fail("The drain is not done in time. It goes on: new tasks are refused until `rota queue resume`.")
            return False
        return True

    with _told_at_ctrl_c(closed, _drain_goes_on):
        is_done = with_app(url, act)
    if not is_done:
        raise typer.Exit(1)


def delete(
    queues: Queues,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Also while tasks run: they are cancelled, their results discarded.")
    ] = False,
    reason: Reason = "",
    yes: Yes = False,
    url: Url = None,
) -> None:
    """Delete queues with all their tasks, groups, locks and counters. Refused while tasks run. It can be run again."""
    closed: list[str] = []

    async def act(app: "Rota") -> None:
        known = await app.inspector().queues()
        sizes = [
            f"{queue} ({translated(counted((await app.inspector().queue(queue)).size, 'task'))})"
            if queue in known
            else queue
            for queue in queues
        ]
        is_sure = yes or not set(queues) & set(known)
        if not questions.agreed(f"Delete {', '.join(sizes)} for good?", yes=is_sure):
            raise typer.Exit(1)
        for queue in queues:
            closed[:] = [queue]
            await _delete(app, queue, force=force, reason=reason)

    with _told_at_ctrl_c(closed, _left_in_part):
        with_app(url, act)


@contextmanager
def _told_at_ctrl_c(closed: Sequence[str], sentence: Callable[[str], str]) -> Generator[None]:
    """Say after a Ctrl-C how to go on with the queues that are closed, and end the command."""
    try:
        yield
    except KeyboardInterrupt:
        if closed:
            output.note(f"\n{sentence(' '.join(closed))}")
        raise typer.Exit(STOPPED) from None


def _drain_goes_on(queues: str) -> str:
    return f"The drain goes on without this command: new tasks are refused until `rota queue resume {queues}`."


def _left_in_part(queue: str) -> str:
    return (
        f"The deletion of queue {queue} is not done, and the queue stays closed: the same command deletes the rest, "
        f"and `rota queue resume {queue}` keeps it."
    )


async def _follow(app: "Rota", queue: str) -> None:
    if not any(queue in server.queues for server in await app.inspector().servers()):
        output.warn(f"No worker serves the queue {queue!r}, so nothing ends. Start one with --queues {queue}.")
    said, said_at = "", 0.0
    async for progress in app.actions().watch_drain(queue):
        words = left_words(progress, output.now())
        if words != said and (time.monotonic() - said_at >= LINE_SECONDS or progress.is_empty):
            said, said_at = words, time.monotonic()
            output.note(words)
    output.say(f"Queue {queue} is empty. New tasks are refused until `rota queue resume {queue}`.")


def left_words(progress: DrainProgress, at: datetime) -> str:
    """Return what is left of a queue in words, with the forecast."""
    if progress.is_empty:
        return f"{progress.queue}: nothing is left."
    parts = [f"{counted(progress.runnable, 'task')} left, of which {progress.running} run"]
    if progress.later:
        parts.append(f"{progress.later:,} later, the last {output.relative(progress.last_due, at)}")
    if progress.groups:
        parts.append(counted(progress.groups, "group"))
    if progress.is_paused:
        parts.append("but its workers are paused, so nothing ends")
    elif progress.ends_at is not None:
        parts.append(f"done {output.relative(progress.ends_at, at)} at this rate")
    left = translated(", ").join(map(translated, parts))
    return f"{progress.queue}{translated(': ')}{left}{translated('.')}"


async def _delete(app: "Rota", queue: str, *, force: bool, reason: str) -> None:
    last: DeletionProgress | None = None
    with output.progress(f"Deleting {queue}") as show:
        async for last in app.actions().delete_queue(queue, force=force, reason=reason):
            show(last.all_tasks + last.keys)
    if last is None:
        raise QueueNotFound(f"There is no queue {queue!r}.")
    states = ", ".join(f"{number:,} {state}" for state, number in last.tasks.items())
    output.say(f"Queue {queue} is deleted: {states or 'no tasks'}; {counted(last.keys, 'other key')}.")
    if last.came_meanwhile:
        output.warn(
            f"{counted(last.came_meanwhile, 'task')} of them came while it was being deleted, from Go programs, which "
            "do not obey a refusal. Stop these programs, or the queue comes back."
        )
    if not last.others_known:
        output.warn("The user may not run SCAN, so keys that no list names may be left, such as locks without a task.")


def _words(paused: Pauses) -> str:
    """Return for whom a queue is paused, and why."""
    stopped = [name for name, stop in (("workers", paused.workers), ("producers", paused.producers)) if stop]
    stop: Stop = paused.workers or paused.producers or Stop()
    return f"{' and '.join(stopped)}{f' ({stop.reason})' if stop.reason else ''}"


def _resumed(queue: str, was: Pauses) -> str:
    if was.workers is None and was.producers is None:
        return f"Queue {queue} was not paused."
    if was.producers is not None and was.producers.kind == "delete":
        return f"Queue {queue} is resumed. It was being deleted; what was left of it stays."
    return f"Queue {queue} is resumed. It was paused for {_words(was)}."
