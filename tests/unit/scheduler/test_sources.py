"""Providers of schedules: what a reading changes."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from rota.schedule.definition import ScheduleDefinition, named_schedule_id
from rota.scheduler.sources import ProviderSource


async def test_provider_tells_what_is_new_changed_and_gone() -> None:
    given: list[ScheduleDefinition | Mapping[str, Any]] = [
        {"name": "a", "task_type": "x:y", "specs": ["@daily"]},
        ScheduleDefinition(name="b", task_type="x:y", specs="@daily"),
    ]

    async def provide() -> list[ScheduleDefinition | Mapping[str, Any]]:
        return given

    source = ProviderSource(provide, name="provide", every=timedelta(minutes=3), timezone="Asia/Shanghai")

    first, again = await source.changes(), await source.changes()
    given[:] = [{"name": "a", "task_type": "x:y", "specs": ["@hourly"]}]
    edited = await source.changes()

    assert [(each.definition.name, each.definition.timezone) for each in first.changed] == [
        ("a", "Asia/Shanghai"),
        ("b", "UTC"),
    ]
    assert (again.changed, again.gone) == ((), ())
    assert [each.definition.specs for each in edited.changed] == [("@hourly",)]
    assert edited.gone == (named_schedule_id("b"),)
