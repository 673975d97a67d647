"""Deletes tasks so that this can be undone, and undoes it.

1. The tasks are set aside (`rota.wire.aside`): they are in the archive of their queue with a note.
2. They are written to the store, all tasks of a batch in one transaction.
3. They are deleted. If they cannot be stored, they are put back instead. If it is not known whether they are stored,
   because the answer to the commit was lost, they stay aside.

If the process dies after step 1 or 2, the same deletion again ends what was begun. The copies in the store do no
harm: they have the mark with which the task was set aside, and the second deletion replaces them.
"""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from rota.client.steps import Act, Command
from rota.client.verbs import in_calls
from rota.errors import PayloadError, RotaError, StoreError, StoreUnavailable, TaskIdConflict, TaskNotFound
from rota.inspect.face import TaskRef
from rota.inspect.moving import Done, drop, dropped, left_aside, not_taken_in, put_back_all, refused, take
from rota.inspect.targets import Targets
from rota.inspect.trash import HeldTrash, OpenTrash, Trash, TrashedTask
from rota.wire import aside
from rota.wire.aside import TakenTask
from rota.wire.edit import Edited
from rota.wire.keys import Keys
from rota.wire.message import unpack

_NOTE = "This task is being deleted. To finish a deletion that was cut off, delete it again."
_CANNOT = "can't be deleted: cancel it first"
PAGE = 1000
"""Deleted tasks that are put back together."""


class KeptDeletion:
    """A deletion that can be undone by its name, `deletion`. The store is open from its first batch until `end`."""

    def __init__(self, keys: Keys, trash: OpenTrash, by: str, targets: Targets | None = None) -> None:
        """`targets` are all that are to be deleted, so that a deletion that is too large ends before it begins."""
        self.deletion = secrets.token_hex(16)
        self.trash = HeldTrash(trash)
        self._keys, self._by, self._targets = keys, by, targets
        self._seen = 0

    def delete(self, tasks: Sequence[TaskRef]) -> Act[list[Done]]:
        """Delete the tasks of a batch, after they were stored."""
        found = yield from take(self._keys, tasks, "", _NOTE, secrets.token_hex(16))
        self._seen += len(tasks)
        outcomes: list[Any] = [
            None if isinstance(taken, TakenTask) else refused(task, taken, _CANNOT)
            for task, taken in zip(tasks, found, strict=True)
        ]
        kept = [i for i, outcome in enumerate(outcomes) if outcome is None]
        try:
            yield from self._keep([(tasks[i], found[i]) for i in kept])
        except StoreError as error:
            is_unsure = isinstance(error, StoreUnavailable) and error.maybe_applied
            for i in kept:
                outcomes[i] = left_aside(tasks[i], error, "deleting it") if is_unsure else error
            if not is_unsure:  # what the store has is not put back: an undo would run it a second time
                yield from put_back_all(self._keys, tasks, found, kept, outcomes)
        else:
            yield from drop(self._keys, tasks, found, kept, outcomes, "deleting it")
        return outcomes

    def end(self) -> Act[int]:
        """Make room in the store, close it, and return how many of the deleted tasks are not kept any more."""
        return (yield from self.trash.during(self.settle()))

    def _keep(self, pairs: Sequence[tuple[TaskRef, Any]]) -> Act[None]:
        if pairs:
            at = datetime.now(UTC)
            rows = [_trashed(task, taken, self.deletion, at, self._by) for task, taken in pairs]
            total = None if self._targets is None else self._targets.total
            more = max(0, (total or 0) - self._seen)
            yield from self.trash.ask(lambda place: place.keep_deleted(rows, more=more))

    def settle(self) -> Act[int]:
        """Make room in the store, and return how many of the deleted tasks are not kept any more."""
        if not self.trash.is_open:
            return 0
        try:
            return (yield from self.trash.ask(lambda place: place.settle_deleted()))
        except StoreError:  # the tasks are in the store, and the scheduler or the next deletion makes room there
            return 0


