"""Frees unique locks: one by its key, or those that tasks name."""

from collections.abc import Sequence

from rota.client.steps import Act, Change, Command
from rota.client.verbs import in_calls, queue_of, refusal
from rota.errors import BrokerError, DuplicateTask, OptionError, TaskStateError
from rota.inspect.face import TaskRef
from rota.inspect.moving import Done
from rota.wire import edit
from rota.wire.edit import Edited
from rota.wire.keys import Keys, QueueKeys

_MOST_READINGS = 5


def free_lock(keys: QueueKeys, lock: str, *, force: bool) -> Act[bool]:
    """Free a lock; False if it was free. Raises TaskStateError if a task holds it."""
    if not lock.startswith(f"{keys.base}unique:"):
        raise OptionError(
            f"{lock!r} is not a unique lock of the queue {keys.queue!r}: these begin with {keys.base}unique:. "
            "The method lock_of returns the lock of a type and a payload."
        )
    for _ in range(_MOST_READINGS):
        holder = yield Command(("GET", lock), lock)
        if holder is None:
            return False
        # A request that is sent again, because its answer was lost, finds the lock free.
        edited: Edited = yield Change(edit.unlock(keys, lock, holder, force=force), lambda found: found.reply == "gone")
        if edited.reply in ("done", "gone"):
            return True
        if edited.reply == "held":
            raise TaskStateError(
                f"The lock {lock} was left as it is: task {edited.id} holds it and is {edited.state}. Wait until "
                "that task has ended, cancel it, or use force."
            )
    raise TaskStateError(f"The lock {lock} is taken by another task at each look, so it was not freed.")


def free_many(keys: Keys, tasks: Sequence[TaskRef], *, force: bool) -> Act[list[Done]]:
    """Free the locks that tasks name. An outcome is `done`, `same` (the lock was free) or `none` (it names none)."""
    outcomes = yield from in_calls(
        tasks,
        queue_of,
        lambda queue, some: edit.free_locks(keys.queue(queue), [task.id for task in some], force=force),
    )
    return [_done(task, each) for task, each in zip(tasks, outcomes, strict=True)]


def _done(task: TaskRef, outcome: Edited | BrokerError) -> Done:
    if isinstance(outcome, BrokerError):
        return outcome
    match outcome.reply:
        case "done" | "same" | "none":
            return outcome.reply
        case "held":
            return TaskStateError(
                f"The lock of task {task.id} in queue {task.queue!r} was left as it is: the task holds it and is "
                f"{outcome.state}. Wait until it has ended, cancel it, or use force."
            )
        case "locked":
            return DuplicateTask(
                f"The lock of task {task.id} in queue {task.queue!r} was left as it is: task {outcome.id} holds it "
                f"and is {outcome.state}. Wait until that one has ended, or free its lock by its own ID.",
                task_id=outcome.id,
            )
        case _:
            return refusal(task.queue, task.id, outcome, "can't have its lock freed")
