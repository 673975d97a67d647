"""Takes tasks out of a queue with everything that they consist of, and puts them into another one.

A deletion that can be undone has three steps, because a store is another program. So has a move to another queue of a
Cluster, because two queues may be on two nodes (on one server, `edit_move.lua` moves a task in one step):

1. `take` sets the tasks aside: they are in the archive of their queue, with a note, and hold their locks.
2. The tasks are put into the other queue with `put`, or are stored.
3. `drop` deletes them from their queue; or puts them back, if step 2 was refused.

No worker runs a task that is aside, and every tool shows it, also one of Asynq. If the process dies between two steps,
`looked_aside` finds the task, and the same steps end what was begun: `take` returns the task as it was taken first,
with its first mark, and `put` recognizes the mark.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from rota.wire.edit import Edited, all_edited, edited
from rota.wire.keys import QueueKeys
from rota.wire.message import unpack
from rota.wire.names import raw, text
from rota.wire.script import Argument, Call, load

MARK_KEPT = timedelta(days=7)
"""How long a queue remembers which tasks were put there. A move that was cut off is to be ended within this time."""

MARK_SETTLED = timedelta(minutes=10)
"""How long it remembers a task whose move has ended, because two programs may move one task at the same time."""


@dataclass(frozen=True, slots=True)
class TakenTask:
    """A task as it was before it was set aside.

    `score` is that in the sorted set of its state, empty for a pending task. `lock_ms` is how long its unique lock
    lives on: `""` if it holds none, `-1` for ever.
    """

    id: str
    mark: str
    state: str
    score: str
    lock_ms: str
    fields: Mapping[str, bytes] = field(repr=False)

    @property
    def batch(self) -> str:
        """The mark without the ID: what the tasks that one call has taken have in common."""
        return self.mark.removesuffix(f":{self.id}")

    @property
    def lock(self) -> str:
        """The lock that the task holds; empty for none. Asynq stores that of a grouped task in the message only."""
        if not self.lock_ms:
            return ""
        named = self.fields.get("unique_key")
        return text(named) if named else unpack(self.fields["msg"]).unique_key

    def renamed(self, source: QueueKeys, target: QueueKeys) -> "TakenTask":
        """Return the task as it is to be in another queue. Raises PayloadError if its message cannot be read."""
        message = unpack(self.fields["msg"])
        message.queue = target.queue
        message.unique_key = _renamed(message.unique_key, source, target)
        fields = {**self.fields, "msg": message.SerializeToString()}
        if named := self.fields.get("unique_key"):
            fields["unique_key"] = raw(_renamed(text(named), source, target))
        return TakenTask(self.id, self.mark, self.state, self.score, self.lock_ms, fields)


class Aside(NamedTuple):
    """A task that is aside: where it goes (`""` for the store), and since when."""

    id: str
    to: str
    since: datetime


class AsidePage(NamedTuple):
    """Tasks that are aside, and how many entries were read for them: an entry may be left over."""

    read: int
    tasks: Sequence[Aside]


def take(keys: QueueKeys, ids: Sequence[str], *, to: str, mark: str, note: str) -> Call[list[TakenTask | Edited]]:
    """Set tasks aside that are not running. `mark` is a new text for each call; `note` becomes their error text."""
    args: list[Argument] = [keys.base, keys.task_prefix, to, mark, note, *map(raw, ids)]
    return Call(load("edit_take"), (keys.archived, aside_key(keys)), args, lambda reply: [*map(_taken, reply)])


def put(keys: QueueKeys, tasks: Sequence[TakenTask]) -> Call[list[Edited]]:
    """Put tasks into a queue. `same`: they have been put there before; `conflict`: their ID is taken there."""
    args: list[Argument] = [keys.base, keys.task_prefix, keys.own("put:"), int(MARK_KEPT.total_seconds())]
    for task in tasks:
        args += (raw(task.id), raw(task.batch), task.state, task.score, task.lock, task.lock_ms, _packed(task.fields))
    return Call(load("edit_put"), (keys.pending, keys.pause), args, all_edited)


def drop(keys: QueueKeys, tasks: Sequence[TakenTask], *, put_back: bool = False) -> Call[list[Edited]]:
    """Delete tasks that are aside, or put them back. `changed`: they are not aside any more."""
    args: list[Argument] = [keys.base, keys.task_prefix, "return" if put_back else "delete"]
    for task in tasks:
        args += (raw(task.id), raw(task.mark))
    return Call(load("edit_drop"), (keys.archived, aside_key(keys)), args, all_edited)


def settle(keys: QueueKeys, batches: Iterable[str]) -> Call[None]:
    """Let a queue soon forget tasks that were put there: all tasks of these batches are deleted elsewhere."""
    args: list[Argument] = [keys.own("put:"), int(MARK_SETTLED.total_seconds()), *map(raw, batches)]
    return Call(load("edit_settle"), (keys.pending,), args, _nothing)


def looked_aside(keys: QueueKeys, start: int = 0, limit: int = 500, seconds: float = 0) -> Call[AsidePage]:
    """Read a page of the tasks that have been aside for some seconds, the earliest first."""
    return Call(load("look_aside"), (aside_key(keys),), (keys.task_prefix, seconds, start, limit), _asides)


def aside_key(keys: QueueKeys) -> str:
    """Return the key of the sorted set of the tasks that are aside, by the time at which they were taken."""
    return keys.own("aside")


def _renamed(lock: str, source: QueueKeys, target: QueueKeys) -> str:
    # A lock outside of the queue's keys was named by another program, so its name says nothing of the queue.
    return target.base + lock.removeprefix(source.base) if lock.startswith(source.base) else lock


def _nothing(reply: Any) -> None:
    return None


def _packed(fields: Mapping[str, bytes]) -> bytes:
    """Return names and values as an array in MessagePack: a 32-bit length, then each text with its own."""
    words = [word for name, value in fields.items() for word in (raw(name), value)]
    parts = [b"\xdd", len(words).to_bytes(4), *(b"\xdb" + len(word).to_bytes(4) + word for word in words)]
    return b"".join(parts)


def _taken(reply: Any) -> TakenTask | Edited:
    if not reply or len(reply) == 3:
        return edited(reply)
    _, state, task_id, mark, score, lock_ms, *words = reply
    fields = {text(name): value for name, value in zip(words[::2], words[1::2], strict=True)}
    return TakenTask(text(task_id), text(mark), text(state), text(score), text(lock_ms), fields)


def _asides(reply: Any) -> AsidePage:
    found = [Aside(text(row[0]), text(row[1]), datetime.fromtimestamp(float(row[2]), UTC)) for row in reply[1:]]
    return AsidePage(int(reply[0]), found)
