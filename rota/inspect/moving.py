"""Moves tasks to another queue, deletes them so that this can be undone, and undoes it.

On one server a move is one script (`move_at_once`). On a Cluster, and for a deletion, the steps are those of
`rota.wire.aside`. If the process dies between two of them, the tasks are in the archive of their queue with a note, and
the same act again ends what was begun. `doctor` finds them.
"""

import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from rota.client.steps import Act, Burst, Command, Outside
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
from rota.inspect.trash import OpenTrash, TrashedTask
from rota.wire import aside, edit
from rota.wire.aside import TakenTask
from rota.wire.edit import Edited
from rota.wire.keys import Keys
from rota.wire.message import unpack
from rota.wire.names import raw

Done = str | RotaError
"""The outcome for one task: the reply of the script, such as `done`; or the error of a refusal."""

_MOVE_NOTE = "This task is being moved to the queue {queue!r}. To finish a move that was cut off, move it there again."
_CANNOT_MOVE = "can't be moved"
_DELETE_NOTE = "This task is being deleted. To finish a deletion that was cut off, delete it again."


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
            outcomes[task] = "done" if is_done else _not_taken_in(task, target, reply)
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
            outcomes[i] = _refused(task, taken, _CANNOT_MOVE)
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
            outcomes[i] = _left_aside(tasks[i], reply, f"moving it to {target!r}")
        elif isinstance(reply, BrokerError):
            outcomes[i] = reply
            back.append(i)
        elif reply.reply in ("done", "same"):
            arrived.append(i)
        else:
            outcomes[i] = _not_taken_in(tasks[i], target, reply)
            back.append(i)
    yield from _put_back(keys, tasks, found, back, outcomes)
    yield from _drop(keys, tasks, found, arrived, outcomes, f"moving it to {target!r}")
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


def delete_kept(keys: Keys, tasks: Sequence[TaskRef], trash: OpenTrash, *, deletion: str, by: str) -> Act[list[Done]]:
    """Delete tasks, after they were stored. If they cannot be stored, they are put back."""
    found = yield from _take(keys, tasks, "", _DELETE_NOTE, secrets.token_hex(16))
    outcomes: list[Any] = [None] * len(tasks)
    kept: list[int] = []
    for i, (task, taken) in enumerate(zip(tasks, found, strict=True)):
        if isinstance(taken, TakenTask):
            kept.append(i)
        else:
            outcomes[i] = _refused(task, taken, "can't be deleted: cancel it first")
    rows = [_trashed(tasks[i], found[i], deletion, by) for i in kept]
    try:
        if rows:
            yield Outside(lambda: _in_trash(trash, lambda place: place.keep_deleted(rows)))
    except StoreError as error:
        for i in kept:
            outcomes[i] = error
        yield from _put_back(keys, tasks, found, kept, outcomes)
    else:
        yield from _drop(keys, tasks, found, kept, outcomes, "deleting it")
    return outcomes


def undo(keys: Keys, rows: Sequence[TrashedTask], trash: OpenTrash) -> Act[list[Done]]:
    """Put deleted tasks back into their queues as they were, and forget the deletion of those."""
    names = sorted({row.queue for row in rows})
    for queue in names:
        yield Command(("SADD", keys.queues, queue), keys.queues)
    tasks = [TaskRef(row.queue, row.task_id) for row in rows]
    taken = [TakenTask(row.task_id, row.id, row.state, row.score, row.lock_ms, row.fields) for row in rows]
    pairs = list(zip(tasks, taken, strict=True))
    replies = yield from in_calls(
        pairs,
        lambda pair: pair[0].queue,
        lambda queue, some: aside.put(keys.queue(queue), [each for _, each in some]),
    )
    outcomes: list[Any] = []
    for task, reply in zip(tasks, replies, strict=True):
        if isinstance(reply, Edited) and reply.reply in ("done", "same"):
            outcomes.append(reply.reply)
        else:
            outcomes.append(_not_taken_in(task, task.queue, reply))
    # A deletion that was cut off before its last step: the task is still there, aside.
    conflicts = [i for i, each in enumerate(outcomes) if isinstance(each, TaskIdConflict)]
    returned = yield from _dropped(keys, tasks, taken, conflicts, put_back=True)
    for i, reply in zip(conflicts, returned, strict=True):
        if isinstance(reply, Edited) and reply.reply == "done":
            outcomes[i] = "done"
    over = [row.id for row, outcome in zip(rows, outcomes, strict=True) if outcome in ("done", "same")]
    if over:
        yield Outside(lambda: _in_trash(trash, lambda place: place.forget_deleted(over)))
    return outcomes


