"""The time in which one scheduler leads, in one epoch: it renews its lease, and goes round by round.

A round has these steps:

1. Apply what the sources gave since the last round, and carry out the orders that users sent.
2. Look which open runs are over, of the schedules that are due and of those that wait for an end.
3. Decide the schedules that are due.
4. Claim, enqueue and confirm, for all of them together, and then remember the decisions.
5. Sleep until the next schedule is due, at most a second. A source that has something new ends the sleep.

All that changes the agenda is done by the rounds, one after the other, so no two changes meet.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from rota import events
from rota.broker.broker import Broker
from rota.errors import BrokerError, RotaError
from rota.schedule.run import ScheduleRun
from rota.scheduler.agenda import Agenda, AgendaEntry
from rota.scheduler.asynq_listing import AsynqListing
from rota.scheduler.deciding import DueVerdict, follows
from rota.scheduler.firing import Firing, TermOver
from rota.scheduler.intake import Intake
from rota.scheduler.lead import RENEW_SECONDS, Lead
from rota.scheduler.memory import EndedRun, OpenRun, worst
from rota.scheduler.order_deciding import OrderDecider
from rota.scheduler.order_inbox import OrderInbox
from rota.scheduler.orders import OrderAnswer, ScheduleOrder, refused
from rota.scheduler.recorder import RunRecorder
from rota.scheduler.run_batch import FireOrder
from rota.scheduler.run_plans import RunPlans
from rota.scheduler.scheduler_status import Tally
from rota.scheduler.server_time import ServerTime
from rota.wire.edit import cancel, one
from rota.wire.look_task import TaskEnd, ends
from rota.wire.script import Call

LONGEST_SLEEP_SECONDS = 1.0
AFTER, DEEPEST = "then", 10
"""The mark of runs that were started after another one, and how many of them may follow each other."""
TOO_DEEP = f"{DEEPEST} schedules have started each other already"
HELD = "all schedules are held. `rota schedule start --all` lifts the hold."
REPLACED = "a newer run of the same schedule replaces it"
LOOK_SECONDS = 1.0
"""How often the open runs are looked at whose end a schedule waits for."""
LATE_SECONDS = 5.0
"""A run that is later than this is reported."""
DEAD_AFTER_SECONDS = 60.0
"""A running task whose lease expired this long ago does not block its schedule, because no worker recovers it."""


class Term:
    """One term of a leader."""

    def __init__(
        self,
        broker: Broker,
        lead: Lead,
        clock: ServerTime,
        agenda: Agenda,
        intake: Intake,
        plans: RunPlans,
        tally: Tally,
        *,
        identity: tuple[str, int, str],
        recorder: RunRecorder | None,
    ) -> None:
        self.ticking = False
        """Whether the shards are taken, and rounds go on."""
        self.ticked_at = time.monotonic()
        """When the last round ended, on the monotonic clock."""
        self._broker = broker
        self._lead = lead
        self._clock = clock
        self._agenda = agenda
        self._intake = intake
        self._decider = OrderDecider(plans)
        self._tally = tally
        self._recorder = recorder
        self._listing = AsynqListing(broker, agenda, identity)
        self._firing = Firing(broker, now=clock.moment, keeps_records=recorder is not None, enqueued=self._enqueued)
        self._stopping = asyncio.Event()
        self._looked_at = 0.0
        self._held = False
        self._looking: set[str] = set()
        """The schedules whose ends are being dealt with. A schedule that comes after one may lead back to it."""
        self._inbox = OrderInbox(broker, intake.changed)
        self._by_order: dict[str, ScheduleRun] = {}
        """The runs that the present order has enqueued, by ID."""

    def stop(self) -> None:
        """End after the round that is under way."""
        self._stopping.set()
        self._intake.changed.set()

    async def run(self, epoch: int) -> None:
        """Lead until `stop`. Raises TermOver or BrokerError if the term ends by itself."""
        aside = [asyncio.create_task(self._listing.run())]
        if self._recorder is not None:
            aside.append(asyncio.create_task(self._recorder.run(epoch)))
        parts = [asyncio.create_task(self._renew(epoch)), asyncio.create_task(self._rounds(epoch))]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.ticking = False
            for part in (*parts, *aside):
                part.cancel()
            await asyncio.gather(*parts, *aside, return_exceptions=True)
            await self._listing.clear()
        for part in done:
            part.result()

    async def _renew(self, epoch: int) -> None:
        while True:
            for _ in range(2):
                await asyncio.sleep(RENEW_SECONDS / 2)
                await self._inbox.read()
            found = await self._lead.stand()
            if found != epoch:
                raise TermOver(f"{self._lead.leader} leads" if not found else "its lease had expired")

    async def _rounds(self, epoch: int) -> None:
        states = await self._firing.take(epoch)
        self._agenda.restore(states, self._clock.moment())
        self.ticking = True
        while not self._stopping.is_set():
            await self._round()
            self.ticked_at = time.monotonic()
            await self._sleep()

    async def _sleep(self) -> None:
        due = self._agenda.next_due()
        left = LONGEST_SLEEP_SECONDS if due is None else min(due - self._clock.now(), LONGEST_SLEEP_SECONDS)
        if left <= 0:
            await asyncio.sleep(0)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(left):
                await self._intake.changed.wait()

    async def _round(self) -> None:
        self._apply()
        await self._obey()
        waiting = self._waiting_for_an_end()
        now = self._clock.moment()
        due = self._agenda.pop_due(now.timestamp())
        try:
            await self._look(entry for entry in (*waiting, *due) if entry.memory.open)
            decided = {entry.id: entry for entry in (*due, *waiting)}
            held = self._is_held(now)
            await self._carry_out([self._decider.verdict(entry, now, held=held) for entry in decided.values()])
        except BaseException:
            for entry in due:  # they are due again in the next term
                self._agenda.push(entry, now)
            raise

    def _apply(self) -> None:
        """Apply what the sources gave."""
        now = self._clock.moment()
        taken = self._intake.take()
        if calendars := self._intake.take_calendars():
            affected = [entry.schedule for entry in self._agenda.with_calendars(calendars)]
            affected += [each for each in self._intake.spoilt.values() if each.definition.calendar in calendars]
            taken = {**{each.id: each for each in affected}, **taken}
        for schedule_id, schedule in taken.items():
            self._intake.spoilt.pop(schedule_id, None)
            if schedule is None:
                self._agenda.remove(schedule_id)
                continue
            try:
                self._agenda.put(schedule, now)
            except RotaError as error:
                self._intake.spoilt[schedule_id] = schedule
                about = {"source": schedule.source, "schedule": schedule.definition.name}
                events.emit(events.ScheduleSpoilt(**about, error=error))

    async def _obey(self) -> None:
        """Carry out the orders of the inbox, one after the other."""
        for data in self._inbox.waiting:
            try:
                order = ScheduleOrder.from_json(data)
            except ValueError as error:
                self._inbox.answer(data, "", refused(str(data[:200]), str(error)))
                continue
            if self._agenda.named(order.schedule) is None and self._inbox.is_new(data):
                continue
            if order.kind == "run" and self._is_held(self._clock.moment()):
                answer = refused(f"run {order.schedule}", HELD)
            else:
                answer = await self._obey_one(order)
            self._inbox.answer(data, order.id, answer)
        if self._inbox.has_answers:
            await self._inbox.read()

    async def _obey_one(self, order: ScheduleOrder) -> OrderAnswer:
        """Carry out an order of a user, or one to start what comes after a run."""
        about, entry, now = f"{order.kind} {order.schedule}", self._agenda.named(order.schedule), self._clock.moment()
        if entry is None:
            return refused(about, "there is no such schedule.")
        await self._look([entry] if entry.memory.open else [])
        try:
            verdict, answer = self._decider.ordered(entry, order, now)
        except RotaError as error:  # the definition or the rules refuse it
            return refused(about, str(error))
        verdict.next_due = None if entry.due is None else datetime.fromtimestamp(entry.due, UTC)
        self._by_order.clear()
        await self._carry_out([verdict])
        if answer.run is not None and (enqueued := self._by_order.get(answer.run.id)) is not None:
            return OrderAnswer(run=enqueued)
        return answer

    def _is_held(self, now: datetime) -> bool:
        """Whether all schedules are stopped. While the store is away, its last answer holds."""
        hold = self._intake.hold
        held = hold is not None and hold.holds(now)
        if held != self._held:
            self._held = held
            by = f"stopped by {hold.by}" if hold is not None and held else "the hold is over"
            reason = f" ({hold.reason})" if hold is not None and held and hold.reason else ""
            events.emit(events.SchedulesHeld(act="are stopped" if held else "go on", by=by, reason=reason))
        return held

    def _waiting_for_an_end(self) -> list[AgendaEntry]:
        """Return the schedules that go on when one of their runs has ended, once every `LOOK_SECONDS`."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_SECONDS:
            return []
        self._looked_at = now
        return [entry for entry in self._agenda.waiting.values() if entry.memory.open]

    async def _look(self, entries: Iterable[AgendaEntry]) -> None:
        """Note which open runs are over, and start the schedules that come after them."""
        by_queue: dict[str, dict[str, TaskEnd]] = {}
        looked = [entry for entry in entries if entry.id not in self._looking]
        for entry in looked:
            for run in entry.memory.open:
                by_queue.setdefault(run.queue, {}).update(dict.fromkeys(run.task_ids, "open"))
        if not by_queue:
            return
        calls: list[Call[list[TaskEnd]]] = [
            ends(self._broker.keys.queue(queue), list(ids), dead_after_seconds=DEAD_AFTER_SECONDS)
            for queue, ids in by_queue.items()
        ]
        replies: list[list[TaskEnd] | BrokerError] = await self._broker.run_many(calls)
        for ids, reply in zip(by_queue.values(), replies, strict=True):
            if isinstance(reply, BrokerError):
                raise TermOver(reply)
            ids.update(zip(ids, reply, strict=True))
        for entry in looked:
            found = [EndedRun(run, worst(by_queue[run.queue][id] for id in run.task_ids)) for run in entry.memory.open]
            if over := [ended for ended in found if ended.end != "open"]:
                self._looking.add(entry.id)
                try:
                    await self._start_next(entry, over)
                finally:
                    self._looking.discard(entry.id)
                entry.memory.ended(over, self._clock.moment())

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
                await self._obey_one(order)

    async def _carry_out(self, verdicts: Sequence[DueVerdict]) -> None:
        orders = [order for verdict in verdicts if (order := verdict.order) is not None]
        decided = {verdict.entry.id for verdict in verdicts}
        unsaved = [entry for entry in self._agenda.unsaved.values() if entry.id not in decided]
        orders += [FireOrder(entry.memory.change(entry.id)) for entry in unsaved]
        if orders:
            await self._firing.fire(orders)
        for entry in unsaved:
            entry.memory.stored = entry.memory.text()
        self._agenda.unsaved.clear()
        await self._cancel([run for verdict in verdicts for run in verdict.cancels])
        for verdict in verdicts:
            self._tally.skipped.update(verdict.counts)
            verdict.memory.stored = verdict.memory.text()
            pause = verdict.entry.memory.pause
            self._agenda.settle(verdict.entry, verdict.memory, verdict.next_due)
            if verdict.memory.pause != pause:
                self._agenda.repause(verdict.entry, verdict.memory.pause, self._clock.moment())

    async def _cancel(self, runs: Sequence[OpenRun]) -> None:
        """Cancel the tasks of runs that newer ones replace."""
        tasks = [(self._broker.keys.queue(run.queue), task_id) for run in runs for task_id in run.task_ids]
        if not tasks:
            return
        replies = await self._broker.run_many([one(cancel(keys, [task_id], REPLACED)) for keys, task_id in tasks])
        for (_, task_id), reply in zip(tasks, replies, strict=True):
            if isinstance(reply, BrokerError):
                raise TermOver(reply)
            if reply.reply == "asked":  # a worker runs it, and is told, as a Go server is
                await self._broker.execute("PUBLISH", self._broker.keys.cancel, task_id)

    def _enqueued(self, runs: Sequence[ScheduleRun]) -> None:
        """Count the runs of a batch, and note how late they are."""
        self._listing.enqueued(runs)
        late: list[tuple[float, str, str]] = []
        for run in runs:
            if run.cause not in ("tick", "catch_up"):
                self._by_order[run.id] = run
            if run.outcome is not None or run.enqueued_at is None:
                self._tally.refused += 1
                continue
            self._tally.fired += 1
            if run.cause != "tick" or (entry := self._agenda.entries.get(run.schedule_id)) is None:
                continue
            seconds = (run.enqueued_at - entry.timetable.fires_at(run.planned_at)).total_seconds()
            self._tally.late_seconds.append(seconds)
            if seconds > LATE_SECONDS:
                late.append((seconds, entry.definition.name, run.id))
        if late:
            most, name, run_id = max(late)
            events.emit(events.FiredLate(schedule=name, run=run_id, seconds=most, runs=len(late)))
