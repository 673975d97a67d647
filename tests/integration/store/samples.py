"""Definitions of schedules for the tests of the store."""

from typing import Any

from rota.schedule.definition import ScheduleDefinition


def define(name: str = "nightly", **words: Any) -> ScheduleDefinition:
    return ScheduleDefinition(**{"task_type": "report:build", "specs": "0 3 * * *", "name": name, **words})
