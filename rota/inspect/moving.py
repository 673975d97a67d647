"""Moves tasks to another queue.

On one server a move is one script (`move_at_once`). On a Cluster, and for a deletion that can be undone, the steps are
those of `rota.wire.aside`. If the process dies between two of them, the tasks are in the archive of their queue with a
note, and the same act again ends what was begun. `doctor` finds them.
"""

import secrets
from collections.abc import Sequence
from typing import Any

from rota.client.steps import Act, Burst, Command
from rota.client.verbs import Verb, change_many, in_calls, queue_of, refusal
from rota.errors import (
    BrokerError,
    BrokerRefused,
    BrokerUnavailable,
    OptionError,
    PayloadError,
    QueueNotFound,
    RotaError,
    StoreError,
    TaskIdConflict,
)
from rota.inspect.face import TaskRef
from rota.inspect.queue_reads import exists
from rota.wire import aside, edit
from rota.wire.aside import TakenTask
from rota.wire.edit import Edited
from rota.wire.keys import Keys
from rota.wire.names import raw

Done = str | RotaError
"""The outcome for one task: the reply of the script, such as `done`; or the error of a refusal."""

_MOVE_NOTE = "This task is being moved to the queue {queue!r}. To finish a move that was cut off, move it there again."
_CANNOT_MOVE = "can't be moved"


def check_target(keys: Keys, queue: str, *, create: bool) -> Act[None]:
    """Raise QueueNotFound if a queue does not exist. With `create`, publish its name instead."""
    if create:
        yield Command(("SADD", keys.queues, queue), keys.queues)
    elif not (yield exists(keys, queue)):
        raise QueueNotFound(
            f"There is no queue {queue!r}, so no task was moved there: check the name, or let the move create it."
        )


def move_at_once(keys: Keys, tasks: Sequence[TaskRef], target: str) -> Act[list[Done]]:
    """Move tasks to a queue that exists on the same server. Ends what a move by steps began."""
    there = keys.queue(target)
    verb = Verb(lambda queue, ids: edit.move(queue, there, ids), _CANNOT_MOVE, is_met=_has_arrived)
    chosen = list(dict.fromkeys(task for task in tasks if task.queue != target))  # a search may find a task twice
    replies = dict(zip(chosen, (yield from change_many(verb, keys, chosen)), strict=True))
    by_steps = [task for task, reply in replies.items() if _needs_steps(reply, target)]
    outcomes: dict[TaskRef, Done] = {}
    if by_steps:
        outcomes = dict(zip(by_steps, (yield from move(keys, by_steps, target)), strict=True))
    for task, reply in replies.items():
        if task not in outcomes:
            is_done = isinstance(reply, Edited) and reply.reply == "done"
            outcomes[task] = "done" if is_done else not_taken_in(task, target, reply)
    return [_is_there(task, target) if task.queue == target else outcomes[task] for task in tasks]


def _has_arrived(reply: Edited) -> bool:
    """Whether a move that was sent again finds that the first sending has moved the task.

    It cannot tell whether the task under this ID in the other queue is another one: then it was there before.
    """
    return reply.reply == "gone" and reply.state != ""


def _needs_steps(reply: Edited | BrokerError, target: str) -> bool:
    """Whether a task is on its way by steps already, or the queues are on two nodes of a Cluster."""
    if isinstance(reply, Edited):
        return reply[:2] == ("aside", target)
    return isinstance(reply, BrokerRefused) and "non local key" in str(
        reply
    )  # the URL names one node as if it were all


def _is_there(task: TaskRef, target: str) -> RotaError:
    return OptionError(f"Task {task.id} cannot be moved to the queue {target!r}, because it is there.")


def move(keys: Keys, tasks: Sequence[TaskRef], target: str) -> Act[list[Done]]:
    """Move tasks by steps to a queue that exists. A refused task is put back where it was."""
    there, token = keys.queue(target), secrets.token_hex(16)
    found = yield from _take_elsewhere(keys, tasks, target, token)
    outcomes: list[Any] = [None] * len(tasks)
    renamed: list[tuple[int, TakenTask]] = []
    for i, (task, taken) in enumerate(zip(tasks, found, strict=True)):
        if taken is None:
            outcomes[i] = _is_there(task, target)
        elif not isinstance(taken, TakenTask):
            outcomes[i] = refused(task, taken, _CANNOT_MOVE)
        else:
            try:
                renamed.append((i, taken.renamed(keys.queue(task.queue), there)))
            except PayloadError as error:
                outcomes[i] = error
    replies = yield from in_calls(
        renamed, lambda each: "", lambda _, some: aside.put(there, [taken for _, taken in some])
    )
    arrived: list[int] = []
    back: list[int] = [i for i, outcome in enumerate(outcomes) if isinstance(outcome, PayloadError)]
    for (i, _), reply in zip(renamed, replies, strict=True):
        if isinstance(reply, BrokerError) and reply.maybe_applied:
            outcomes[i] = left_aside(tasks[i], reply, f"moving it to {target!r}")
        elif isinstance(reply, BrokerError):
            outcomes[i] = reply
            back.append(i)
        elif reply.reply in ("done", "same"):
            arrived.append(i)
        else:
            outcomes[i] = not_taken_in(tasks[i], target, reply)
            back.append(i)
    yield from put_back_all(keys, tasks, found, back, outcomes)
    yield from drop(keys, tasks, found, arrived, outcomes, f"moving it to {target!r}")
    settled = _settled(found, arrived, outcomes, token)
    if settled:
        yield Burst([aside.settle(there, settled)])  # if this fails, the queue remembers them longer
    return outcomes


