"""Turns due schedules into orders: which runs fire, wait or are skipped, and what is remembered then.

The memory of a schedule does not change here. `DueVerdict.memory` replaces it when the order was carried out. If the
order fails, the old memory still holds, and the leader reads from the server how far the order came.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rota import events
from rota.core.text import counted
from rota.errors import RotaError
from rota.schedule.definition import ScheduleDefinition, ThenRule
from rota.schedule.due import COUNTED, Decision, Fire, Skip, decide
from rota.schedule.overlap import may_start, next_to_start
from rota.schedule.run import Cause, ScheduleRun, SkipReason, run_id
from rota.scheduler.agenda_entry import AgendaEntry
from rota.scheduler.memory import OpenRun, OrderedPause, ScheduleMemory, SkipRow, WaitingRun
from rota.scheduler.run_batch import FireOrder, PlannedRun
from rota.scheduler.run_plans import RunPlans
from rota.wire.look_task import TaskEnd

MOST_OPEN = 100
"""Open runs that are remembered of one schedule. With `overlap="allow"` there may be any number."""
SKIPS_WRITTEN_EVERY = timedelta(minutes=1)


FAILED: frozenset[TaskEnd] = frozenset({"failed", "lost"})
AUTO_PAUSE = "auto_pause"
LONGEST_PROBE = timedelta(days=1)
"""The longest time after which a schedule that paused itself is tried again."""


def follows(rule: ThenRule, end: TaskEnd) -> bool:
    """Whether something starts after a run with this end."""
    return (
        rule.on == "always" or (rule.on == "success" and end == "succeeded") or (rule.on == "failure" and end in FAILED)
    )


@dataclass(slots=True)
class DueVerdict:
    """The decision about one schedule: its runs, its skips, and its memory once they are carried out."""

    entry: AgendaEntry
    memory: ScheduleMemory
    next_due: datetime | None
    runs: list[PlannedRun] = field(default_factory=list[PlannedRun])
    skipped: list[ScheduleRun] = field(default_factory=list[ScheduleRun])
    counts: Counter[str] = field(default_factory=Counter[str])
    """Planned times that are skipped, by reason. Their records are fewer (`_skip`)."""
    cancels: list[OpenRun] = field(default_factory=list[OpenRun])
    moved: bool = False
    """Whether the last planned time has moved."""

    @property
    def order(self) -> FireOrder | None:
        """The order to carry out; None if there is nothing to write."""
        if not (self.runs or self.skipped or self.moved or self.memory.text() != self.memory.stored):
            return None
        change = self.memory.change(self.entry.id, moved=self.moved)
        runs, skipped = list(self.runs), list[ScheduleRun]()
        for record in self.skipped:
            number = sum(run.record.planned_at <= record.planned_at for run in runs)
            if number:
                runs[number - 1] = replace(runs[number - 1], after=(*runs[number - 1].after, record))
            else:
                skipped.append(record)
        return FireOrder(change, tuple(runs), tuple(skipped))


class Decider:
    """Decides about schedules, with the open runs that the caller has looked at."""

    def __init__(self, plans: RunPlans) -> None:
        self._plans = plans

    def verdict(self, entry: AgendaEntry, now: datetime, *, held: bool) -> DueVerdict:
        """Decide the planned times of a schedule up to now."""
        memory = entry.memory.copy()
        verdict = DueVerdict(entry, memory, None)
        self._act_on_ends(verdict, now)
        if memory.pause != entry.memory.pause:  # it has paused itself, and is decided again as a paused one
            return verdict
        memory.state = replace(memory.state, held=held, is_open=bool(memory.open or memory.waiting))
        decision = decide(entry.timetable, memory.state, now)
        verdict.next_due = decision.next_due
        self._start_waiting(verdict)
        pieces: list[Fire | Skip] = [*decision.fires, *decision.skips]
        for piece in sorted(pieces, key=_begins):
            if isinstance(piece, Fire):
                self._fire(verdict, piece)
            else:
                self._skip(verdict, piece.first, piece.last, piece.count, piece.reason)
        self._settle(verdict, decision)
        return verdict

    def _act_on_ends(self, verdict: DueVerdict, now: datetime) -> None:
        """Count failures, pause the schedule after too many in a row, and start the tasks that come after a run."""
        memory, definition = verdict.memory, verdict.entry.definition
        for run, end in memory.ends:
            if end in FAILED:
                memory.failures += 1
            elif end == "succeeded":
                _recover(memory, definition)
            rule = definition.auto_pause
            if rule is not None and end in FAILED and memory.failures >= rule.failures:
                wait = rule.probe_after
                if wait is not None:
                    wait = min(wait * 2 ** min(memory.failures - rule.failures, 20), LONGEST_PROBE)
                note = f"{counted(memory.failures, 'failure')} in a row"
                memory.pause = OrderedPause(None if wait is None else now + wait, note, AUTO_PAUSE)
                events.emit(events.ScheduleAutoPaused(schedule=definition.name, note=note))
            for index, after in enumerate(definition.then):
                if after.task_type is not None and follows(after, end):
                    self._start_after(verdict, run, index, after, now)
        memory.ends = []

    def _start_after(self, verdict: DueVerdict, run: OpenRun, index: int, rule: ThenRule, now: datetime) -> None:
        entry = verdict.entry
        record = replace(
            self._record(entry, run.planned_at, "then"), id=f"{run.id}-then{index}", task_type=rule.task_type or ""
        )
        definition = ScheduleDefinition(
            name=entry.definition.name,
            kind="wait",
            task_type=rule.task_type or "",
            payload=rule.payload,
            queue=rule.queue,
            timezone=entry.definition.timezone,
            overlap="allow",
        )
        try:
            verdict.runs.append(self._plans.make(record, definition, counts_from=now))
        except RotaError as error:
            refuse(verdict, record, error)

    def _fire(self, verdict: DueVerdict, fire: Fire) -> None:
        entry, memory = verdict.entry, verdict.memory
        found = may_start(entry.definition, open_runs(entry.id, memory), begun=memory.begun)
        for waiting in [each for each in memory.waiting if run_id(entry.id, each.planned_at) in found.give_up]:
            memory.waiting.remove(waiting)
            self._skip(verdict, waiting.planned_at, waiting.planned_at, 1, "replaced", found.note)
        verdict.cancels += [run for run in memory.open if run.id in found.cancel]
        if found.act == "skip":
            self._skip(verdict, fire.planned_at, fire.planned_at, 1, "overlap", found.note)
            return
        memory.state = replace(memory.state, runs=memory.state.runs + 1)
        if found.act == "wait":
            memory.waiting.append(WaitingRun(fire.planned_at, fire.cause))
        else:
            self._start(verdict, self._record(entry, fire.planned_at, fire.cause))

    def _start_waiting(self, verdict: DueVerdict) -> None:
        """Start a waiting run, if the runs before it are over."""
        found = next_to_start(open_runs(verdict.entry.id, verdict.memory))
        if found is None:
            return
        waiting = next(each for each in verdict.memory.waiting if each.planned_at == found.planned_at)
        verdict.memory.waiting.remove(waiting)
        self._start(verdict, self._record(verdict.entry, waiting.planned_at, waiting.cause))

    def _record(self, entry: AgendaEntry, planned_at: datetime, cause: Cause) -> ScheduleRun:
        schedule = entry.schedule
        return ScheduleRun(
            id=run_id(entry.id, planned_at),
            schedule_id=entry.id,
            schedule_version=schedule.version,
            planned_at=planned_at,
            cause=cause,
            task_type=entry.definition.task_type,
        )

    def _start(
        self,
        verdict: DueVerdict,
        record: ScheduleRun,
        definition: ScheduleDefinition | None = None,
        *,
        counts_from: datetime | None = None,
    ) -> None:
        definition = definition or verdict.entry.definition
        try:
            run = self._plans.make(record, definition, counts_from=counts_from or record.planned_at)
        except RotaError as error:  # the app or the limits of a payload refuse the task
            refuse(verdict, record, error)
            return
        self._end_skips(verdict)
        verdict.runs.append(run)
        if verdict.entry.follows_runs:
            ids = tuple(task.item.id for task in run.tasks)
            verdict.memory.open.append(OpenRun(record.id, run.tasks[0].queue, ids, record.planned_at))
            del verdict.memory.open[:-MOST_OPEN]

    def _skip(
        self, verdict: DueVerdict, first: datetime, last: datetime, count: int, reason: SkipReason, note: str = ""
    ) -> None:
        """Note skipped planned times. Those in a row for one reason are one row, which is written once a minute.

        It is written to its end before something else, or when it has not grown for `ROW_RESTS` (`rest_of_skips`).
        """
        entry, row = verdict.entry, verdict.memory.skip_row
        verdict.counts[reason] += count
        if row is not None and row.reason == reason:
            row = replace(row, last=last, count=min(row.count + count, COUNTED))
        else:
            self._end_skips(verdict)
            row = SkipRow(first, last, count, reason, note, written=None)
            name = entry.definition.name
            events.emit(
                events.RunSkipped(schedule=name, run=run_id(entry.id, first), reason=reason, count=count, note=note)
            )
        if row.written is None or last - row.written >= SKIPS_WRITTEN_EVERY:
            row = self._write_skips(verdict, row)
        verdict.memory.skip_row = row

    def _end_skips(self, verdict: DueVerdict) -> None:
        """End a row of skips before a run, or before a row with another reason. Its record gets the last count."""
        row, verdict.memory.skip_row = verdict.memory.skip_row, None
        if row is not None and row.written != row.last:
            self._write_skips(verdict, row)

    def rest_of_skips(self, entry: AgendaEntry) -> DueVerdict:
        """Record the row of skips of a schedule to its end, because it may not grow any more."""
        verdict = DueVerdict(entry, entry.memory.copy(), entry.due_at)
        if (row := verdict.memory.skip_row) is not None:
            verdict.memory.skip_row = self._write_skips(verdict, row)
        return verdict

    def _write_skips(self, verdict: DueVerdict, row: SkipRow) -> SkipRow:
        record = replace(
            self._record(verdict.entry, row.first, "tick"),
            outcome="skipped",
            skip_reason=row.reason,
            skip_count=row.count,
            skip_until=row.last,
            note=row.note,
        )
        verdict.skipped.append(record)
        return replace(row, written=row.last)

    def _settle(self, verdict: DueVerdict, decision: Decision) -> None:
        memory, until = verdict.memory, decision.decided_until
        last = verdict.entry.memory.state.last
        verdict.moved = bool(decision.fires or decision.skips) and (last is None or until > last)
        if verdict.moved:
            memory.state = replace(memory.state, last=until)
        memory.state = replace(
            memory.state,
            is_open=bool(memory.open),
            held=False,
            skips=frozenset(at for at in memory.state.skips if at > until),
        )


def refuse(verdict: DueVerdict, record: ScheduleRun, error: RotaError) -> None:
    """Record a run that the app, its middleware or the limits of a payload refuse."""
    events.emit(events.RunRefused(schedule=verdict.entry.definition.name, run=record.id, error=str(error)))
    verdict.skipped.append(replace(record, outcome="skipped", skip_reason="refused", skip_count=1, error=str(error)))
    verdict.counts["refused"] += 1


def _recover(memory: ScheduleMemory, definition: ScheduleDefinition) -> None:
    """End the count of failures, and the pause until the next probe. A pause without a probe is ended by hand."""
    rule, failures = definition.auto_pause, memory.failures
    memory.failures = 0
    if rule is None or failures < rule.failures:
        return
    if memory.pause is not None and memory.pause.by == AUTO_PAUSE and memory.pause.until is not None:
        memory.pause = None
    events.emit(events.ScheduleRecovered(schedule=definition.name, failures=failures))


def _begins(piece: Fire | Skip) -> datetime:
    return piece.planned_at if isinstance(piece, Fire) else piece.first


def open_runs(schedule_id: str, memory: ScheduleMemory) -> Sequence[ScheduleRun]:
    """Return the open runs as the rule of overlaps wants them: those that wait have no `enqueued_at`."""
    enqueued = [
        ScheduleRun(
            id=run.id,
            schedule_id=schedule_id,
            schedule_version=0,
            planned_at=run.planned_at,
            enqueued_at=run.planned_at,
        )
        for run in memory.open
    ]
    waiting = [
        ScheduleRun(
            id=run_id(schedule_id, run.planned_at),
            schedule_id=schedule_id,
            schedule_version=0,
            planned_at=run.planned_at,
        )
        for run in memory.waiting
    ]
    return enqueued + waiting
