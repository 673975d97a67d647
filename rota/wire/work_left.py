"""Work left: what can still run in a queue, for a worker that ends when there is nothing."""

from typing import NamedTuple

from rota.wire.keys import QueueKeys
from rota.wire.script import Call, load


class WorkLeft(NamedTuple):
    """Tasks that can run now or are running (0: none), and those that wait: for their time, or for a paused queue."""

    now: int
    later: int


def work_left(keys: QueueKeys) -> Call[WorkLeft]:
    """Count what is left in a queue."""
    places = (keys.pending, keys.active, keys.paused, keys.scheduled, keys.retry)
    return Call(load("work_left"), places, (), lambda reply: WorkLeft(*reply))
