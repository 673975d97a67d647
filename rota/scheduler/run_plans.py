"""Makes the tasks of a run: from the definition of a schedule and a planned time to messages that can be enqueued."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from rota.client.packing import Packer
from rota.schedule.definition import ScheduleDefinition
from rota.schedule.run import ScheduleRun, run_task_ids
from rota.schedule.variables import filled
from rota.scheduler.run_batch import PlannedRun, QueuedItem
from rota.tasks.job import Plan
from rota.tasks.options import NO_OPTIONS
from rota.tasks.policy import Unique
from rota.tasks.untyped import loose_plan
from rota.wire.enqueue import Item

SHORTEST_RETENTION = timedelta(minutes=10)
"""A task that fired is kept at least for this time, so that its outcome can be read, also if a Go server ran it."""

MakePlan: TypeAlias = Callable[[str, object, Mapping[str, Any]], Plan[Any]]
"""Makes a plan of a task type, a payload and the options that the schedule gives."""


def plan_without_app(task_type: str, payload: object, options: Mapping[str, Any]) -> Plan[Any]:
    """Make a plan of a task whose type is not known here."""
    return loose_plan(task_type, payload, NO_OPTIONS.updated(**options))


class RunPlans:
    """Makes runs with their tasks. A schedule without options of its own uses those that the app declares."""

    def __init__(self, packer: Packer, plan: MakePlan = plan_without_app) -> None:
        self._packer = packer
        self._plan = plan

    def make(self, record: ScheduleRun, definition: ScheduleDefinition, *, counts_from: datetime) -> PlannedRun:
        """Make the tasks of a run, whose deadline counts from a moment: the planned time, or that of an order.

        Raises RotaError if the app or the limits of a payload refuse them.
        """
        payload = filled(
            definition.payload,
            planned_at=record.planned_at,
            timezone=definition.timezone,
            schedule=definition.name,
            run=record.id,
        )
        options, shards = _options(definition, counts_from), definition.fan_out
        tasks: list[QueuedItem] = []
        for shard, task_id in enumerate(run_task_ids(record.id, shards)):
            sent = payload if shards is None else {**payload, "shard": shard, "shards": shards}
            tasks.append(self._task(definition.task_type, sent, options, task_id))
        return PlannedRun(record, tuple(tasks))

    def _task(self, task_type: str, payload: Mapping[str, Any], options: Mapping[str, Any], task_id: str) -> QueuedItem:
        plan = self._plan(task_type, dict(payload), options)
        kept = max(plan.options.retention or SHORTEST_RETENTION, SHORTEST_RETENTION)
        plan = plan.updated(task_id=task_id, retention=kept, debounce=None)
        packed = self._packer.pack(plan)
        item = packed.item or Item(task_id, packed.message)  # a task with an ID of its own always has an item
        # With its ID as the mark, a task that an earlier sending added counts as added.
        return QueuedItem(packed.keys.queue, item._replace(mark=task_id))


def _options(definition: ScheduleDefinition, counts_from: datetime) -> dict[str, Any]:
    """Return the options that a definition gives."""
    given: dict[str, Any] = {
        "queue": definition.queue,
        "max_retry": definition.max_retry,
        "timeout": definition.timeout,
        "deadline": None if definition.deadline is None else counts_from + definition.deadline,
        "unique": None if definition.unique is None else Unique(ttl=definition.unique),
        "retention": definition.retention,
        "group": definition.group,
        "headers": definition.headers or None,
    }
    return {name: value for name, value in given.items() if value is not None}
