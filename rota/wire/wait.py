"""The call that reads what decides when one task runs. It does not write."""

from dataclasses import dataclass
from typing import Any

from rota.wire.keys import QueueKeys
from rota.wire.look_task import StoredTask, text
from rota.wire.names import text as id_text
from rota.wire.script import Call, load

MOST_LOOKED_AT = 50_000
"""How many of the next tasks of a queue are searched for a task. More would take the server too long."""
_FIELDS = ("state", "msg", "unique_key", "group", "pending_since", "rota_cancel", "rota_end")


@dataclass(frozen=True, slots=True)
class WaitLook:
    """A task, and what decides when it runs.

    `ahead` is the number of pending tasks before it, None if it is not among the `MOST_LOOKED_AT` next ones. `holder`
    is the task that holds its unique lock. `joined_at` is when it joined its group; None if it is in no group.
    """

    task: StoredTask
    ahead: int | None
    pending: int
    is_listed_active: bool
    scheduled_at: float | None
    retry_at: float | None
    lease_until: float | None
    processed: int
    holder: str = ""
    holder_state: str = ""
    joined_at: float | None = None
    group_size: int = 0
    group_since: float | None = None


def look(keys: QueueKeys, task_id: str, most: int = MOST_LOOKED_AT) -> Call[WaitLook]:
    """Read one task, which has an empty state if it does not exist."""
    script_keys = (
        keys.task(task_id),
        keys.pending,
        keys.active,
        keys.scheduled,
        keys.retry,
        keys.lease,
        keys.processed,
    )
    args = (task_id, keys.base, keys.task_prefix, most, *_FIELDS)
    return Call(load("look_wait"), script_keys, args, lambda reply: _look(reply, keys.queue, task_id))


def _look(reply: Any, queue: str, task_id: str) -> WaitLook:
    now, values, ahead, pending, active, scheduled, retry, lease, processed, holder, state, joined, size, oldest = reply
    fields = {name: value for name, value in zip(_FIELDS, values, strict=True) if value is not None}
    task = StoredTask(queue, task_id, text(fields.get("state", b"")), float(now), None, fields)
    return WaitLook(
        task=task,
        ahead=None if ahead < 0 else ahead,
        pending=pending,
        is_listed_active=bool(active),
        scheduled_at=_score(scheduled),
        retry_at=_score(retry),
        lease_until=_score(lease),
        processed=int(processed) if processed is not None and processed.isdigit() else 0,
        holder="" if holder is None else id_text(holder),
        holder_state="" if state is None else text(state),
        joined_at=_score(joined),
        group_size=size,
        group_since=_score(oldest),
    )


def _score(reply: bytes | None) -> float | None:
    return None if reply is None else float(reply)
