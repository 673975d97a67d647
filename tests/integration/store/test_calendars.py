"""Calendars, and chains of schedules, on each database."""

from typing import Any

import pytest

from rota.errors import ScheduleInvalid, StaleVersion, StoreConflict, StoreNotFound
from rota.schedule.calendar import Calendar
from rota.store import Store
from tests.integration.store.samples import define

CHINA = Calendar.read(
    {"name": "中国", "days_off": ["sat", "sun", {"2026-10-01..2026-10-07": "国庆"}], "ends": "2026-12-31"}
)


async def test_calendar_is_read_as_it_was_saved(store: Store) -> None:
    saved = await store.save_calendar(CHINA, by="ann")

    assert (saved.calendar, saved.version, saved.updated_by) == (CHINA, 1, "ann")
    assert await store.calendar("中国") == saved
    assert (await store.calendars()).items == (saved,)
    with pytest.raises(StoreNotFound):
        await store.calendar("x")


async def test_edits_of_calendars_are_changes(store: Store) -> None:
    saved = await store.save_calendar(CHINA, by="ann")
    start = await store.changed_since(0)
    assert start.calendars == (saved,)
    again = await store.save_calendar(CHINA, by="bob", expected_version=1)
    assert (await store.changed_since(start.revision)).calendars == (again,)

    await store.delete_calendar("中国", by="ann", expected_version=2)
    changes = await store.changed_since(again.revision)
    assert [(each.name, each.deleted_at is not None) for each in changes.calendars] == [("中国", True)]
    assert (await store.changed_since(0)).calendars == ()
    assert (await store.calendars()).items == ()
    assert (await store.save_calendar(CHINA, by="ann", expected_version=0)).version == 4


async def test_stale_edit_of_a_calendar_is_refused(store: Store) -> None:
    saved = await store.save_calendar(CHINA, by="ann", expected_version=0)

    for version in (0, 2):
        with pytest.raises(StaleVersion) as caught:
            await store.save_calendar(CHINA, by="bob", expected_version=version)
        assert caught.value.present == saved
    with pytest.raises(StaleVersion):
        await store.delete_calendar("中国", by="bob", expected_version=7)


async def test_calendar_in_use_is_not_deleted(store: Store) -> None:
    await store.save_calendar(CHINA, by="ann")
    made = await store.create(define(calendar="中国"), by="ann")

    with pytest.raises(StoreConflict, match="used by 1 schedule: 'nightly'"):
        await store.delete_calendar("中国", by="ann")
    await store.delete(made.id, by="ann")
    await store.delete_calendar("中国", by="ann")
    with pytest.raises(StoreNotFound):
        await store.delete_calendar("中国", by="ann")


def then(name: str) -> Any:
    return {"schedule": name}


async def test_schedules_in_a_circle_are_refused(store: Store) -> None:
    await store.create(define("a", then=then("b")), by="ann")
    await store.create(define("b", then=[then("x"), then("c")]), by="ann")
    with pytest.raises(ScheduleInvalid, match="circle without end: c → a → b → c") as caught:
        await store.create(define("c", then=then("a")), by="ann")
    assert caught.value.problems[0][0] == "then"

    free = await store.create(define("c"), by="ann")
    with pytest.raises(ScheduleInvalid, match="circle"):
        await store.update(free.id, {"then": [then("b")]}, by="ann")
    await store.update(free.id, {"then": [then("d")]}, by="ann")


async def test_schedule_that_is_renamed_into_a_circle_is_refused(store: Store) -> None:
    await store.create(define("a", then=then("b")), by="ann")
    other = await store.create(define("other", then=then("a")), by="ann")

    with pytest.raises(ScheduleInvalid, match="circle"):
        await store.update(other.id, {"name": "b"}, by="ann")


@pytest.mark.parametrize("order", [1, -1], ids=["head first", "tail first"])
async def test_chain_that_is_too_long_is_refused(store: Store, order: int) -> None:
    links = [define(f"s{number}", then=then(f"s{number + 1}")) for number in range(11)][::order]
    for definition in links[:-1]:
        await store.create(definition, by="ann")

    with pytest.raises(ScheduleInvalid, match="a chain of 11 starts, and 10 are allowed"):
        await store.create(links[-1], by="ann")
