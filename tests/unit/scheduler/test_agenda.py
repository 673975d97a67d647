"""The agenda: when a schedule is looked at for the first time."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rota.schedule.definition import ScheduleDefinition, StoredSchedule
from rota.scheduler.agenda import Agenda

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
