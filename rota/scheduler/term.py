"""The time in which one scheduler leads, in one epoch: it renews its lease, and goes round by round.

A round has these steps:

1. Apply what the sources gave since the last round, and carry out the orders that users sent.
2. Check which open runs are over, of the schedules that are due and of those that wait for an end.
3. Decide the schedules that are due.
4. Claim, enqueue and confirm, for all of them together, and then remember the decisions.
5. Sleep until the next schedule is due, at most a second. A source that has something new ends the sleep.

All that changes the agenda is done by the rounds, one after the other, so no two changes happen at once.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from datetime import datetime

from rota import events
from rota.broker.broker import Broker
from rota.errors import RotaError
from rota.schedule.run import ScheduleRun
from rota.scheduler.agenda import Agenda
from rota.scheduler.agenda_entry import AgendaEntry
from rota.scheduler.asynq_listing import AsynqListing
from rota.scheduler.deciding import DueVerdict
from rota.scheduler.fire_hooks import FireHooks
from rota.scheduler.firing import Firing, TermOver
from rota.scheduler.intake import Intake
from rota.scheduler.lead import RENEW_SECONDS, Lead
from rota.scheduler.order_deciding import OrderDecider
from rota.scheduler.order_inbox import OrderInbox
from rota.scheduler.orders import OrderAnswer, ScheduleOrder, refused
from rota.scheduler.recorder import RunRecorder
from rota.scheduler.run_batch import FireOrder
from rota.scheduler.run_ends import RunEnds, cancel_tasks
from rota.scheduler.run_plans import RunPlans
from rota.scheduler.schedule_window import ScheduleWindow
from rota.scheduler.scheduler_status import Tally
from rota.scheduler.server_time import ServerTime

LONGEST_SLEEP_SECONDS = 1.0
RESTORED_AT_ONCE = 200
"""Schedules whose states a new leader takes over without a pause."""
MOST_RUNS_OF_ROUND = 500
"""With this many runs, a round decides no further schedule."""
DECIDED_AT_ONCE = 50
HELD = "all schedules are held. `rota schedule start --all` lifts the hold."
REPLACED = "a newer run of the same schedule replaces it"
LATE_SECONDS = 5.0
"""A run that is later than this is reported."""


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
        self._hooks = FireHooks(plans)
        self._tally = tally
        self._recorder = recorder
        self._listing = AsynqListing(broker, agenda, intake, clock, identity)
        self._firing = Firing(broker, now=clock.moment, keeps_records=recorder is not None, enqueued=self._enqueued)
        self._stopping = asyncio.Event()
        self._window = ScheduleWindow(agenda, intake, self._firing, clock)
        self._ends = RunEnds(broker, agenda, clock, self._obey_one)
        self._held = False
        self._inbox = OrderInbox(broker, intake.changed)
        self._by_order: dict[str, ScheduleRun] = {}
        """The runs that the present order has enqueued, by ID."""

    def stop(self) -> None:
        """End after the round that is under way."""
        self._stopping.set()
        self._intake.changed.set()

    async def run(self, epoch: int) -> None:
        """Lead until `stop`. Raises TermOver or BrokerError if the term ends by itself."""
        aside = [asyncio.create_task(self._listing.run()), asyncio.create_task(self._window.run(epoch))]
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
        await self._firing.take(epoch)
        self._agenda.begin_term()
        ids = list(self._agenda.entries)
        for start in range(0, len(ids), RESTORED_AT_ONCE):  # between two parts the lease is renewed
            part = ids[start : start + RESTORED_AT_ONCE]
            states = await self._firing.states(part)
            self._agenda.restore(part, states, self._clock.moment(), edited=self._intake.edited)
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
        await self._window.apply()
        await self._obey()
        waiting = self._ends.waiting()
        now = self._clock.moment()
        due = self._agenda.pop_due(now.timestamp())
        try:
            await self._ends.look(entry for entry in (*waiting, *due) if entry.memory.open)
            decided = {entry.id: entry for entry in (*due, *waiting)}
            verdicts = await self._decide(list(decided.values()), now)
            rows = [entry for entry in self._agenda.resting_rows(now) if entry.id not in decided]
            await self._carry_out([*verdicts, *map(self._decider.rest_of_skips, rows)])
        except BaseException:
            for entry in due:  # they are due again in the next term
                self._agenda.push(entry, now)
            raise
        for entry in (verdict.entry for verdict in verdicts):
            if entry.later:
                self._window.follow(entry, now)

    async def _decide(self, entries: Sequence[AgendaEntry], now: datetime) -> list[DueVerdict]:
        """Decide schedules until there is enough to carry out, with pauses in which the lease can be renewed."""
        held, verdicts, runs = self._is_held(now), list[DueVerdict](), 0
        for number, entry in enumerate(entries):
            if runs >= MOST_RUNS_OF_ROUND:
                if entry.due is not None:
                    self._agenda.push(entry, entry.due_at)
                continue
            verdicts.append(self._decider.verdict(entry, now, held=held))
            runs += len(verdicts[-1].runs)
            if number % DECIDED_AT_ONCE == 0:
                await asyncio.sleep(0)
        return verdicts

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
        about = f"{order.kind} {order.schedule}"
        try:
            entry = await self._window.named(order.schedule)
            if entry is None:
                return refused(about, "there is no such schedule.")
            await self._ends.look([entry] if entry.memory.open else [])
            verdict, answer = self._decider.ordered(entry, order, self._clock.moment())
        except RotaError as error:  # the definition or the rules refuse it, or the store does not answer
            return refused(about, str(error))
        verdict.next_due = entry.due_at
        self._by_order.clear()
        await self._carry_out([verdict])
        if answer.run is None:
            return answer
        refusals = {run.id: run for run in verdict.skipped}
        return OrderAnswer(run=self._by_order.get(answer.run.id) or refusals.get(answer.run.id) or answer.run)

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

    async def _carry_out(self, verdicts: Sequence[DueVerdict]) -> None:
        decided = {verdict.entry.id for verdict in verdicts}
        unsaved = [entry for entry in self._agenda.unsaved.values() if entry.id not in decided]
        async with AsyncExitStack() as around:
            await self._hooks.enter(around, verdicts)
            orders = [order for verdict in verdicts if (order := verdict.order) is not None]
            orders += [FireOrder(entry.memory.change(entry.id)) for entry in unsaved]
            if orders:
                await self._firing.fire(orders)
        for entry in unsaved:
            entry.memory.stored = entry.memory.text()
        self._agenda.unsaved.clear()
        await cancel_tasks(self._broker, [run for verdict in verdicts for run in verdict.cancels], REPLACED)
        for verdict in verdicts:
            self._tally.skipped.update(verdict.counts)
            verdict.memory.stored = verdict.memory.text()
            pause = verdict.entry.memory.pause
            self._agenda.settle(verdict.entry, verdict.memory, verdict.next_due)
            if verdict.memory.pause != pause:
                self._agenda.repause(verdict.entry, verdict.memory.pause, self._clock.moment())

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
