"""Counts the tasks that can still run in a queue, for a worker that stops when no tasks are left."""

from typing import NamedTuple

from rota.wire.keys import QueueKeys
from rota.wire.script import Call, load


class WorkLeft(NamedTuple):
    """Tasks that can run now or are running (`now`), and tasks that are scheduled or in a paused queue (`later`).

    `now` is 0 only if there are none; due tasks of one set count as one.
    """

    now: int
    later: int


def work_left(keys: QueueKeys) -> Call[WorkLeft]:
    """Count the tasks that are left in a queue."""
    places = (keys.pending, keys.active, keys.paused, keys.scheduled, keys.retry)
    return Call(load("work_left"), places, (), lambda reply: WorkLeft(*reply))
