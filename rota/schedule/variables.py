"""The variables that the texts of a payload may hold: `{{planned_at}}`, `{{schedule}}`, `{{run}}`.

They are replaced when a run is enqueued, in all texts of the payload at any depth. Keys, and values that are not text,
stay as they are. `\\{{name}}` stands for `{{name}}` itself, for a task that has templates of its own.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

from rota.core.canonical import is_mapping, is_sequence
from rota.core.text import did_you_mean
from rota.schedule.fields import inner_path

VARIABLES = {
    "planned_at": "the planned time in the time zone of the schedule, in ISO 8601",
    "schedule": "the name of the schedule",
    "run": "the ID of the run",
}

# A variable does not span the start of another one. So the search takes linear time, also for a text full of "{{".
_MARKED = re.compile(r"(\\?)\{\{((?:(?!\{\{).)*?)\}\}", re.DOTALL)


def unknown_variables(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield the path and an error text for each variable of a payload that does not exist."""
    if is_mapping(value):
        for key, item in value.items():
            yield from unknown_variables(inner_path(path, key), item)
    elif is_sequence(value):
        for index, item in enumerate(value):
            yield from unknown_variables(inner_path(path, index), item)
    elif isinstance(value, str):
        for escape, word in _MARKED.findall(value):
            if not escape and word.strip() not in VARIABLES:
                advice = did_you_mean(word.strip(), VARIABLES)
                marked = "{{" + word[:50] + "}}"
                yield path, f"{path} holds {marked}, which is not a variable. {advice} To send it as it is: \\{marked}."


def filled(
    payload: Mapping[str, Any], *, planned_at: datetime, timezone: str, schedule: str, run: str
) -> dict[str, Any]:
    """Return a payload with the variables of one run written into its texts."""
    values = {"planned_at": planned_at.astimezone(ZoneInfo(timezone)).isoformat(), "schedule": schedule, "run": run}

    def replaced(match: re.Match[str]) -> str:
        escape, word = match.groups()
        return match[0][1:] if escape else values.get(word.strip(), match[0])

    def walk(value: Any) -> Any:
        if is_mapping(value):
            return {key: walk(item) for key, item in value.items()}
        if is_sequence(value):
            return [walk(item) for item in value]
        return _MARKED.sub(replaced, value) if isinstance(value, str) else value

    return cast("dict[str, Any]", walk(payload))
