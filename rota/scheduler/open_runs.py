"""The runs that are enqueued and not over, as the recorder follows them.

The list is in memory: runs join it when their records are read, and those of before are read from the store once. It
holds `MOST_HELD` runs. While there are more, the others are read from the store again and again, a page at a time.

A look reads only the states of tasks, 500 in one request. The tasks of a run that is over are then read whole, with
their results, attempts and log lines.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

from rota.broker.broker import Broker
from rota.client.requests import Requests
from rota.client.steps import together
from rota.inspect.face import TaskRef
from rota.inspect.task_reads import stored_tasks
from rota.schedule.run import ScheduleRun
from rota.scheduler.run_outcome import followed
from rota.wire.look_task import MAX_PAGE, TaskEnd, ends
from rota.wire.script import Call

if TYPE_CHECKING:
    from rota.store import Store

MOST_HELD = 20_000
MOST_LOOKED = 5000
"""Runs that are looked at in one round. If there are more, they take turns."""
PAGE = 500
AT_ONCE = 100
"""Ended runs whose tasks are read without a pause."""


class OpenRuns:
    """The open runs of one term. `now` tells the server's time."""

    def __init__(self, broker: Broker, now: Callable[[], datetime]) -> None:
        self._broker = broker
        self._requests = Requests(broker)
        self._now = now
        self._runs: dict[str, ScheduleRun] = {}
        self._beside: list[ScheduleRun] = []
        """Runs for which there is no room. They are looked at in this round alone."""
        self._cursor: str | None = None
        self._scans = True
        """Whether open runs of the store may be missing in the list."""
        self._overflowed = False

    def add(self, records: Iterable[ScheduleRun]) -> None:
        """Add those runs that are enqueued and not over."""
        for run in records:
            if run.is_over or not run.task_ids:
                continue
            if run.id in self._runs or len(self._runs) < MOST_HELD:
                self._runs.setdefault(run.id, run)
            else:
                self._beside.append(run)
                self._scans = self._overflowed = True

    async def read_more(self, store: "Store") -> None:
        """Read the next page of open runs from the store, unless all are in the list."""
        if not self._scans:
            return
        page = await store.open_runs(cursor=self._cursor, limit=PAGE)
        self.add(page.items)
        self._cursor = page.next
        if page.next is None:
            self._scans, self._overflowed = self._overflowed, False

    async def look(self) -> dict[str, ScheduleRun]:
        """Return the runs that have come further, by ID: those that have begun, and those that are over."""
        turn = list(islice(self._runs, MOST_LOOKED))
        for run_id in turn:  # the others come first next time
            self._runs[run_id] = self._runs.pop(run_id)
        runs = [*(self._runs[run_id] for run_id in turn), *self._beside]
        self._beside = []
        states = await self._read_states(runs)
        seen: dict[str, ScheduleRun] = {}
        over: list[ScheduleRun] = []
        for number, run in enumerate(runs):
            if number % PAGE == PAGE - 1:
                await asyncio.sleep(0)
            found = {states[run.queue, task_id] for task_id in run.task_ids}
            if found.isdisjoint(("open", "waiting")):
                over.append(run)
            elif run.started_at is None and found != {"waiting"}:
                seen[run.id] = replace(run, started_at=self._now())
        refs = [TaskRef(run.queue, task_id) for run in over for task_id in run.task_ids]
        tasks = await self._requests.carry_out(stored_tasks(self._broker.keys, refs))
        now = self._now()
        for number, run in enumerate(over):
            if number % AT_ONCE == AT_ONCE - 1:  # other work of this process gets its turn
                await asyncio.sleep(0)
            after = followed(run, [tasks[TaskRef(run.queue, task_id)] for task_id in run.task_ids], now)
            if after != run:
                seen[run.id] = after
        return seen

    def settle(self, seen: Mapping[str, ScheduleRun]) -> None:
        """Take over what a look has found, once it is in the store."""
        for run_id, run in seen.items():
            if run.is_over:
                self._runs.pop(run_id, None)
            elif run_id in self._runs:
                self._runs[run_id] = run

    async def _read_states(self, runs: Iterable[ScheduleRun]) -> dict[tuple[str, str], TaskEnd]:
        found: dict[tuple[str, str], TaskEnd] = {}
        parts = [
            (queue, ids[start : start + MAX_PAGE])
            for queue, ids in _by_queue(runs).items()
            for start in range(0, len(ids), MAX_PAGE)
        ]
        # One after the other: thousands of answers at once would hold up the fires of the same process.
        for queue, ids in parts:
            call: Call[list[TaskEnd]] = ends(self._broker.keys.queue(queue), ids)
            [states] = await self._requests.carry_out(together([call]))
            found |= {(queue, task_id): state for task_id, state in zip(ids, states, strict=True)}
        return found


def _by_queue(runs: Iterable[ScheduleRun]) -> dict[str, list[str]]:
    """Group the tasks of runs by queue."""
    found: dict[str, list[str]] = {}
    for run in runs:
        found.setdefault(run.queue, []).extend(run.task_ids)
    return found