def _settled(found: Sequence[Any], arrived: Sequence[int], outcomes: Sequence[Any], token: str) -> list[str]:
    """Return the batches of this move of which no task is still aside.

    A batch of an earlier move, which was cut off, may have tasks that are not among these.
    """
    taken = {i: each.batch for i, each in enumerate(found) if isinstance(each, TakenTask)}
    still = {batch for i, batch in taken.items() if isinstance(outcomes[i], BrokerError) and outcomes[i].maybe_applied}
    done = {taken[i] for i in arrived if outcomes[i] == "done" and taken[i].startswith(token)}
    return sorted(done - still)


def take(
    keys: Keys, tasks: Sequence[TaskRef], to: str, note: str, token: str
) -> Act[list[TakenTask | Edited | BrokerError]]:
    """Set tasks aside. `to` is the queue to which they go, `""` for the store; `token` is new for each act."""
    # With the queue, because tasks of two queues may have one ID and go to one queue.
    return (
        yield from in_calls(
            tasks,
            queue_of,
            lambda queue, some: aside.take(
                keys.queue(queue), [task.id for task in some], to=to, mark=f"{token}:{queue}", note=note
            ),
        )
    )


def _take_elsewhere(keys: Keys, tasks: Sequence[TaskRef], target: str, token: str) -> Act[list[Any]]:
    """Take the tasks aside that are not in the queue `target`; None stands for those that are."""
    elsewhere = [i for i, task in enumerate(tasks) if task.queue != target]
    taken = yield from take(keys, [tasks[i] for i in elsewhere], target, _MOVE_NOTE.format(queue=target), token)
    found: list[Any] = [None] * len(tasks)
    for i, each in zip(elsewhere, taken, strict=True):
        found[i] = each
    return found


def dropped(
    keys: Keys, tasks: Sequence[TaskRef], found: Sequence[Any], chosen: Sequence[int], *, put_back: bool
) -> Act[list[Edited | BrokerError]]:
    """Delete the `chosen` ones of the tasks that are aside, or put them back; return the reply for each."""
    pairs = [(tasks[i], found[i]) for i in chosen]
    return (
        yield from in_calls(
            pairs,
            lambda pair: pair[0].queue,
            lambda queue, some: aside.drop(keys.queue(queue), [taken for _, taken in some], put_back=put_back),
            lambda edited: edited.reply == ("changed" if put_back else "gone"),
        )
    )


def drop(
    keys: Keys, tasks: Sequence[TaskRef], found: Sequence[Any], chosen: Sequence[int], outcomes: list[Any], how: str
) -> Act[None]:
    """Delete the tasks that have arrived elsewhere."""
    replies = yield from dropped(keys, tasks, found, chosen, put_back=False)
    for i, reply in zip(chosen, replies, strict=True):
        if isinstance(reply, BrokerError):
            outcomes[i] = left_aside(tasks[i], reply, how)
        elif reply.reply in ("done", "gone"):
            outcomes[i] = "done"
        else:
            outcomes[i] = refusal(
                tasks[i].queue,
                tasks[i].id,
                reply,
                f"was not deleted: it was changed while {how}, and is there twice now",
            )


def put_back_all(
    keys: Keys, tasks: Sequence[TaskRef], found: Sequence[Any], chosen: Sequence[int], outcomes: list[Any]
) -> Act[None]:
    """Put refused tasks back where they were. Their outcomes stay, unless that fails."""
    last_first = chosen[::-1]  # each pending one goes to the front, so the first of them has to be the last here
    replies = yield from dropped(keys, tasks, found, last_first, put_back=True)
    for i, reply in zip(last_first, replies, strict=True):
        if isinstance(reply, BrokerError):
            outcomes[i] = left_aside(tasks[i], reply, "putting it back")


def refused(task: TaskRef, reply: Edited | BrokerError, cannot: str) -> RotaError:
    """Return the error for a task that was not set aside."""
    return reply if isinstance(reply, BrokerError) else refusal(task.queue, task.id, reply, cannot)


def not_taken_in(task: TaskRef, queue: str, reply: Edited | BrokerError) -> RotaError:
    """Return the error for a task that was not put into a queue."""
    if isinstance(reply, BrokerError):
        return reply
    if reply.reply == "conflict":
        return TaskIdConflict(
            f"Task {task.id} of queue {task.queue!r} was left as it was: a task with this ID is in the queue {queue!r} "
            f"({reply.state}). Delete that one first, or leave this one where it is.",
        )
    if reply.reply == "unreadable":
        return PayloadError(
            f"Task {task.id} of queue {task.queue!r} was left as it was, because its message cannot be read. It can "
            "only be archived or deleted."
        )
    return refusal(task.queue, task.id, reply, _CANNOT_MOVE)


def left_aside(task: TaskRef, error: BrokerError | StoreError, how: str) -> RotaError:
    """Return the error for a task that is aside now, because a step after the first one failed."""
    text = (
        f"Task {raw(task.id).decode(errors='replace')} in queue {task.queue!r} is in the archive with a note, because "
    )
    return BrokerUnavailable(f"{text}{how} was cut off: {error} Do it again to finish.", maybe_applied=True)
