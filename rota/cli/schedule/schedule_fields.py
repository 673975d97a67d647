"""Writes a schedule and the values of its fields, for programs and in comparisons."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rota.cli import output
from rota.cli.language import translated
from rota.schedule.definition import StoredSchedule


def schedule_json(schedule: StoredSchedule) -> dict[str, Any]:
    """Return a schedule as JSON values: its fields as in a file, and what is known about it."""
    about = {
        "id": schedule.id,
        "version": schedule.version,
        "source": schedule.source,
        "created_at": schedule.created_at,
        "created_by": schedule.created_by,
        "updated_at": schedule.updated_at,
        "updated_by": schedule.updated_by,
        "deleted_at": schedule.deleted_at,
    }
    return {**about, "definition": schedule.definition.to_mapping()}


def field_lines(fields: Mapping[str, str]) -> Iterator[str]:
    """Yield names, which are not translated, with their values as lines below a heading."""
    return (f"  {line}" for line in output.aligned(list(fields.items())))


def field_value(value: Any) -> str:
    """Return the value of a field of a schedule, as a comparison shows it; None stands for the default."""
    return translated("(default)") if value is None else json.dumps(value, ensure_ascii=False)
