"""Reads schedules from their rows, and writes the columns of a definition.

The definition is one JSON document. The columns beside it repeat what lists filter and sort by. A row that cannot be
read becomes a StoreProblem, so that one row which was changed by hand does not stop a scheduler from all the others.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from rota.core.canonical import is_mapping
from rota.core.text import unstopped
from rota.errors import ScheduleInvalid
from rota.schedule.calendar import Calendar
from rota.schedule.definition import ScheduleDefinition, StoredSchedule
from rota.store.column_types import Unreadable
from rota.store.database import Record
from rota.store.store_values import ScheduleVersion, StoredCalendar, StoreProblem, problems_of_json
from rota.store.tables import NAME

T = TypeVar("T")
MEMBERS = (
    "id",
    "version",
    "source",
    "revision",
    "created_at",
    "created_by",
    "updated_at",
    "updated_by",
    "deleted_at",
    "since",
    "due_at",
)


def readable(
    rows: Iterable[Record], read: Callable[[Record], T], kind: str
) -> tuple[tuple[T, ...], tuple[StoreProblem, ...]]:
    """Read rows; return what was read, and a problem for each row that cannot be read."""
    items: list[T] = []
    problems: list[StoreProblem] = []
    for row in rows:
        try:
            refuse_unreadable(row)
            items.append(read(row))
        except (ValueError, TypeError, KeyError) as error:
            identity = str(row.get("id") or row.get("schedule_id") or row.get("name") or "")
            problems.append(StoreProblem(kind, identity, str(row.get("name") or ""), f"{unstopped(error)}."))
    return tuple(items), tuple(problems)


def refuse_unreadable(row: Record) -> None:
    """Raise ValueError if a column that should hold a time or JSON holds something else."""
    for name, value in row.items():
        if isinstance(value, Unreadable):
            raise ValueError(f"its column {name} holds {value.text[:80]!r}.")


def schedule_of(row: Record) -> StoredSchedule:
    """Read a schedule. Raises ScheduleInvalid or ValueError if the row is wrong."""
    members = {name: row[name] for name in MEMBERS}
    return StoredSchedule(definition=definition_of(row), deleted_by=row["deleted_by"] or "", **members)


def version_of(row: Record) -> ScheduleVersion:
    """Read a version of a schedule."""
    members = {name: row[name] for name in ("schedule_id", "version", "act", "at", "by")}
    return ScheduleVersion(definition=definition_of(row), changed=tuple(row["changed"]), **members)


def calendar_of(row: Record) -> StoredCalendar:
    """Read a calendar."""
    members = {name: value for name, value in row.items() if name != "definition"}
    return StoredCalendar(calendar=Calendar.read(row["definition"]), **members)


def definition_of(row: Record) -> ScheduleDefinition:
    """Read the definition in a row."""
    return ScheduleDefinition.read(row["definition"])


def calendar_in(definition: object) -> str | None:
    """Return the calendar that a written definition names."""
    name = definition.get("calendar") if is_mapping(definition) else None
    return name if isinstance(name, str) else None


def columns_of(definition: ScheduleDefinition) -> dict[str, Any]:
    """Return the columns that a definition fills. Raises ScheduleInvalid if a database could not keep it."""
    written = definition.to_mapping()
    problems = [each for name, value in written.items() for each in problems_of_json(value, name)]
    long = [tag for tag in definition.tags if len(tag) > NAME]
    problems += [("tags", f"tags has the tag {tag[:40]!r}…, but a tag may have {NAME} characters.") for tag in long]
    if problems:
        raise ScheduleInvalid(f"The schedule {definition.name!r} cannot be stored: {problems[0][1]}", problems=problems)
    return {
        "name": definition.name,
        "live_name": definition.name,
        "kind": definition.kind,
        "task_type": definition.task_type,
        "enabled": definition.enabled,
        "calendar": definition.calendar,
        "search": _search_text(definition),
        "definition": written,
    }


def tag_rows(schedule_id: str, definition: ScheduleDefinition) -> list[dict[str, str]]:
    """Return the rows of the tags of a schedule."""
    return [{"schedule_id": schedule_id, "tag": tag} for tag in dict.fromkeys(definition.tags)]


def changed_fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the fields in which two definitions differ."""
    return tuple(name for name in {**before, **after} if before.get(name) != after.get(name))


def folded(text: str) -> str:
    """Return a text in the form in which searches compare it."""
    return text.casefold()


def _search_text(definition: ScheduleDefinition) -> str:
    parts = [definition.name, definition.task_type, definition.owner, definition.remark, *definition.tags]
    return folded("\n".join(part for part in parts if part))