async def _in_trash(trash: OpenTrash, act: Callable[[Any], Any]) -> Any:
    async with trash() as place:
        return await act(place)


def read_trash(trash: OpenTrash, **words: Any) -> Act[list[TrashedTask]]:
    """Read deleted tasks; the keywords are those of `Trash.deleted_tasks`."""
    rows: list[TrashedTask] = yield Outside(lambda: _in_trash(trash, lambda place: place.deleted_tasks(**words)))
    return rows


def _trashed(task: TaskRef, taken: Any, deletion: str, by: str) -> TrashedTask:
    try:
        type_name = unpack(taken.fields.get("msg", b"")).type
    except PayloadError:
        type_name = ""
    return TrashedTask(
        id=taken.mark,
        deletion=deletion,
        queue=task.queue,
        task_id=task.id,
        type=type_name,
        state=taken.state,
        score=taken.score,
        lock_ms=taken.lock_ms,
        deleted_at=datetime.now(UTC),
        deleted_by=by,
        fields=taken.fields,
    )


def _take(
    keys: Keys, tasks: Sequence[TaskRef], to: str, note: str, token: str
) -> Act[list[TakenTask | Edited | BrokerError]]:
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
    taken = yield from _take(keys, [tasks[i] for i in elsewhere], target, _MOVE_NOTE.format(queue=target), token)
    found: list[Any] = [None] * len(tasks)
    for i, each in zip(elsewhere, taken, strict=True):
        found[i] = each
    return found


def _dropped(
    keys: Keys, tasks: Sequence[TaskRef], found: Sequence[Any], chosen: Sequence[int], *, put_back: bool
) -> Act[list[Edited | BrokerError]]:
    pairs = [(tasks[i], found[i]) for i in chosen]
    return (
        yield from in_calls(
            pairs,
            lambda pair: pair[0].queue,
            lambda queue, some: aside.drop(keys.queue(queue), [taken for _, taken in some], put_back=put_back),
            lambda edited: edited.reply == ("changed" if put_back else "gone"),
        )
    )


def _drop(
    keys: Keys, tasks: Sequence[TaskRef], found: Sequence[Any], chosen: Sequence[int], outcomes: list[Any], how: str
) -> Act[None]:
    """Delete the tasks that have arrived elsewhere."""
    replies = yield from _dropped(keys, tasks, found, chosen, put_back=False)
    for i, reply in zip(chosen, replies, strict=True):
        if isinstance(reply, BrokerError):
            outcomes[i] = _left_aside(tasks[i], reply, how)
        elif reply.reply in ("done", "gone"):
            outcomes[i] = "done"
        else:
            outcomes[i] = refusal(
                tasks[i].queue,
                tasks[i].id,
                reply,
                f"was not deleted: it was changed while {how}, and is there twice now",
            )


def _put_back(
    keys: Keys, tasks: Sequence[TaskRef], found: Sequence[Any], chosen: Sequence[int], outcomes: list[Any]
) -> Act[None]:
    """Put refused tasks back where they were. Their outcomes stay, unless that fails."""
    replies = yield from _dropped(keys, tasks, found, chosen, put_back=True)
    for i, reply in zip(chosen, replies, strict=True):
        if isinstance(reply, BrokerError):
            outcomes[i] = _left_aside(tasks[i], reply, "putting it back")


def _refused(task: TaskRef, reply: Edited | BrokerError, cannot: str) -> RotaError:
    return reply if isinstance(reply, BrokerError) else refusal(task.queue, task.id, reply, cannot)


def _not_taken_in(task: TaskRef, queue: str, reply: Edited | BrokerError) -> RotaError:
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


def _left_aside(task: TaskRef, error: BrokerError, how: str) -> RotaError:
    """Make the error for a task that is aside now, because a step after the first one failed."""
    text = (
        f"Task {raw(task.id).decode(errors='replace')} in queue {task.queue!r} is in the archive with a note, because "
    )
    return BrokerUnavailable(f"{text}{how} was cut off: {error} Do it again to finish.", maybe_applied=True)
