"""Deletes a queue with everything that belongs to it, in batches, so that the deletion can be followed and left.

`rota.wire.queue_deletion` tells the steps, and what happens if the deletion is killed at one of them.
"""

import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rota.client.core import PUBLISH_SECONDS
from rota.client.steps import Act, Command, Pause
from rota.core.text import counted
from rota.errors import BrokerRefused, QueueStateError
from rota.inspect.face import Stream
from rota.inspect.named_queue import check_exists, queue_keys
from rota.wire import queue_deletion as deletion
from rota.wire.keys import Keys
from rota.wire.names import text
from rota.wire.queue_deletion import MOST_TASKS, Begun, Deleted, Place

NAMES_AT_ONCE = 1000
"""How many names a `SCAN` looks at in one call."""
SETTLE_SECONDS = PUBLISH_SECONDS
"""How long a queue is closed at least. Producers remember for this time that its name is in the set of all queues."""
MOST_PASSES = 20
"""How often a deletion looks for new tasks of Go producers before it gives up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionProgress:
    """How far the deletion of a queue has come.

    `tasks` counts the deleted tasks by state, `keys` the other deleted keys. `came_meanwhile` counts the tasks that
    came while the deletion ran, from Go producers, which do not obey. `others_known` is False if the server does not
    permit `SCAN`: then keys that no list names, such as locks without a task, may be left.
    """

    queue: str
    tasks: dict[str, int]
    keys: int
    came_meanwhile: int
    others_known: bool
    is_over: bool

    @property
    def all_tasks(self) -> int:
        """The number of deleted tasks."""
        return sum(self.tasks.values())


@dataclass(slots=True)
class _Counts:
    tasks: dict[str, int] = field(default_factory=dict[str, int])
    keys: int = 0
    came_meanwhile: int = 0
    others_known: bool = True


class QueueDeletion(Stream[DeletionProgress]):
    """Deletes a queue. `rota.wire.queue_deletion` tells the steps."""

    def __init__(self, keys: Keys, queue: str, *, force: bool, by: str, reason: str) -> None:
        self._all_keys = keys
        self._keys = queue_keys(keys, queue)
        self._force = force
        self._by = by
        self._reason = reason
        self._id = uuid.uuid4().hex
        self._begun_at: float | None = None
        self._over = False
        self._passes = 0
        self._counts = _Counts()
        self._places: list[Place] = []
        self._cursor: int | None = None
        """The cursor of the `SCAN`; None before the tasks are deleted."""

    def next_batch(self) -> Act[DeletionProgress | None]:
        """Delete the next batch; None once the queue is gone."""
        if self._over:
            return None
        if self._begun_at is None:
            yield from self._begin()
        elif self._cursor is None:
            yield from self._delete_tasks()
        elif self._cursor >= 0:
            yield from self._delete_keys()
        else:
            yield from self._end()
        return self._progress()

    def _begin(self) -> Act[None]:
        queue = self._keys.queue
        yield from check_exists(self._all_keys, queue)
        begun: Begun = yield deletion.begin(self._keys, self._id, by=self._by, reason=self._reason, force=self._force)
        if not begun.begun:
            running, groups = counted(begun.running, "task"), counted(begun.aggregated, "group")
            raise QueueStateError(
                f"Queue {queue!r} was not deleted: {running} of it run, and {groups} of it are being aggregated. Pause "
                "it and wait for their end, or force the deletion (--force), which cancels them."
            )
        self._begun_at = time.monotonic()
        self._places = deletion.places(self._keys)

    def _delete_tasks(self) -> Act[None]:
        if not self._places:
            self._places = yield deletion.groups(self._keys)
            if not self._places:
                yield from self._delete_known_keys()
                self._cursor = 0
            return
        place = self._places[0]
        deleted: Deleted = yield deletion.tasks(self._keys, self._id, place)
        if self._check(deleted.tasks):
            self._counts.tasks[place.state] = self._counts.tasks.get(place.state, 0) + deleted.tasks
            self._counts.came_meanwhile += deleted.tasks if self._passes else 0
        if not deleted.more:
            self._places.pop(0)

    def _delete_known_keys(self) -> Act[None]:
        yield from self._remove(deletion.known_keys(self._keys, datetime.now(UTC).date()))

    def _delete_keys(self) -> Act[None]:
        """Delete the keys that no list names, one page of a `SCAN` at a time."""
        words = ("SCAN", self._cursor or 0, "MATCH", deletion.pattern(self._keys), "COUNT", NAMES_AT_ONCE)
        try:
            cursor, found = yield Command(words, self._keys.pending)
        except BrokerRefused:
            self._counts.others_known = False
            self._cursor = -1
            return
        names = [name for each in found if deletion.is_part(self._keys, name := text(each))]
        yield from self._remove(names)
        self._cursor = int(cursor) or -1

    def _remove(self, names: Sequence[str]) -> Act[None]:
        for some in _chunks(names, MOST_TASKS):
            self._counts.keys += self._check((yield deletion.remove(self._keys, self._id, some)))

    def _end(self) -> Act[None]:
        """Remove the name first: a deletion that is killed here leaves a queue that still refuses its producers."""
        queue = self._keys.queue
        left = (self._begun_at or 0.0) + SETTLE_SECONDS - time.monotonic()
        if left > 0:
            yield Pause(left)
        yield Command(("SREM", self._all_keys.queues, queue), self._all_keys.queues)
        if self._check((yield deletion.end(self._keys, self._id))):
            self._over = True
            return
        self._passes += 1
        if self._passes > MOST_PASSES:
            raise QueueStateError(
                f"Queue {queue!r} gets new tasks as fast as they are deleted, from programs that do not obey a "
                "refusal, such as Go clients. It stays closed. Stop these programs, and delete it again."
            )
        self._places, self._cursor = deletion.places(self._keys), None

    def _check(self, reply: int) -> int:
        if reply == deletion.ENDED:
            raise QueueStateError(
                f"The deletion of queue {self._keys.queue!r} has ended before it was done: the queue was resumed, or "
                f"another deletion has taken over. Deleted so far: {counted(sum(self._counts.tasks.values()), 'task')}."
            )
        return reply

    def _progress(self) -> DeletionProgress:
        counts = self._counts
        return DeletionProgress(
            queue=self._keys.queue,
            tasks=dict(counts.tasks),
            keys=counts.keys,
            came_meanwhile=counts.came_meanwhile,
            others_known=counts.others_known,
            is_over=self._over,
        )


def _chunks(names: Sequence[str], most: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), most):
        yield names[start : start + most]
