"""Drains a sandbox: runs its tasks in this process until nothing that is due is left.

A real worker takes, runs and records the tasks, with their retries, time limits, hooks and groups. It serves the apps
of the sandbox as one app (`JoinedApp`), which notes each run. Differences from `rota worker`:

- It serves all queues that exist.
- A function with `run="process"` runs in a thread, because the app is bound to the sandbox only in this process.
- Tasks whose type has a concurrency limit do not overlap at all beyond it: the worker has no more slots than that.

The steps of one pass:

1. Start the worker.
2. Aggregate the groups that are due.
3. Check whether a task is running, pending or due. If one is, wait and repeat step 2.
4. Stop the worker.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from rota import events
from rota.app import Rota
from rota.broker.broker import Broker
from rota.core.canonical import is_count
from rota.core.text import counted
from rota.errors import BrokerError, BrokerRefused, OptionError
from rota.tasks.job import TaskState
from rota.testing.joined_app import JoinedApp, TaskRun
from rota.testing.travel import SandboxClock, rounded_up
from rota.wire.look_task import tasks, work_left
from rota.wire.recover import reclaim_sets
from rota.worker.groups.aggregation import AggregatorOptions, GroupDefaults
from rota.worker.groups.aggregator import Aggregator
from rota.worker.worker import Worker

_LOOK_SECONDS = 0.002
_MOST_NAMED = 5


class DrainError(AssertionError):
    """The sandbox could not be drained: too many runs, too little time, no handler, or an error of an aggregator."""


@dataclass(frozen=True, slots=True)
class DrainLimits:
    """When a drain gives up, and how many tasks run at once (None: as the setting says)."""

    max_runs: int
    timeout: timedelta
    concurrency: int | None = None
    leave_unknown: bool = False

    def __post_init__(self) -> None:
        for name in ("max_runs", "concurrency"):
            value = getattr(self, name)
            if value is not None and not is_count(value):
                raise OptionError(f"{name} is {value!r}, but must be a whole number, 1 or more.")


class Drain:
    """Runs the tasks of a sandbox, in one or more passes, and keeps what ran."""

    def __init__(self, apps: Sequence[Rota], clock: SandboxClock, limits: DrainLimits) -> None:
        self.runs: list[TaskRun] = []
        self._clock = clock
        self._limits = limits
        self._deadline = time.monotonic() + limits.timeout.total_seconds()
        self._too_many = asyncio.Event()
        self._app = JoinedApp(apps, self._begin)
        slots = limits.concurrency or self._app.settings.worker.concurrency
        self._concurrency = min([slots, *self._app.concurrency_limits()])

    async def run(self, travel: timedelta) -> None:
        """Run what is due, then move the clock from one due time to the next until `travel` is over."""
        async with self._app.lifespan_state():  # entered once for all passes
            group_due = await self._run_due()
            end = self._clock.now() + travel
            while travel:
                goal = min(filter(None, (self._clock.next_due(), group_due, end)))
                self._clock.travel(max(goal - self._clock.now(), timedelta(0)))
                before, group_due = group_due, await self._run_due()
                if group_due == before:
                    group_due = None  # it was not aggregated then, and the same stop would not change that
                if goal == end:
                    return

    async def _run_due(self) -> datetime | None:
        """Run what is due now, and what becomes due meanwhile; return when the next group is due. Raises DrainError."""
        queues = self._clock.queues()
        if not queues:
            return None
        async with AsyncExitStack() as stack:
            broker = await stack.enter_async_context(self._app.connect())
            worker = await stack.enter_async_context(
                self._app.worker(
                    queues={**dict.fromkeys([*queues, "*"], 1), **self._app.settings.worker.queues},
                    concurrency=self._concurrency,
                    health_port=None,
                    shutdown_timeout=0,
                )
            )
            look = _Look(self._app, worker, broker)
            while not await look.is_drained():
                if self._too_many.is_set() or time.monotonic() > self._deadline:
                    raise self._overdue()
                await asyncio.sleep(_LOOK_SECONDS)
            if look.failure is not None:
                await look.return_groups()
                raise DrainError(look.failure.message()) from look.failure.error
            unknown = look.unknown | dict.fromkeys(self._app.missing - look.unknown.keys(), 0)
            if unknown and not self._limits.leave_unknown:
                raise _without_handler(unknown)
            return look.next_group_due()

    async def _begin(self, run: TaskRun) -> None:
        if len(self.runs) >= self._limits.max_runs:
            self._too_many.set()
            await asyncio.Event().wait()  # the worker is stopped, which cancels this and hands the task back
        self.runs.append(run)

    def _overdue(self) -> DrainError:
        if self._too_many.is_set():
            last = ", ".join(dict.fromkeys(run.type for run in self.runs[-_MOST_NAMED:]))
            return DrainError(
                f"{counted(self._limits.max_runs, 'task')} ran, and more are due (the last ones: {last}). Perhaps a "
                "task enqueues itself again and again, or is retried without a delay. If the test needs more runs, "
                "raise max_runs."
            )
        running = ", ".join(f"{run.type} ({run.id})" for run in self.runs if run.state == "running")
        return DrainError(
            f"The sandbox was not drained within {self._limits.timeout.total_seconds():g} s. "
            f"{f'Still running: {running}' if running else 'No task of this drain runs'}; "
            f"{counted(len(self.runs), 'run')} so far. Perhaps a task waits for something that never comes."
        )


class _Look:
    """Checks whether a worker has anything left to do."""

    def __init__(self, app: JoinedApp, worker: Worker, broker: Broker) -> None:
        self.unknown: dict[str, int] = {}
        """The types of the pending tasks that no app handles."""
        self._app = app
        self._worker = worker
        self._broker = broker
        groups = app.settings.aggregation
        self._aggregator = Aggregator(
            broker,
            worker.queue_names,
            app.all_aggregators.find,
            GroupDefaults(groups.group_grace, groups.group_max_delay, groups.group_max_size),
            # A failed set is past its deadline at once: see `return_groups`.
            AggregatorOptions(notified=False, wait_after_failure=timedelta(seconds=-1)),
            payload_limit_bytes=app.settings.enqueue.payload_limit_bytes,
        )

    @property
    def failure(self) -> events.AggregatorFailed | None:
        """The latest error of an aggregator, which has no run that could show it."""
        return self._aggregator.last_failure

    def next_group_due(self) -> datetime | None:
        """When the next group is due, or None."""
        due = self._aggregator.next_due()
        return None if due is None else rounded_up(due)

    async def return_groups(self) -> None:
        """Put the tasks of failed aggregations back into their groups, which a worker does half a minute later."""
        for queue in self._worker.queue_keys():
            with suppress(BrokerRefused):  # a key of the queue has the wrong type
                while (await self._broker.run(reclaim_sets(queue))).more:
                    pass

    async def is_drained(self) -> bool:
        """Whether no task runs, and none that this worker can run is due."""
        worker = self._worker
        if worker.held():
            return False
        await worker.look_for_queues()
        if len(self._app.all_aggregators) and await self._aggregator.aggregate():
            return False
        queues = worker.queue_keys()
        replies = await self._broker.run_many([work_left(each) for each in queues])
        for queue, reply in zip(queues, replies, strict=True):
            if isinstance(reply, BrokerRefused):
                continue  # a key of the queue has the wrong type, so the worker does not serve this queue
            if isinstance(reply, BrokerError):
                raise reply
            if reply.now and not await self._is_left_to_others(queue.queue, reply.now):
                return False
        return not worker.held()

    async def _is_left_to_others(self, queue: str, due: int) -> bool:
        """Whether all due tasks of a queue are pending and of types that no app handles."""
        keys = self._broker.keys.queue(queue)
        page = await self._broker.run(tasks(keys, TaskState.PENDING, keys.pending, 0))
        types = [each.message().type for each in page.tasks]
        if page.total != due or len(types) < page.total or any(self._app.find_handler(type) for type in types):
            return False
        self.unknown.update((type, types.count(type)) for type in types)
        return True


def _without_handler(unknown: Mapping[str, int]) -> DrainError:
    ordered = sorted(unknown.items())[:_MOST_NAMED]
    named = ", ".join(f"{type!r} ({count})" if count else f"{type!r} (put off)" for type, count in ordered)
    return DrainError(
        f"No app of the sandbox has a handler for these tasks, which stay in their queues: {named}. Import the module "
        "that defines it, give the sandbox the app that has it, or drain with leave_unknown=True if another program "
        "runs them."
    )


def first_error(runs: Sequence[TaskRun]) -> BaseException | None:
    """Return the error of the first run that failed, with a note if more have failed; None if none has."""
    failed = [run for run in runs if run.state in ("retry", "archived") and run.error is not None]
    if not failed:
        return None
    error = cast("BaseException", failed[0].error)
    error.add_note(f"Raised in the run of task {failed[0].type} ({failed[0].id}).")
    if len(failed) > 1:
        error.add_note(f"{counted(len(failed) - 1, 'more run')} failed: {', '.join(run.type for run in failed[1:6])}.")
    return error