def delete_kept(keys: Keys, tasks: Sequence[TaskRef], trash: OpenTrash, *, by: str) -> Act[list[Done]]:
    """Delete tasks, after they were stored. If they cannot be stored, they are put back."""
    kept = KeptDeletion(keys, trash, by)
    return (yield from kept.trash.during(_deleted(kept, tasks)))


def undo(keys: Keys, rows: Sequence[TrashedTask], trash: HeldTrash) -> Act[list[Done]]:
    """Put deleted tasks back into their queues as they were, and forget the deletion of those."""
    for queue in sorted({row.queue for row in rows}):
        yield Command(("SADD", keys.queues, queue), keys.queues)
    tasks = [TaskRef(row.queue, row.task_id) for row in rows]
    taken = [TakenTask(row.task_id, row.id, row.state, row.score, row.lock_ms, row.fields) for row in rows]
    replies = yield from in_calls(
        list(zip(tasks, taken, strict=True)),
        lambda pair: pair[0].queue,
        lambda queue, some: aside.put(keys.queue(queue), [each for _, each in some]),
    )
    outcomes: list[Any] = [_put(task, reply) for task, reply in zip(tasks, replies, strict=True)]
    # A deletion that was cut off before its last step: the task is still there, aside.
    conflicts = [i for i, each in enumerate(outcomes) if isinstance(each, TaskIdConflict)]
    returned = yield from dropped(keys, tasks, taken, conflicts, put_back=True)
    for i, reply in zip(conflicts, returned, strict=True):
        if isinstance(reply, Edited) and reply.reply == "done":
            outcomes[i] = "done"
    over = [row.id for row, outcome in zip(rows, outcomes, strict=True) if outcome in ("done", "same")]
    if over:
        yield from trash.ask(lambda place: place.forget_deleted(over))
    return outcomes


def undo_one(keys: Keys, queue: str, task_id: str, trash: HeldTrash) -> Act[None]:
    """Put the task back that was deleted last under an ID. Raises the error of a refusal."""
    rows = yield from trash.ask(lambda place: place.deleted_tasks(queue=queue, task_id=task_id, limit=1))
    if not rows:
        raise TaskNotFound(
            f"No deleted task {task_id} of queue {queue!r} is kept. Deleted tasks are kept for the setting "
            "`deleted_age`, if they were deleted by Rota with a store."
        )
    [outcome] = yield from undo(keys, rows, trash)
    if isinstance(outcome, RotaError):
        raise outcome


def undo_all(keys: Keys, deletion: str, trash: HeldTrash) -> Act[list[Done]]:
    """Put all tasks of a deletion back, a page at a time, and return what was done to each."""
    outcomes: list[Done] = []
    left = 0  # rows that are put back are forgotten, so only the others are to be skipped
    while rows := (yield from trash.ask(partial(_page, deletion=deletion, skip=left))):
        done = yield from undo(keys, rows, trash)
        left += sum(isinstance(each, RotaError) for each in done)
        outcomes += done
    return outcomes


async def _page(place: Trash, *, deletion: str, skip: int) -> list[TrashedTask]:
    return await place.deleted_tasks(deletion=deletion, limit=PAGE, skip=skip)


def _deleted(kept: KeptDeletion, tasks: Sequence[TaskRef]) -> Act[list[Done]]:
    outcomes = yield from kept.delete(tasks)
    yield from kept.settle()
    return outcomes


def _put(task: TaskRef, reply: Any) -> Done:
    is_put = isinstance(reply, Edited) and reply.reply in ("done", "same")
    return reply.reply if is_put else not_taken_in(task, task.queue, reply)


def _trashed(task: TaskRef, taken: TakenTask, deletion: str, at: datetime, by: str) -> TrashedTask:
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
        deleted_at=at,
        deleted_by=by,
        fields=taken.fields,
    )
