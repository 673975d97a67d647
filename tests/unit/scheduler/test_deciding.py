"""Rows of skips: each skipped planned time is in a record, whatever comes after it."""

from datetime import UTC, datetime, timedelta

from rota.client.packing import Packer
from rota.schedule.definition import ScheduleDefinition, StoredSchedule
from rota.scheduler.agenda import ROW_RESTS, Agenda, AgendaEntry
from rota.scheduler.deciding import Decider, DueVerdict
from rota.scheduler.run_plans import RunPlans
from rota.wire.keys import Keys

NOW = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Desk:
    """A schedule that fires each second, and the records of its skips as (first, last, reason), in seconds."""

    def __init__(self, **words: object) -> None:
        self.agenda = Agenda()
        self.decider = Decider(RunPlans(Packer(Keys("asynq"))))
        self.records: list[tuple[float, float, str | None]] = []
        definition = ScheduleDefinition.read({"name": "s", "task_type": "t", "specs": "* * * * * *", **words})
        self.schedule = StoredSchedule(id="id", definition=definition, created_at=NOW, updated_at=NOW)
        self.agenda.put(self.schedule, NOW)

    @property
    def entry(self) -> AgendaEntry:
        return self.agenda.entries["id"]

    def decide(self, second: float, *, held: bool = False) -> None:
        now = NOW + second * SECOND
        for entry in self.agenda.pop_due(now.timestamp()):
            self.settle(self.decider.verdict(entry, now, held=held))

    def rest(self, now: datetime) -> None:
        for entry in self.agenda.resting_rows(now):
            self.settle(self.decider.rest_of_skips(entry))

    def settle(self, verdict: DueVerdict) -> None:
        assert verdict.order is not None
        self.records += [
            ((each.planned_at - NOW) / SECOND, ((each.skip_until or NOW) - NOW) / SECOND, each.skip_reason)
            for each in verdict.order.skipped
        ]
        verdict.memory.stored = verdict.memory.text()
        self.agenda.settle(verdict.entry, verdict.memory, verdict.next_due)


def test_row_of_skips_is_recorded_to_its_end_before_a_row_with_another_reason() -> None:
    desk = Desk(pause_until=NOW + 2.5 * SECOND)
    for second in (1, 2):
        desk.decide(second)
    desk.decide(3, held=True)

    assert desk.records == [(1, 1, "paused"), (1, 2, "paused"), (3, 3, "hold")]


def test_row_of_skips_that_does_not_grow_any_more_is_recorded_to_its_end() -> None:
    desk = Desk()
    for second in (1, 2, 3):
        desk.decide(second, held=True)

    desk.rest(NOW + 4 * SECOND)
    assert desk.records == [(1, 1, "hold")]
    desk.rest(NOW + 3 * SECOND + ROW_RESTS)
    assert desk.records == [(1, 1, "hold"), (1, 3, "hold")]
    desk.rest(NOW + 5 * SECOND + ROW_RESTS)
    assert len(desk.records) == 2
    assert desk.entry.due_at == NOW + 4 * SECOND


def test_row_of_skips_of_a_deleted_schedule_is_recorded_to_its_end() -> None:
    desk = Desk()
    for second in (1, 2, 3):
        desk.decide(second, held=True)
    desk.agenda.delete("id")

    desk.rest(NOW + 3 * SECOND + ROW_RESTS)

    assert desk.records == [(1, 1, "hold"), (1, 3, "hold")]
    assert desk.agenda.resting_rows(NOW + timedelta(hours=1)) == []
    assert desk.agenda.next_due() is None


def test_new_leader_records_the_row_of_skips_of_the_one_before() -> None:
    desk = Desk()
    for second in (1, 2):
        desk.decide(second, held=True)
    memory = desk.entry.memory
    desk.agenda = Agenda()
    entry = desk.agenda.put(desk.schedule, NOW)
    desk.agenda.settle(entry, memory, None)

    desk.rest(NOW + 2 * SECOND + ROW_RESTS)

    assert desk.records[-1] == (1, 2, "hold")
