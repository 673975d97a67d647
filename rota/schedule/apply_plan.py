"""Compares a file of schedules with those that are stored, and says what applying the file would change.

The plan is made before anything is written, so that a command can show it first and ask. Applying the same file twice
changes nothing the second time. Schedules are compared by their names. A schedule that is declared in code is never
changed by a file, so a file that names one is refused.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rota.errors import ScheduleInvalid
from rota.schedule.definition import FIELDS, ScheduleDefinition, StoredSchedule
from rota.schedule.schedule_file import ScheduleFile, with_operated_fields


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field with its values before and after, as `to_mapping` writes them; None stands for the default."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class ScheduleChange:
    """One schedule that a file would change."""

    stored: StoredSchedule
    wanted: ScheduleDefinition
    fields: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True)
class ApplyPlan:
    """The changes that applying a file would make."""

    create: tuple[ScheduleDefinition, ...] = ()
    update: tuple[ScheduleChange, ...] = ()
    delete: tuple[StoredSchedule, ...] = ()
    unchanged: tuple[StoredSchedule, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether applying the file would change nothing."""
        return not (self.create or self.update or self.delete)


def plan_apply(file: ScheduleFile, stored: Iterable[StoredSchedule], *, prune: bool = False) -> ApplyPlan:
    """Return what applying a file would change. With `prune` it deletes what has a tag of the file, but is not in it.

    Raises ScheduleInvalid if the file names a schedule of the code, or if it has no tag to prune by.
    """
    if prune and not file.tags:
        raise ScheduleInvalid(
            "Pruning deletes the stored schedules that have the file's tag and are not in the file, but the file has "
            "no tag: add `tag: <name>` at its top, apply it once, and prune from then on.",
            problems=[("tag", "The file has no tag to prune by.")],
        )
    by_name = {each.definition.name: each for each in stored}
    _check_sources(file, by_name)
    create: list[ScheduleDefinition] = []
    update: list[ScheduleChange] = []
    unchanged: list[StoredSchedule] = []
    for filed in file.schedules:
        now = by_name.get(filed.definition.name)
        if now is None:
            create.append(filed.definition)
            continue
        wanted = with_operated_fields(filed, now.definition)
        fields = changed_fields(now.definition, wanted)
        if fields:
            update.append(ScheduleChange(now, wanted, fields))
        else:
            unchanged.append(now)
    named = {filed.definition.name for filed in file.schedules}
    gone = [
        each
        for name, each in by_name.items()
        if prune and name not in named and each.source == "database" and file.tags.intersection(each.definition.tags)
    ]
    return ApplyPlan(tuple(create), tuple(update), tuple(gone), tuple(unchanged))


def changed_fields(before: ScheduleDefinition, after: ScheduleDefinition) -> tuple[FieldChange, ...]:
    """Return the fields in which two definitions differ, in the order of the definition."""
    old, new = before.to_mapping(), after.to_mapping()
    return tuple(FieldChange(name, old.get(name), new.get(name)) for name in FIELDS if old.get(name) != new.get(name))


def _check_sources(file: ScheduleFile, by_name: Mapping[str, StoredSchedule]) -> None:
    problems = [
        (filed.source_line, f"The schedule {name!r} is declared in {now.source}: change it there, or use another name.")
        for filed in file.schedules
        if (now := by_name.get(name := filed.definition.name)) is not None and now.source != "database"
    ]
    if problems:
        lines = "".join(f"\n- {source_line}: {text}" for source_line, text in problems)
        raise ScheduleInvalid(
            f"Nothing is changed, because a file cannot change these schedules:{lines}", problems=problems
        )
