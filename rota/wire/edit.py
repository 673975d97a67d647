"""Changes to one existing task. Each change is one script, which checks before it writes."""

from typing import Any, NamedTuple

from rota.wire.keys import QueueKeys, unique_key
from rota.wire.names import clean_text
from rota.wire.script import Call, load


class Edited(NamedTuple):
    """The result of a change.

    `reply` is `done`, `gone` (the task does not exist), `state` (not allowed in this state), `locked` (the task `id`
    holds the lock), `changed` (another client changed the message: read it again), `same` (was pending already),
    `asked` (its worker is asked to cancel it) or `ended` (had ended already). `state` is the state that the script
    found; after `done` of `reschedule`, the new state.
    """

    reply: str
    state: str
    id: str


def update_payload(keys: QueueKeys, task_id: str, message: bytes, payload: bytes) -> Call[Edited]:
    """Replace the payload of the task whose stored message was read as `message`.

    A lock that is derived from the payload moves to the new payload. A lock with a key that the caller chose stays.
    """
    from rota.wire.message import unpack  # imported here so that a program that only enqueues does not load protobuf
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
    """Change the time of a scheduled, retried or pending task; `when` as in `rota.wire.enqueue.Item`."""
    places = (keys.task(task_id), keys.pending, keys.scheduled, keys.retry)
    return Call(load("edit_time"), places, (task_id, when), _edited)


def run_now(keys: QueueKeys, task_id: str) -> Call[Edited]:
    """Make a scheduled, retried, grouped, archived or completed task pending."""
    args = (keys.base, keys.task_prefix, task_id)
    return Call(load("edit_run"), (keys.task(task_id), keys.pending), args, _edited)


def delete(keys: QueueKeys, task_id: str) -> Call[Edited]:
    """Delete a task that is not running."""
    return Call(load("edit_delete"), (keys.task(task_id),), (keys.base, task_id), _edited)


def cancel(keys: QueueKeys, task_id: str, reason: str) -> Call[Edited]:
    """Archive a waiting task as cancelled (`done`), or store the reason for the worker that runs it (`asked`).

    After `asked` the caller has to publish the ID on `Keys.cancel`. The script cannot do so, because that channel is
    not part of the queue.
    """
    reason = clean_text(reason)
    text = clean_text(f"cancelled: {reason}")
    args = (keys.base, task_id, reason, text, keys.ended_prefix)
    return Call(load("cancel"), (keys.task(task_id), keys.archived), args, _edited)


def _edited(raw: Any) -> Edited:
    if not raw:
        return Edited("gone", "", "")
    reply, state, task_id = raw
    return Edited(reply.decode(), state.decode(errors="replace"), task_id.decode(errors="replace"))
