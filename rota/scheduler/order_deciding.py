"""Decides about orders: a run by hand, times to skip, a pause and its end.

An order may be decided twice, because a leader may die before it answers. The memory of the schedule holds the IDs of
the last orders. One that is among them is decided again only for its answer.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from rota.errors import OrderRefused
from rota.schedule.overlap import may_start
from rota.schedule.run import ScheduleRun
from rota.scheduler.agenda_entry import AgendaEntry
from rota.scheduler.deciding import Decider, DueVerdict, open_runs
from rota.scheduler.memory import MOST_ORDER_IDS, OrderedPause
from rota.scheduler.orders import OrderAnswer, ScheduleOrder
from rota.scheduler.run_batch import PlannedRun


class OrderVerdict(NamedTuple):
    """The decision about an order, and the answer to its sender if it is carried out."""

    due: DueVerdict
    answer: OrderAnswer


class OrderDecider(Decider):
    """Decides about schedules, and about the orders that name them."""

    def ordered(self, entry: AgendaEntry, order: ScheduleOrder, now: datetime) -> OrderVerdict:
        """Decide about an order. It does not move the last planned time. An order that was carried out has no effect.

        Raises RotaError if the order cannot be carried out.
        """
        verdict = DueVerdict(entry, entry.memory.copy(), None)
        answer = self._obey(verdict, order, now)
        if order.id in entry.memory.orders:  # decided again only for the answer
            return OrderVerdict(DueVerdict(entry, entry.memory.copy(), None), answer)
        verdict.memory.orders = (*entry.memory.orders, order.id)[-MOST_ORDER_IDS:]
        return OrderVerdict(verdict, answer)

    def _obey(self, verdict: DueVerdict, order: ScheduleOrder, now: datetime) -> OrderAnswer:
        memory = verdict.memory
        match order.kind:
            case "run":
                return self._run_now(verdict, order, now)
            case "skip":
                if order.id in verdict.entry.memory.orders:
                    return OrderAnswer(times=tuple(sorted(memory.state.skips)[: order.count]))
                times = _next_times(verdict.entry, order.count, now)
                memory.state = replace(memory.state, skips=memory.state.skips.union(times))
                return OrderAnswer(times=times)
            case "pause":
                _refuse_stored(verdict.entry)
                memory.pause = OrderedPause(order.until, order.note, order.by)
            case "resume":
                memory.pause, memory.failures = None, 0
        return OrderAnswer()

    def _run_now(self, verdict: DueVerdict, order: ScheduleOrder, now: datetime) -> OrderAnswer:
        entry = verdict.entry
        record = self._record(entry, order.planned_at or now, order.cause)
        record = replace(record, id=order.run_id(entry.id), by=order.by)
        definition = entry.definition if order.definition is None else entry.definition.patched(order.definition)
        record = replace(record, task_type=definition.task_type)
        others = [run for run in open_runs(entry.id, verdict.memory) if run.id != record.id]
        found = may_start(definition, others, overlap=order.overlap, begun=verdict.memory.begun)
        if found.act == "start" or found.cancel:
            verdict.cancels += [run for run in verdict.memory.open if run.id in found.cancel]
            self._start(verdict, record, definition, counts_from=now)
        else:  # a run by hand does not wait for its turn
            skipped = replace(record, outcome="skipped", skip_reason="overlap", skip_count=1, note=found.note)
            verdict.skipped.append(skipped)
            verdict.counts["overlap"] += 1
        return OrderAnswer(run=_answered(verdict.runs[0]) if verdict.runs else verdict.skipped[-1])


def _next_times(entry: AgendaEntry, count: int, now: datetime) -> tuple[datetime, ...]:
    """Return the next planned times that are not skipped yet. Raises OrderRefused if there is none."""
    if entry.counts_from_end:
        raise OrderRefused("its next time counts from the end of its last run, so it cannot be skipped: pause it.")
    found: list[datetime] = []
    earliest = now - (entry.definition.jitter or timedelta(0))
    at = entry.timetable.next(max(entry.memory.state.last or earliest, earliest)) if entry.definition.enabled else None
    while at is not None and len(found) < count:
        if at not in entry.memory.state.skips and entry.timetable.fires_at(at) > now:
            found.append(at)
        at = entry.timetable.next(at)
    if not found:
        raise OrderRefused("it has no next planned time to skip.")
    return tuple(found)


def _refuse_stored(entry: AgendaEntry) -> None:
    if entry.schedule.source == "database":
        raise OrderRefused("it is in the store: pause it and start it there, with `rota schedule pause` and `start`.")


def _answered(run: PlannedRun) -> ScheduleRun:
    """Return the record of a run that is about to be enqueued."""
    ids = tuple(task.item.id for task in run.tasks)
    return replace(run.record, queue=run.tasks[0].queue, task_ids=ids)
