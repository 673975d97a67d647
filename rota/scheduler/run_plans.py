"""Makes the tasks of a run: from the definition of a schedule and a planned time to messages that can be enqueued."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from rota.client.packing import Packer
from rota.schedule.definition import ScheduleDefinition
from rota.schedule.run import ScheduleRun, run_task_ids
from rota.schedule.variables import filled
from rota.scheduler.run_batch import PlannedRun, QueuedItem
from rota.tasks.job import Plan
from rota.tasks.middleware import EnqueueMiddleware
from rota.tasks.options import NO_OPTIONS, Options
from rota.tasks.policy import Unique
from rota.tasks.untyped import loose_plan
from rota.wire.enqueue import Item

SHORTEST_RETENTION = timedelta(minutes=10)
"""A task that fired is kept at least for this time, so that its outcome can be read, also if a Go server ran it."""
MOST_OPTIONS = 512

MakePlan: TypeAlias = Callable[[str, object, Mapping[str, Any]], Plan[Any]]
"""Makes a plan of a task type, a payload and the options that the schedule gives."""


def plan_without_app(task_type: str, payload: object, options: Mapping[str, Any]) -> Plan[Any]:
    """Make a plan of a task whose type is not known here."""
    return loose_plan(task_type, payload, NO_OPTIONS.updated(**options))


class RunPlans:
    """Makes runs with their tasks. A schedule without options of its own uses those that the app declares."""

    def __init__(
        self, packer: Packer, plan: MakePlan = plan_without_app, middlewares: Sequence[EnqueueMiddleware] = ()
    ) -> None:
        self.middlewares = middlewares
        """The enqueue middleware of the app, which `FireHooks` runs around the fires."""
        self._packer = packer
        self._plan = plan
        self._options: dict[int, tuple[Options, Options]] = {}

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
        payloads: list[dict[str, Any]] = [dict(payload)]
        if shards is not None:
            payloads = [{**payload, "shard": shard, "shards": shards} for shard in range(shards)]
        return self.packed(record, [self._plan(definition.task_type, sent, options) for sent in payloads])

    def packed(self, record: ScheduleRun, plans: Sequence[Plan[Any]]) -> PlannedRun:
        """Make the tasks of a run from their plans, under the IDs of the run. Raises RotaError."""
        ids = run_task_ids(record.id, None if len(plans) == 1 else len(plans))
        tasks = tuple(self._task(plan, task_id) for plan, task_id in zip(plans, ids, strict=True))
        return PlannedRun(record, tasks, tuple(plans))

    def _task(self, plan: Plan[Any], task_id: str) -> QueuedItem:
        plan = plan._replace(options=self._kept(plan.options))
        # The ID is the mark too, so a task that an earlier sending added counts as added.
        packed = self._packer.pack(plan, task_id)
        return QueuedItem(packed.keys.queue, packed.item or Item(task_id, packed.message, mark=task_id))

    def _kept(self, options: Options) -> Options:
        """Return options with which a task is kept after its run. Most plans share their options with earlier ones."""
        known = self._options.get(id(options))
        if known is None:
            if len(self._options) >= MOST_OPTIONS:
                self._options.clear()
            kept = max(options.retention or SHORTEST_RETENTION, SHORTEST_RETENTION)
            # The given options are held too, so that their id() is not reused.
            known = options, replace(options, task_id=None, retention=kept, debounce=None)
            self._options[id(options)] = known
        return known[1]


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
