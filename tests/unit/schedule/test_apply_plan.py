"""What applying a file changes: nothing twice, nothing of the operators, and nothing that is not the file's."""

from datetime import UTC, datetime
from typing import Any

import pytest

from rota.errors import ScheduleInvalid
from rota.schedule.apply_plan import FieldChange, plan_apply
from rota.schedule.definition import ScheduleDefinition, Source, StoredSchedule
from rota.schedule.schedule_file import read_file, write_file

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def stored(name: str, source: Source = "database", **words: Any) -> StoredSchedule:
    definition = ScheduleDefinition.read({"name": name, "task_type": "t", "specs": ["@daily"], **words})
    return StoredSchedule(id=name, definition=definition, source=source, created_at=NOW, updated_at=NOW)


def file(*rows: str, tag: str = "") -> Any:
    head = f"tag: {tag}\n" if tag else ""
    return read_file(
        head + "schedules:\n" + "".join(f"  - {{task_type: t, specs: '@daily', {row}}}\n" for row in rows), "f"
    )


def test_new_changed_and_equal_schedules_are_told_apart() -> None:
    plan = plan_apply(file("name: new", "name: same", "name: other, queue: low"), [stored("same"), stored("other")])
    assert [each.name for each in plan.create] == ["new"]
    assert [each.definition.name for each in plan.unchanged] == ["same"]
    assert [change.fields for change in plan.update] == [(FieldChange("queue", None, "low"),)]
    assert not plan.delete
    assert not plan.is_empty


def test_applying_what_was_exported_changes_nothing() -> None:
    now = [
        stored("a", enabled=False),
        stored("b", queue="low", tags=["x"], pause_note="why", pause_until="2030-01-01T00:00Z"),
    ]
    exported = read_file(write_file(each.definition for each in now), "f")
    assert plan_apply(exported, now).is_empty


def test_what_an_operator_stopped_stays_stopped_unless_the_file_says_otherwise() -> None:
    now = [stored("a", enabled=False, pause_note="broken", pause_until="2030-01-01T00:00Z")]
    assert plan_apply(file("name: a"), now).is_empty
    [change] = plan_apply(file("name: a, enabled: true"), now).update
    assert change.fields == (FieldChange("enabled", False, None),)
    assert change.wanted.pause_note == "broken"


def test_prune_deletes_only_what_has_the_tag_of_the_file() -> None:
    now = [
        stored("gone", tags=["shop"]),
        stored("kept", tags=["shop"]),
        stored("foreign"),
        stored("code", "code", tags=["shop"]),
    ]
    plan = plan_apply(file("name: kept", tag="shop"), now, prune=True)
    assert [each.definition.name for each in plan.delete] == ["gone"]
    assert not plan_apply(file("name: kept", tag="shop"), now).delete


def test_prune_without_a_tag_is_refused() -> None:
    with pytest.raises(ScheduleInvalid, match="has no tag"):
        plan_apply(file("name: a"), [], prune=True)


def test_schedule_of_the_code_is_not_changed_by_a_file() -> None:
    with pytest.raises(ScheduleInvalid, match="f:2: The schedule 'a' is declared in code"):
        plan_apply(file("name: a"), [stored("a", "code")])
