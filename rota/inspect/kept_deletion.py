"""Deletes tasks so that this can be undone, and undoes it.

1. The tasks are set aside (`rota.wire.aside`): they are in the archive of their queue with a note.
2. They are written to the store, all tasks of a part in one transaction.
3. They are deleted. If they cannot be stored, they are put back instead. If it is not known whether they are stored,
   because the answer to the commit was lost, they stay aside.

A batch is done in parts: while one is written, the server deletes the part before it and sets the next one aside.

If the process dies after step 1 or 2, the same deletion again ends what was begun. The copies in the store do no
harm: they have the mark with which the task was set aside, and the second deletion replaces them.
"""

import secrets
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from rota.client.steps import Act, Command, merged
from rota.client.verbs import in_calls
from rota.errors import BrokerError, PayloadError, RotaError, StoreError, StoreUnavailable, TaskIdConflict, TaskNotFound
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
PART = 500
"""Tasks that are written to the store together. With fewer, the commits take longer than the steps meanwhile."""
PARTS = 8
"""Parts of a batch."""


class _Part:
    """Some tasks of a batch: how they were taken, and what was done to each; None for those that are aside."""

    def __init__(self, tasks: Sequence[TaskRef]) -> None:
        self.tasks = tasks
        self.found: Sequence[Any] = ()
        self.outcomes: list[Any] = []

    @property
    def aside(self) -> list[int]:
        """The numbers of the tasks that are aside."""
        return [i for i, outcome in enumerate(self.outcomes) if outcome is None]

    @property
    def fault(self) -> BrokerError | None:
        """The error if the server has failed for all tasks, so that it would fail for the next part too."""
        is_failed = all(isinstance(each, BrokerError) for each in self.outcomes)
        return self.outcomes[0] if is_failed else None


class KeptDeletion:
    """A deletion that can be undone by its name, `deletion`. The store is open from its first batch until `end`."""

    def __init__(self, keys: Keys, trash: OpenTrash, by: str, targets: Targets | None = None) -> None:
        """`targets` are all that are to be deleted, so that a deletion that is too large ends before it begins."""
        self.deletion = secrets.token_hex(16)
        self.trash = HeldTrash(trash)
        self._keys, self._by, self._targets = keys, by, targets
        self._seen = 0
        if targets is not None:
            targets.batch = PARTS * PART

    def delete(self, tasks: Sequence[TaskRef]) -> Act[list[Done]]:
        """Delete the tasks of a batch, after they were stored."""
        chosen = list(dict.fromkeys(tasks))  # a search may find a task twice
        parts = [_Part(chosen[first : first + PART]) for first in range(0, len(chosen), PART)]
        fault = (yield from self._in_turn(parts)) if parts else None
        done: dict[TaskRef, Any] = {}
        for part in parts:
            done.update(zip(part.tasks, part.outcomes or [fault] * len(part.tasks), strict=True))
        return [done[task] for task in tasks]

    def _in_turn(self, parts: Sequence[_Part]) -> Act[RotaError | None]:
        """Delete the parts; return the error that has ended it before the last one."""
        before: _Part | None = None
        part, left = parts[0], deque(parts[1:])
        yield from self._take(part)
        while True:
            after = left.popleft() if left and part.fault is None else None
            error = yield from self._keep(part, self._meanwhile(before, after))
            if error is not None:
                yield from self._give_up(part, after, error)
                return error
            if after is None:
                yield from self._drop(part)
                return part.fault
            before, part = part, after

    def end(self) -> Act[int]:
        """Make room in the store, close it, and return how many of the deleted tasks are not kept any more."""
        return (yield from self.trash.during(self.settle()))

    def _take(self, part: _Part) -> Act[None]:
        part.found = yield from take(self._keys, part.tasks, "", _NOTE, secrets.token_hex(16))
        part.outcomes = [
            None if isinstance(taken, TakenTask) else refused(task, taken, _CANNOT)
            for task, taken in zip(part.tasks, part.found, strict=True)
        ]

    def _keep(self, part: _Part, meanwhile: Act[None]) -> Act[StoreError | None]:
        self._seen += len(part.tasks)
        at = datetime.now(UTC)
        rows = [_trashed(part.tasks[i], part.found[i], self.deletion, at, self._by) for i in part.aside]
        if not rows:
            yield from meanwhile
            return None
        total = None if self._targets is None else self._targets.total
        more = max(0, (total or 0) - self._seen)
        error, _ = yield from self.trash.ask_beside(lambda opened: opened.keep_deleted(rows, more=more), meanwhile)
        return error  # type: ignore[no-any-return]

    def _meanwhile(self, before: _Part | None, after: _Part | None) -> Act[None]:
        dropping = [] if before is None else [self._drop(before)]
        taking = [] if after is None else [self._take(after)]
        yield from merged(*dropping, *taking)

    def _drop(self, part: _Part) -> Act[None]:
        yield from drop(self._keys, part.tasks, part.found, part.aside, part.outcomes, "deleting it")
        part.found = ()  # they may be large

    def _give_up(self, part: _Part, after: _Part | None, error: StoreError) -> Act[None]:
        """Put tasks back that could not be stored, and those of the next part. Tasks that may be stored stay aside."""
        is_unsure = isinstance(error, StoreUnavailable) and error.maybe_applied
        for each in (after, part):  # the last one first, because a pending task goes to the front
            kept = [] if each is None else each.aside
            if each is None or not kept:
                continue
            is_left = each is part and is_unsure  # if it was put back, an undo would run it a second time
            for i in kept:
                each.outcomes[i] = left_aside(each.tasks[i], error, "deleting it") if is_left else error
            if not is_left:
                yield from put_back_all(self._keys, each.tasks, each.found, kept, each.outcomes)

    def settle(self) -> Act[int]:
        """Make room in the store, and return how many of the deleted tasks are not kept any more."""
        if not self.trash.is_open:
            return 0
        try:
            return (yield from self.trash.ask(lambda opened: opened.settle_deleted()))
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
        yield from trash.ask(lambda opened: opened.forget_deleted(over))
    return outcomes


def undo_one(keys: Keys, queue: str, task_id: str, trash: HeldTrash) -> Act[None]:
    """Put the task back that was deleted last under an ID. Raises the error of a refusal."""
    rows = yield from trash.ask(lambda opened: opened.deleted_tasks(queue=queue, task_id=task_id, limit=1))
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


async def _page(trash: Trash, *, deletion: str, skip: int) -> list[TrashedTask]:
    return await trash.deleted_tasks(deletion=deletion, limit=PAGE, skip=skip)


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
