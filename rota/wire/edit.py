"""Changes to existing tasks. Each change is one script, which checks before it writes.

The scripts take several tasks of one queue, at most `MOST_CHANGED` in a call, and reply for each of them. A call does a
bounded amount of work, because the server does nothing else meanwhile: tasks that it did not get to have the reply
`later`. The first task of a call never has it.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

from rota.wire.attempts import LIMIT_BYTES, members
from rota.wire.keys import QueueKeys, unique_key
from rota.wire.names import clean_text, raw
from rota.wire.script import Argument, Call, load

T = TypeVar("T")

MOST_CHANGED = 100
"""The most tasks of one call."""
_LOST = members(error="worker lost: its lease had expired, and the task was put back by hand")


class Edited(NamedTuple):
    """The result of a change.

    `reply` is `done`, `gone` (the task does not exist), `state` (not allowed in this state), `locked` (the task `id`
    holds the lock), `changed` (another client changed the message: read it again), `same` (was as wanted already),
    `asked` (its worker is asked to cancel it), `ended` (had ended already), `aside` (it is on its way to the queue
    `state`, or to the store if that is empty), `alive` or `leaseless` (see `requeue`), `held` (see `unlock`), `later`
    (this call did enough) or `error` (`state` is the text of the server). Otherwise `state` is the state that the
    script found; after `done` of `set_time`, the new state.
    """

    reply: str
    state: str
    id: str


class NewMessage(NamedTuple):
    """The message of a task with another payload: `read` is the message of which it was made.

    A lock that is derived from the payload moves to the new payload. A lock with a key that the caller chose stays.
    """

    id: str
    read: bytes
    written: bytes
    old_lock: str
    new_lock: str


def new_message(keys: QueueKeys, task_id: str, read: bytes, payload: bytes) -> NewMessage:
    """Return the message of a task with another payload. Raises PayloadError if the message cannot be read."""
    from rota.wire.message import unpack  # imported here so that a program that only enqueues does not load protobuf
    from rota.wire.proto import TaskMessage

    old = unpack(read)
    lock = old.unique_key
    moves = lock != "" and lock in (unique_key(keys, old.type, old.payload), unique_key(keys, old.type, None))
    new = TaskMessage()
    new.CopyFrom(old)
    new.payload = payload
    new.unique_key = unique_key(keys, old.type, payload) if moves else lock
    written = read if payload == old.payload else new.SerializeToString()
    return NewMessage(task_id, read, written, lock, new.unique_key)


def update_payload(keys: QueueKeys, task_id: str, message: bytes, payload: bytes) -> Call[Edited]:
    """Replace the payload of the task whose stored message was read as `message`."""
    return one(replace_messages(keys, [new_message(keys, task_id, message, payload)]))


def replace_messages(keys: QueueKeys, messages: Sequence[NewMessage], *, run: bool = False) -> Call[list[Edited]]:
    """Replace the messages of tasks that do not run, each if it has not changed; with `run` make the tasks pending.

    `same` says that the message is the new one already, and with `run` that the task is pending or active.
    """
    args: list[Argument] = [keys.base, keys.task_prefix, int(run)]
    for each in messages:
        args += (raw(each.id), each.read, each.written, each.old_lock, each.new_lock)
    return Call(load("edit_payload"), (keys.pending,), args, all_edited)


def set_time(keys: QueueKeys, ids: Sequence[str], when: str) -> Call[list[Edited]]:
    """Change the time of scheduled, retried or pending tasks; `when` as in `rota.wire.enqueue.Item`."""
    return _many("edit_time", keys, (keys.pending, keys.scheduled, keys.retry), (when,), ids)


def run_now(keys: QueueKeys, ids: Sequence[str]) -> Call[list[Edited]]:
    """Make scheduled, retried, grouped, archived or completed tasks pending."""
    return _many("edit_run", keys, (keys.pending,), (), ids)


def delete(keys: QueueKeys, ids: Sequence[str]) -> Call[list[Edited]]:
    """Delete tasks that are not running."""
    return _many("edit_delete", keys, (keys.pending,), (), ids)


def archive(keys: QueueKeys, ids: Sequence[str]) -> Call[list[Edited]]:
    """Archive tasks that are not running, with the error text that they have."""
    return _many("edit_archive", keys, (keys.archived,), (keys.ended_prefix,), ids)


def cancel(keys: QueueKeys, ids: Sequence[str], reason: str) -> Call[list[Edited]]:
    """Archive waiting tasks as cancelled (`done`), or store the reason for the worker that runs a task (`asked`).

    After `asked` the caller has to publish the ID on `Keys.cancel`. The script cannot do so, because that channel is
    not part of the queue.
    """
    reason = clean_text(reason)
    args = (reason, clean_text(f"cancelled: {reason}"), keys.ended_prefix)
    return _many("cancel", keys, (keys.archived,), args, ids)


def move(keys: QueueKeys, there: QueueKeys, ids: Sequence[str]) -> Call[list[Edited]]:
    """Move tasks that do not run to another queue of the same server, each in one step.

    `gone` says in `state` which state the task has that is in the other queue under this ID; empty for none. Further
    replies are `conflict` (the ID is taken there) and `unreadable` (the message cannot be read).
    """
    args: list[Argument] = [keys.base, keys.task_prefix, there.base, there.task_prefix, there.queue, *map(raw, ids)]
    return Call(load("edit_move"), (there.pending, there.pause), args, all_edited)


def requeue(
    keys: QueueKeys, ids: Sequence[str], *, slack: tuple[timedelta, timedelta], leaseless: bool = False
) -> Call[list[Edited]]:
    """Put active tasks whose lease expired longer ago than `slack` (of Rota, of Go) to the front of their queue.

    The reply `alive` means that the lease has not expired, and `leaseless` that there is none. With `leaseless` such a
    task is put back too: first make sure that no server runs it.
    """
    script_keys = (keys.pending, keys.active, keys.lease, keys.archived, keys.crashed)
    ours, go = slack
    args: tuple[Argument, ...] = (
        keys.ended_prefix,
        ours.total_seconds(),
        go.total_seconds(),
        _LOST,
        LIMIT_BYTES,
        int(leaseless),
    )
    return _many("edit_requeue", keys, script_keys, args, ids)


def unlock(keys: QueueKeys, lock: str, task_id: bytes, *, force: bool = False) -> Call[Edited]:
    """Free a unique lock that contained this ID when it was read. `held`: its task has not ended.

    With `force` a lock is freed that a task holds.
    """
    return Call(load("edit_unlock"), (lock,), (keys.task_prefix, task_id, int(force)), edited)


def free_locks(keys: QueueKeys, ids: Sequence[str], *, force: bool = False) -> Call[list[Edited]]:
    """Free the unique locks that tasks name. `held`: the task holds it; `locked`: another task does.

    `none`: the task names no lock; `same`: its lock is free. With `force` a lock is freed that the task itself holds.
    """
    return _many("edit_free", keys, (keys.pending,), (int(force),), ids)


def one(call: Call[list[Edited]]) -> Call[Edited]:
    """Return the same call, of which only the reply for its first task is wanted."""
    return Call(call.script, call.keys, call.args, lambda reply: edited(reply[0]))


def _many(
    script: str, keys: QueueKeys, script_keys: tuple[str, ...], args: Sequence[Argument], ids: Sequence[str]
) -> Call[list[Edited]]:
    return Call(load(script), script_keys, (keys.base, keys.task_prefix, *args, *map(raw, ids)), all_edited)


def all_edited(reply: Any) -> list[Edited]:
    """Read the reply of a script that changes several tasks."""
    return [edited(each) for each in reply]


def edited(reply: Any) -> Edited:
    """Read what a script did to one task."""
    if not reply:
        return Edited("gone", "", "")
    word, state, task_id = reply
    return Edited(word.decode(), state.decode(errors="replace"), task_id.decode(errors="replace"))
