"""The actions on one task and on many that need more than one request: described once, for both faces.

The simple acts on one task (run, archive, delete, cancel, another time, another payload) are the operations of a client
(`rota.client.operations`). Here are a move to another queue, a stuck task, a unique lock, a deletion that can be
undone, and an act on many.
"""

from abc import ABC
from itertools import islice
from typing import Any, cast

from rota.client.operations import TaskOperations, operation
from rota.client.packing import Packer
from rota.client.steps import Act
from rota.client.verbs import DELETE, change
from rota.errors import ConfigError, RotaError, TaskNotFound
from rota.inspect import moving, unlocking
from rota.inspect.bulk import Bulk, Preview
from rota.inspect.bulk_acts import BulkAct, Delete, EditPayload, MoveTo, doing, meant
from rota.inspect.face import TaskRef
from rota.inspect.kept_deletion import KeptDeletion, delete_kept, undo_all, undo_one
from rota.inspect.moving import Done
from rota.inspect.new_payloads import Editing
from rota.inspect.requeueing import requeue_many
from rota.inspect.targets import Matching, Targets
from rota.inspect.trash import HeldTrash, OpenTrash, TrashedTask
from rota.tasks.job import TaskInfo
from rota.wire.keys import Keys, own_unique_key, unique_key

MOST_PREVIEWED = 10_000
"""How many tasks a preview counts, if their number cannot be asked for."""
MOST_SCANNED = 100_000
"""How many tasks the search of a preview looks at."""


