"""Counts what a queue still has to run while it is being drained."""

from datetime import datetime
from typing import Any, NamedTuple

from rota.wire.keys import QueueKeys
from rota.wire.script import Call, load
from rota.wire.times import from_unix


class WorkToDrain(NamedTuple):
    """The tasks of a queue that are still to run. `groups` counts groups, and sets that are being aggregated."""

    now: float
    pending: int
    active: int
    scheduled: int
    retry: int
    groups: int
    paused: bool
    last_due: datetime | None


def look(keys: QueueKeys) -> Call[WorkToDrain]:
    """Count the tasks of a queue that are still to run."""
    script_keys = (
        keys.pending,
        keys.active,
        keys.scheduled,
        keys.retry,
        keys.groups,
        keys.aggregation_sets,
        keys.paused,
    )
    return Call(load("look_drain"), script_keys, (), _read)


def _read(reply: Any) -> WorkToDrain:
    now, pending, active, scheduled, retry, groups, sets, paused, last = reply
    due = from_unix(float(last)) if last else None
    return WorkToDrain(float(now), pending, active, scheduled, retry, groups + sets, bool(paused), due)
