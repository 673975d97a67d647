"""The agenda: when a schedule is looked at for the first time, and how edits meet times that are due."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rota.schedule.definition import ScheduleDefinition, StoredSchedule
from rota.schedule.due import decide
from rota.scheduler.agenda import Agenda
from rota.scheduler.run_batch import unix_ms
from rota.scheduler.schedule_versions import with_end
from rota.wire.scheduler_steps import StoredState

NOW = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def stored(**words: Any) -> StoredSchedule:
    definition = ScheduleDefinition.read({"name": "s", "task_type": "a:b", **words})
    return StoredSchedule(id="id", definition=definition, source="code", created_at=NOW, updated_at=NOW)


@pytest.mark.parametrize(
    ("words", "due"),
    [
        ({"specs": "@hourly"}, NOW + HOUR / 2),
        ({"specs": "@hourly", "starts_at": NOW + 2 * HOUR}, NOW + 2.5 * HOUR),
        ({"kind": "once", "process_at": NOW + HOUR}, NOW + HOUR),
        ({"kind": "once", "process_at": NOW - HOUR}, NOW - HOUR),  # so that it is decided at once
        ({"kind": "once", "process_at": NOW - timedelta(days=3)}, None),
        ({"kind": "wait"}, None),
    ],
)
def test_new_schedule_is_looked_at_when_its_first_time_is_due(words: dict[str, Any], due: datetime | None) -> None:
    agenda = Agenda()

    agenda.put(stored(**words), NOW)

    assert agenda.next_due() == (None if due is None else due.timestamp())


SECOND = timedelta(seconds=1)


def edited(version: int, at: datetime, **words: Any) -> StoredSchedule:
    return replace(stored(specs="* * * * * *", **words), version=version, source="database", updated_at=at, since=at)


def fired(agenda: Agenda, now: datetime) -> list[tuple[int, float]]:
    """Decide all that is due, round by round: the versions, and the seconds after `NOW` of the times that they fire."""
    found: list[tuple[int, float]] = []
    while due := agenda.pop_due(now.timestamp()):
        for entry in due:
            decision = decide(entry.timetable, entry.memory.state, now)
            found += [(entry.schedule.version, (each.planned_at - NOW) / SECOND) for each in decision.fires]
            memory = entry.memory.copy()
            memory.state = replace(memory.state, last=decision.decided_until)
            agenda.settle(entry, memory, decision.next_due)
            agenda.follow(entry.id, now)
    return found


def test_edit_of_a_schedule_that_is_due_waits_until_the_times_before_it_are_decided() -> None:
    agenda = Agenda()
    agenda.put(edited(1, NOW), NOW)

    agenda.put(edited(2, NOW + 2.5 * SECOND, timezone="Asia/Shanghai"), NOW + 4.2 * SECOND)

    assert fired(agenda, NOW + 4.2 * SECOND) == [(1, 1), (1, 2), (2, 3), (2, 4)]


def test_edit_ends_the_wait_of_a_jitter_so_that_no_planned_time_before_it_is_lost() -> None:
    agenda, now = Agenda(), NOW + 4.2 * SECOND
    agenda.put(edited(1, NOW, jitter="24h"), NOW)
    assert fired(agenda, now) == []

    agenda.put(edited(2, NOW + 2.5 * SECOND, timezone="Asia/Shanghai"), now)

    assert fired(agenda, now) == [(1, 1), (1, 2), (2, 3), (2, 4)]


@pytest.mark.parametrize("reason", ["paused", "deleted"])
def test_times_that_wait_for_their_jitter_are_recorded_when_their_schedule_is_stopped(reason: str) -> None:
    agenda, now = Agenda(), NOW + 2.2 * SECOND
    schedule = edited(1, NOW, jitter="24h")
    agenda.put(schedule, NOW)
    assert fired(agenda, now) == []

    if reason == "paused":
        agenda.put(edited(2, now, jitter="24h", enabled=False), now)
    else:
        agenda.put_deleted(replace(schedule, deleted_at=now), now)
    [entry] = agenda.pop_due(now.timestamp())
    [skip] = decide(entry.timetable, entry.memory.state, now).skips

    assert (skip.first, skip.last, skip.reason) == (NOW + SECOND, NOW + 2 * SECOND, reason)


def test_several_edits_of_a_schedule_that_is_due_rule_one_after_the_other() -> None:
    agenda = Agenda()
    agenda.put(edited(1, NOW), NOW)
    now = NOW + 5.2 * SECOND

    agenda.put(edited(2, NOW + 1.5 * SECOND, timezone="Asia/Shanghai"), now)
    agenda.put(edited(3, NOW + 3.5 * SECOND, timezone="Europe/Berlin"), now)

    assert fired(agenda, now) == [(1, 1), (2, 2), (2, 3), (3, 4), (3, 5)]


def test_schedule_that_is_stopped_while_it_is_due_records_the_times_before_as_paused() -> None:
    agenda = Agenda()
    agenda.put(edited(1, NOW), NOW)
    now = NOW + 4.2 * SECOND

    agenda.put(edited(2, NOW + 2.5 * SECOND, enabled=False), now)
    [entry] = agenda.pop_due(now.timestamp())
    [skip] = decide(entry.timetable, entry.memory.state, now).skips

    assert (skip.first, skip.last, skip.reason) == (NOW + SECOND, NOW + 2 * SECOND, "paused")


def test_edit_that_no_leader_has_seen_is_met_with_the_versions_before_it() -> None:
    first, second = edited(1, NOW), edited(2, NOW + 2.5 * SECOND, timezone="Asia/Shanghai")
    before = Agenda()
    entry = before.put(first, NOW)
    assert fired(before, NOW + SECOND) == [(1, 1)]
    text = before.entries[entry.id].memory.text()
    now = NOW + 4.2 * SECOND

    agenda = Agenda()  # of a process that has started after the edit
    agenda.put(second, now, StoredState(unix_ms(NOW + SECOND), text))
    [(schedule_id, memory)] = agenda.take_unmet().items()
    agenda.put_versions([first, second], memory, now)

    assert schedule_id == entry.id
    assert fired(agenda, now) == [(1, 2), (2, 3), (2, 4)]
    assert agenda.take_unmet() == {}


def test_leader_that_comes_back_does_not_take_what_another_one_has_seen_for_a_new_edit() -> None:
    first, second = edited(1, NOW), edited(2, NOW + 1.5 * SECOND, timezone="Asia/Shanghai")
    stale, other = Agenda(), Agenda()
    for agenda in (stale, other):
        agenda.put(first, NOW)
    other.put(second, NOW + 1.6 * SECOND)
    assert fired(other, NOW + 2 * SECOND) == [(1, 1), (2, 2)]
    text = other.entries["id"].memory.text()
    now = NOW + 5.2 * SECOND

    stale.restore(["id"], {"id": StoredState(unix_ms(NOW + 2 * SECOND), text)}, now, edited={"id"})
    stale.put(second, now, StoredState(unix_ms(NOW + 2 * SECOND), text))

    assert fired(stale, now) == [(2, 3), (2, 4), (2, 5)]


def test_new_calendar_does_not_undo_an_edit_that_waits() -> None:
    agenda = Agenda()
    first = edited(1, NOW)
    agenda.put(first, NOW)
    now = NOW + 3.2 * SECOND

    agenda.put(edited(2, NOW + 1.5 * SECOND, timezone="Asia/Shanghai"), now)
    agenda.put(first, now)

    assert fired(agenda, now) == [(1, 1), (2, 2), (2, 3)]


def deleted(schedule: StoredSchedule, at: datetime) -> StoredSchedule:
    return replace(schedule, deleted_at=at, revision=schedule.revision + 1)


def skipped(agenda: Agenda, now: datetime) -> list[tuple[float, float, str]]:
    """Decide all that is due: the first and last skipped times in seconds after `NOW`, and the reasons."""
    found: list[tuple[float, float, str]] = []
    while due := agenda.pop_due(now.timestamp()):
        for entry in due:
            decision = decide(entry.timetable, entry.memory.state, now)
            assert decision.fires == ()
            found += [((each.first - NOW) / SECOND, (each.last - NOW) / SECOND, each.reason) for each in decision.skips]
            memory = entry.memory.copy()
            memory.state = replace(memory.state, last=decision.decided_until)
            memory.stored = memory.text()
            agenda.settle(entry, memory, decision.next_due)
            agenda.follow(entry.id, now)
    return found


def test_times_before_a_deletion_that_are_not_decided_are_skipped_as_deleted() -> None:
    agenda, now = Agenda(), NOW + 4.2 * SECOND
    first = edited(1, NOW)
    agenda.put(first, NOW)

    agenda.put_deleted(deleted(first, NOW + 2.5 * SECOND), now)

    assert agenda.named("s") is None
    assert skipped(agenda, now) == [(1, 2, "deleted")]
    assert agenda.entries == {}
    assert agenda.next_due() is None


def test_edit_and_deletion_of_a_schedule_that_is_due_leave_no_time_undecided() -> None:
    agenda, now = Agenda(), NOW + 5.2 * SECOND
    agenda.put(edited(1, NOW), NOW)
    second = edited(2, NOW + 1.5 * SECOND, timezone="Asia/Shanghai")

    agenda.put(second, now)
    agenda.put_deleted(deleted(second, NOW + 3.5 * SECOND), now)

    assert skipped(agenda, now) == [(1, 1, "deleted"), (2, 3, "deleted")]
    assert agenda.entries == {}


@pytest.mark.parametrize("edits", [0, 1])
def test_deletion_that_no_leader_has_seen_is_met_with_the_versions_before_it(edits: int) -> None:
    first, second = edited(1, NOW), edited(2, NOW + 2.5 * SECOND, timezone="Asia/Shanghai")
    before, now = Agenda(), NOW + 5.2 * SECOND
    entry = before.put(first, NOW)
    assert fired(before, NOW + SECOND) == [(1, 1)]
    state = StoredState(unix_ms(NOW + SECOND), before.entries[entry.id].memory.text())
    gone = deleted(second if edits else first, NOW + 4.5 * SECOND)

    agenda = Agenda()  # of a process that has started after the deletion
    agenda.put_deleted(gone, now, state)
    for memory in agenda.take_unmet().values():
        agenda.put_versions([first, second, with_end(gone)[-1]], memory, now)

    assert skipped(agenda, now) == ([(2, 2, "deleted"), (3, 4, "deleted")] if edits else [(2, 4, "deleted")])
    assert agenda.entries == {}


def test_deleted_schedule_that_is_decided_to_its_end_is_not_looked_at_again() -> None:
    agenda, now = Agenda(), NOW + 4.2 * SECOND
    first = edited(1, NOW)
    agenda.put(first, NOW)
    gone = deleted(first, NOW + 2.5 * SECOND)
    agenda.put_deleted(gone, now)
    assert skipped(agenda, now)
    [entry] = agenda.unsaved.values()
    state = StoredState(unix_ms(NOW + 2 * SECOND), entry.memory.text())

    other = Agenda()
    other.put_deleted(gone, now, state)

    assert other.entries == other.unsaved == other.take_unmet() == {}


def test_restored_schedule_does_not_make_up_for_the_time_in_which_it_was_deleted() -> None:
    agenda, now = Agenda(), NOW + 9.2 * SECOND
    first = edited(1, NOW, missed="all")
    agenda.put(first, NOW)
    assert fired(agenda, NOW + 2 * SECOND) == [(1, 1), (1, 2)]
    agenda.entries["id"].memory.stored = agenda.entries["id"].memory.text()
    agenda.put_deleted(deleted(first, NOW + 2.5 * SECOND), NOW + 2.6 * SECOND)
    [entry] = agenda.unsaved.values()

    other = Agenda()
    restored = edited(2, NOW + 6.5 * SECOND, missed="all")
    other.put(restored, now, StoredState(unix_ms(NOW + 2 * SECOND), entry.memory.text()))

    assert other.take_unmet() == {}
    assert fired(other, now) == [(2, 7), (2, 8), (2, 9)]


def test_name_of_a_deleted_schedule_that_is_being_decided_belongs_to_the_new_one() -> None:
    agenda, now = Agenda(), NOW + 4.2 * SECOND
    first, second = edited(1, NOW), replace(edited(1, now), id="new")
    agenda.put(first, NOW)

    agenda.put(second, now)
    agenda.put_deleted(deleted(first, NOW + 2.5 * SECOND), now)

    found = agenda.named("s")
    assert found is not None
    assert found.id == "new"
    assert skipped(agenda, now) == [(1, 2, "deleted")]
    assert agenda.named("s") is found


def test_deletion_of_a_schedule_whose_calendar_is_unknown_removes_it() -> None:
    agenda = Agenda()

    agenda.put_deleted(deleted(edited(1, NOW, calendar="gone"), NOW + SECOND), NOW + 2 * SECOND)

    assert agenda.entries == {}
