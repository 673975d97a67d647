"""The ends of open runs: looks for them, and starts the schedules that come after a run.

A run matters while its schedule waits for its end, or decides by it whether the next run may start. The tasks of many
runs are looked at together, one request for each queue.

`start_deadline` holds in the queue too: a run that no worker has begun by then is cancelled. So a run that no worker
takes, because its type has no handler or its queue no worker, does not block its schedule for longer.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from rota import events
from rota.broker.broker import Broker
from rota.client.requests import Requests
from rota.client.verbs import cancelling, change_many
from rota.errors import BrokerError
from rota.scheduler.agenda import Agenda
from rota.scheduler.agenda_entry import AgendaEntry
from rota.scheduler.deciding import follows
from rota.scheduler.firing import TermOver
from rota.scheduler.memory import EndedRun, OpenRun, worst
from rota.scheduler.orders import ScheduleOrder
from rota.scheduler.server_time import ServerTime
from rota.wire.look_task import TaskEnd, ends
from rota.wire.script import Call

AFTER, DEEPEST = "then", 10
"""The mark of runs that were started after another one, and how many of them may follow each other."""
TOO_DEEP = f"{DEEPEST} schedules have started each other already"
LOOK_SECONDS = 1.0
"""How often the open runs are looked at whose end a schedule waits for."""
NOT_BEGUN = "no worker had begun it by its start deadline"
DEAD_AFTER_SECONDS = 60.0
"""A running task whose lease expired this long ago does not block its schedule, because no worker recovers it."""


class RunEnds:
    """The ends that one term looks for. `start` carries out the order to run what comes after."""

    def __init__(
        self, broker: Broker, agenda: Agenda, clock: ServerTime, start: Callable[[ScheduleOrder], Awaitable[object]]
    ) -> None:
        self._broker = broker
        self._agenda = agenda
        self._clock = clock
        self._start = start
        self._looked_at = 0.0
        self._looking: set[str] = set()
        """The schedules whose ends are being dealt with. A schedule that comes after one may lead back to it."""

    def waiting(self) -> list[AgendaEntry]:
        """Return the schedules that go on when one of their runs has ended, once every `LOOK_SECONDS`."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_SECONDS:
            return []
        self._looked_at = now
        return [entry for entry in self._agenda.waiting.values() if entry.memory.open]

    async def look(self, entries: Iterable[AgendaEntry]) -> None:
        """Note which open runs are over, and start the schedules that come after them."""
        # A schedule may wait for an end and be due as well.
        looked = list({entry.id: entry for entry in entries if entry.id not in self._looking}.values())
        by_queue: dict[str, dict[str, TaskEnd]] = {}
        for entry in looked:
            for run in entry.memory.open:
                by_queue.setdefault(run.queue, {}).update(dict.fromkeys(run.task_ids, "open"))
        if not by_queue:
            return
        await self._read(by_queue)
        found = {
            entry.id: [
                EndedRun(run, worst(by_queue[run.queue][id] for id in run.task_ids)) for run in entry.memory.open
            ]
            for entry in looked
        }
        given_up = await self._give_up(looked, found)
        for entry in looked:
            still = {run.id for run in entry.memory.open}  # an order after another run may have noted some ends
            seen = [
                each._replace(end="cancelled") if each.run.id in given_up else each
                for each in found[entry.id]
                if each.run.id in still
            ]
            begun = {each.run.id for each in seen if each.end == "open"}
            entry.memory.open = [run._replace(begun=run.begun or run.id in begun) for run in entry.memory.open]
            if over := [each for each in seen if each.end not in ("open", "waiting")]:
                self._looking.add(entry.id)
                try:
                    await self._start_next(entry, over)
                finally:
                    self._looking.discard(entry.id)
                entry.memory.ended(over, self._clock.moment())

    async def _give_up(self, looked: Sequence[AgendaEntry], found: Mapping[str, Sequence[EndedRun]]) -> set[str]:
        """Cancel the runs that no worker has begun within their `start_deadline`, and return their IDs."""
        now, late = self._clock.moment(), list[OpenRun]()
        for entry in looked:
            limit = entry.definition.start_deadline
            if limit is not None:
                late += [run for run, end in found[entry.id] if end == "waiting" and now > run.planned_at + limit]
        if not late:
            return set()
        asked = await cancel_tasks(self._broker, late, NOT_BEGUN)
        return {run.id for run in late if asked.isdisjoint(run.task_ids)}

    async def _read(self, by_queue: dict[str, dict[str, TaskEnd]]) -> None:
        calls: list[Call[list[TaskEnd]]] = [
            ends(self._broker.keys.queue(queue), list(ids), dead_after_seconds=DEAD_AFTER_SECONDS)
            for queue, ids in by_queue.items()
        ]
        replies: list[list[TaskEnd] | BrokerError] = await self._broker.run_many(calls)
        for ids, reply in zip(by_queue.values(), replies, strict=True):
            if isinstance(reply, BrokerError):
                raise TermOver(reply)
            ids.update(zip(ids, reply, strict=True))

    async def _start_next(self, entry: AgendaEntry, over: Sequence[EndedRun]) -> None:
        """Start the schedules that come after runs. They are started before the end is noted, so that none is lost.

        If the leader dies in between, the next one starts them again under the same IDs, which changes nothing.
        """
        for run, end in over:
            for index, rule in enumerate(entry.definition.then):
                if rule.schedule is None or not follows(rule, end):
                    continue
                if run.id.count(AFTER) >= DEEPEST:
                    events.emit(events.ScheduleOrderRefused(order=f"run {rule.schedule}", reason=TOO_DEEP))
                    continue
                order = ScheduleOrder(
                    id=f"{AFTER}{index}-{run.id}",
                    kind="run",
                    schedule=rule.schedule,
                    by=entry.definition.name,
                    cause="then",
                )
                await self._start(order)


async def cancel_tasks(broker: Broker, runs: Iterable[OpenRun], reason: str) -> set[str]:
    """Cancel the tasks of runs. Returns the IDs of those that a worker runs, which is asked to end them."""
    tasks = [(run.queue, task_id) for run in runs for task_id in run.task_ids]
    outcomes = await Requests(broker).carry_out(change_many(cancelling(reason), broker.keys, tasks))
    asked: set[str] = set()
    for (_, task_id), outcome in zip(tasks, outcomes, strict=True):
        if isinstance(outcome, BrokerError):
            raise TermOver(outcome)
        if outcome.reply == "asked":
            asked.add(task_id)
    return asked
