"""Changing one task that exists: each change is one script that checks before it writes."""

from typing import Any, NamedTuple

from rota.wire.keys import QueueKeys, unique_key
from rota.wire.names import clean_text
from rota.wire.script import Call, load


class Edited(NamedTuple):
    """What became of a change.

    `reply` is `done`, `gone`, `state` (not allowed in this state), `locked` (the task `id` holds the lock), `changed`
    (read again), `same`, `asked` or `ended`; `state` is the state the script found, or made.
    """

    reply: str
    state: str
    id: str


def update_payload(keys: QueueKeys, task_id: str, message: bytes, payload: bytes) -> Call[Edited]:
    """Replace the payload of the task whose stored message was read as `message`.

    A lock that was made of the old payload moves to the new one. A lock with a key of its own stays.
    """
    from rota.wire.message import unpack  # a program that only enqueues does not load protobuf
    from rota.wire.proto import TaskMessage

    old = unpack(message)
    lock = old.unique_key
    moves = lock != "" and lock in (unique_key(keys, old.type, old.payload), unique_key(keys, old.type, None))
    new = TaskMessage()
    new.CopyFrom(old)
    new.payload = payload
    new.unique_key = unique_key(keys, old.type, payload) if moves else lock
    args = (keys.task_prefix, task_id, message, new.SerializeToString(), lock, new.unique_key, keys.base)
    return Call(load("edit_payload"), (keys.task(task_id),), args, _edited)


def reschedule(keys: QueueKeys, task_id: str, when: str) -> Call[Edited]:
    """Move a scheduled, retried or pending task; `when` as in `rota.wire.enqueue.Item`."""
    places = (keys.task(task_id), keys.pending, keys.scheduled, keys.retry)
    return Call(load("edit_time"), places, (task_id, when), _edited)


def run_now(keys: QueueKeys, task_id: str) -> Call[Edited]:
    """Make a scheduled, retried, grouped, archived or completed task pending."""
    args = (keys.base, keys.task_prefix, task_id)
    return Call(load("edit_run"), (keys.task(task_id), keys.pending), args, _edited)


def delete(keys: QueueKeys, task_id: str) -> Call[Edited]:
    """Delete a task that does not run."""
    return Call(load("edit_delete"), (keys.task(task_id),), (keys.base, task_id), _edited)


def cancel(keys: QueueKeys, task_id: str, reason: str) -> Call[Edited]:
    """End a task that waits (`done`), or note the reason for the worker that runs it (`asked`).

    After `asked` the ID has to be published on `Keys.cancel`, a channel of no queue.
    """
    reason = clean_text(reason)
    text = clean_text(f"cancelled: {reason}")
    args = (keys.base, task_id, reason, text, keys.ended(""))
    return Call(load("cancel"), (keys.task(task_id), keys.archived), args, _edited)


def _edited(raw: Any) -> Edited:
    if not raw:
        return Edited("gone", "", "")
    reply, state, task_id = raw
    return Edited(reply.decode(), state.decode(errors="replace"), task_id.decode(errors="replace"))