class TaskActions(TaskOperations, ABC):
    """All actions on tasks. With a `trash`, deleted tasks are kept there, so that `undo` can put them back."""

    def __init__(
        self, keys: Keys, packer: Packer, trash: OpenTrash | None = None, by: str = "", *, clustered: bool = False
    ) -> None:
        super().__init__(keys, packer)
        self._trash, self._by = trash, by
        self._move = moving.move if clustered else moving.move_at_once

    @operation
    def delete(self, queue: str, task_id: str) -> Act[None]:
        """Delete a task that does not run, and release its unique lock. It is kept for `undo` if there is a store."""
        if self._trash is None:
            yield from change(DELETE, self._queue_keys(queue, task_id), task_id)
        else:
            self._queue_keys(queue, task_id)
            yield from _only(delete_kept(self._keys, [TaskRef(queue, task_id)], self._trash, by=self._by))

    @operation
    def move(self, queue: str, task_id: str, to: str, *, create: bool = False) -> Act[None]:
        """Move a task to another queue, in its state, with its options, retries and unique lock.

        It is in one of the two queues at any time, and no worker runs it meanwhile. If the ID or the lock is taken
        there, it stays where it is. Only with `create` may the queue be new. On a Cluster a move takes several steps:
        one that was cut off is finished by the same move again.
        """
        self._queue_keys(queue, task_id)
        self._queue_keys(to, task_id)
        yield from moving.check_target(self._keys, to, create=create)
        yield from _only(self._move(self._keys, [TaskRef(queue, task_id)], to))

    @operation
    def requeue(self, queue: str, task_id: str) -> Act[None]:
        """Put an active task back to the front of its queue if no worker runs it any more. Uses no retry.

        A worker runs it if its lease has not expired for as long as the sweep waits, or if a live server says so.
        """
        self._queue_keys(queue, task_id)
        yield from _only(requeue_many(self._keys, [TaskRef(queue, task_id)]))

    @operation
    def edit(self, queue: str, task_id: str, payload: bytes, *, run: bool = False, check: bool = True) -> Act[None]:
        """Replace the payload of a task that does not run; with `run` it is made to run next.

        The payload is checked against the JSON Schema that the workers of its type publish, if there is one. Raises
        PayloadError if it does not fit; without `check` it is not checked.
        """
        self._queue_keys(queue, task_id)
        act = EditPayload(self._packer.checked_payload(task_id, payload), run=run, check=check)
        editing = Editing(act, self._keys, self._packer)
        yield from editing.prepare()
        yield from _only(editing.edit([TaskRef(queue, task_id)]))

    @operation
    def unique_lock(self, queue: str, task_id: str) -> Act[str]:
        """Return the key of the unique lock that a task names; empty if it is not unique. Raises TaskNotFound."""
        info: TaskInfo = yield from _described(self, "info", queue, task_id)
        return info.unique_key

    @operation
    def free_lock(self, queue: str, lock: str, *, force: bool = False) -> Act[bool]:
        """Free a unique lock whose task does not exist or has ended; with `force` any lock. False: it was free.

        `lock` is its key, as `lock_of` and `unique_lock` return it. Raises TaskStateError if a task holds it.
        """
        return (yield from unlocking.free_lock(self._queue_keys(queue, "-"), lock, force=force))

    @operation
    def free_lock_of(self, queue: str, task_id: str, *, force: bool = False) -> Act[bool]:
        """Free the unique lock that a task names. False: the lock was free, or the task names none.

        Raises TaskStateError if the task holds it and has not ended, unless `force`; DuplicateTask if another task
        holds it, also with `force`.
        """
        self._queue_keys(queue, task_id)
        return (yield from _only(unlocking.free_many(self._keys, [TaskRef(queue, task_id)], force=force))) == "done"

    def lock_of(self, queue: str, type: str, *, payload: bytes | None = None, key: str | None = None) -> str:
        """Return the key of the unique lock of a type and a payload, or of the key that the enqueue names."""
        keys = self._queue_keys(queue, "-")
        return unique_key(keys, type, payload) if key is None else own_unique_key(keys, type, key)

    @operation
    def deleted(
        self, *, queue: str | None = None, task_id: str | None = None, deletion: str | None = None, limit: int = 100
    ) -> Act[list[TrashedTask]]:
        """Return deleted tasks that are kept, the latest deletion first."""
        words: dict[str, Any] = {"queue": queue, "task_id": task_id, "deletion": deletion, "limit": limit}
        trash = HeldTrash(self._needed_trash())
        return (yield from trash.during(trash.ask(lambda opened: opened.deleted_tasks(**words))))

    @operation
    def undo(self, queue: str, task_id: str) -> Act[None]:
        """Put the task that was deleted last under this ID back: its state, time, retries, options and unique lock.

        A pending task joins the end of its queue. Raises TaskNotFound if the deletion is not kept, TaskIdConflict or
        DuplicateTask if its ID or its lock is taken by now.
        """
        trash = HeldTrash(self._needed_trash())
        yield from trash.during(undo_one(self._keys, queue, task_id, trash))

    @operation
    def undo_all(self, deletion: str) -> Act[list[Done]]:
        """Put all tasks back that were deleted together, and return what was done to each."""
        trash = HeldTrash(self._needed_trash())
        return (yield from trash.during(undo_all(self._keys, deletion, trash)))

    # Acts on many

    def bulk(self, act: BulkAct, targets: Targets) -> Bulk:
        """Return an act on many tasks. Each batch is a step: `async for progress in actions.batches(bulk)`.

        Tasks that match a query and are as the act would make them are left out.
        """
        keys, targets = self._keys, meant(act, targets)
        match act:
            case MoveTo(queue, create):
                self._queue_keys(queue, "-")
                return Bulk(
                    act,
                    targets,
                    keys=keys,
                    do=lambda tasks: self._move(keys, tasks, queue),
                    prepare=lambda: moving.check_target(keys, queue, create=create),
                )
            case EditPayload():
                editing = Editing(act, keys, self._packer)
                return Bulk(act, targets, keys=keys, do=editing.edit, prepare=editing.prepare)
            case Delete(undo=True) if self._trash is not None:
                kept = KeptDeletion(keys, self._trash, self._by, targets)
                return Bulk(act, targets, keys=keys, do=kept.delete, kept=kept)
            case _:
                return Bulk(act, targets, keys=keys, do=doing(act, keys, targets))

    @operation
    def preview(self, targets: Targets, sample: int = 5, *, act: BulkAct | None = None) -> Act[Preview]:
        """Count the tasks of an act on many, and read some of them. Changes nothing.

        Targets are read once, so make new ones for the act itself. With the `act`, tasks that match a query and are as
        it would make them are left out, as the bulk does.
        """
        targets = targets if act is None else meant(act, targets)
        yield from targets.begin(self._keys, stays=False)
        shown: list[TaskRef] = []
        count, ended = 0, False
        while not ended and (len(shown) < sample or targets.total is None) and not _is_enough(targets, count):
            batch = yield from targets.next()
            ended = batch is None
            count += len(batch or ())
            shown += islice(batch or (), sample - len(shown))
        found: list[TaskInfo] = []
        for task in shown:
            try:
                found.append((yield from _described(self, "info", task.queue, task.id)))
            except TaskNotFound:
                continue  # it has gone meanwhile
        if targets.total is not None:
            return Preview(targets.total, True, tuple(found))
        if isinstance(targets, Matching):
            return Preview(count, ended, tuple(found), targets.scanned, targets.of)
        return Preview(count, ended, tuple(found))

    def _needed_trash(self) -> OpenTrash:
        if self._trash is None:
            raise ConfigError(
                "No store is set, and only a store keeps deleted tasks. Set ROTA_STORE for the programs that delete, "
                "and for this one."
            )
        return self._trash


def _is_enough(targets: Targets, count: int) -> bool:
    """Whether a preview has read enough of targets whose number is not known."""
    return count >= MOST_PREVIEWED or (isinstance(targets, Matching) and targets.scanned >= MOST_SCANNED)


def _only(act: Act[list[Done]]) -> Act[str]:
    """Do an act on many to one task, and return the outcome. Raises the error of a refusal."""
    [outcome] = yield from act
    if isinstance(outcome, RotaError):
        raise outcome
    return outcome


def _described(actions: TaskOperations, name: str, *args: Any) -> Act[Any]:
    """Return the description of an operation, to be a part of another one."""
    return cast("Act[Any]", getattr(type(actions), name).__wrapped__(actions, *args))
