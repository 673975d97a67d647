"""The moment at which a schedule is needed: who moves it, and who may not. On each database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from rota.schedule.calendar import Calendar
from rota.schedule.definition import StoredSchedule
from rota.store import Store
from rota.store.due_window import NEVER, DuePosition, Postponed
from rota.store.schedule_rows import columns_of
from rota.store.tables import counters, schedules
from tests.integration.store.samples import define
from tests.integration.store.test_many_runs import plans_of
from tests.integration.store.test_runs import NOON

FAR = datetime(2200, 1, 1, tzinfo=UTC)
BAD_PLANS = {
    "sqlite": ("SCAN rota_schedules\n", "TEMP B-TREE"),
    "postgresql": ("Seq Scan on rota_schedules", "Sort"),
    "mysql": ("filesort", "\tALL\t"),
}
OFFICE = Calendar.read({"name": "office", "days_off": ["02-29"]})


async def ids(store: Store, until: datetime | None = None) -> list[str]:
    return [each.id for each in (await store.due_schedules(until=until, limit=100)).schedules]


async def postponed(store: Store, made: StoredSchedule, *, epoch: int = 1, read: int | None = None) -> bool:
    newest = (await store.installation()).revision
    return await store.postpone(epoch, [Postponed(made, FAR)], read=newest if read is None else read)


async def test_new_schedule_is_needed_at_its_first_planned_time(store: Store) -> None:
    yearly = await store.create(define("yearly", specs="0 0 1 1 *"), by="ann")
    assert yearly.due_at == yearly.created_at.replace(
        year=yearly.created_at.year + 1, month=1, day=1, hour=0, minute=0, second=0, microsecond=0
    )
    stopped = await store.create(define("stopped", enabled=False), by="ann")
    on_demand = await store.create(define("on demand", kind="wait", specs=None), by="ann")
    assert (stopped.due_at, on_demand.due_at) == (NEVER, NEVER)
    dated = await store.create(define("dated", specs="0 0 1 1 *", calendar="office"), by="ann")
    assert dated.due_at == dated.created_at


async def test_edit_makes_a_schedule_needed_now_and_a_deletion_never(store: Store) -> None:
    made = await store.create(define(specs="0 0 1 1 *"), by="ann")
    edited = await store.update(made.id, {"remark": "x"}, by="ann")
    assert edited.due_at == edited.updated_at
    assert (await store.delete(made.id, by="ann")).due_at == NEVER
    assert await ids(store) == []
    back = await store.restore(made.id, by="ann")
    assert back.due_at == back.updated_at


async def test_times_hold_since_the_edit_that_changed_them(store: Store) -> None:
    made = await store.create(define(specs="@every 5m"), by="ann")
    same = await store.update(made.id, {"remark": "x", "queue": "low"}, by="ann")
    assert same.since == made.since == made.created_at
    other = await store.update(made.id, {"specs": "@every 6m"}, by="ann")
    assert other.since == other.updated_at
    assert (await store.update(made.id, {"remark": "y"}, by="ann")).since == other.since


async def test_schedules_are_read_in_the_order_in_which_they_are_needed(store: Store) -> None:
    made = {name: await store.create(define(name), by="ann") for name in ("a", "b", "c", "d")}
    for number, name in enumerate(("c", "a", "d")):
        assert await store.postpone(1, [Postponed(made[name], FAR + number * timedelta(days=1))], read=99)

    first = await store.due_schedules(limit=2)
    assert [each.definition.name for each in first.schedules] == ["b", "c"]
    assert first.position == DuePosition(FAR, made["c"].id)
    rest = await store.due_schedules(first.position, limit=3)
    assert ([each.definition.name for each in rest.schedules], rest.position) == (["a", "d"], None)
    assert await ids(store, until=FAR) == [made["b"].id, made["c"].id]


async def test_schedule_that_was_edited_meanwhile_is_not_postponed(store: Store) -> None:
    made = await store.create(define(), by="ann")
    edited = await store.update(made.id, {"remark": "x"}, by="ann")
    assert await postponed(store, made)
    assert await store.get(made.id) == edited


async def test_earlier_leader_postpones_nothing(store: Store) -> None:
    made = await store.create(define(), by="ann")
    other = await store.create(define("other"), by="ann")
    assert await postponed(store, other, epoch=8)
    assert not await postponed(store, made, epoch=7)
    assert await ids(store, until=FAR - timedelta(days=1)) == [made.id]
    assert await postponed(store, made, epoch=8)


async def test_edit_of_a_calendar_makes_its_schedules_needed_now(store: Store) -> None:
    saved = await store.save_calendar(OFFICE, by="ann")
    made = await store.create(define(calendar="office"), by="ann")
    await store.create(define("other", specs="0 0 1 1 *"), by="ann")
    assert await postponed(store, made)
    again = await store.save_calendar(Calendar.read({"name": "office", "days_off": ["sat"]}), by="ann")
    assert (await store.get(made.id)).due_at == again.updated_at

    assert not await postponed(store, made, read=saved.revision)
    assert (await store.get(made.id)).due_at == again.updated_at
    assert await postponed(store, made, read=again.revision)


async def test_schedule_that_is_picked_up_is_needed_now(store: Store) -> None:
    made = await store.create(define(specs="0 0 1 1 *"), by="ann")
    now = made.created_at + timedelta(seconds=1)
    for name in ("nightly", made.id):
        [found] = (await store.pick_up(name, now)).schedules
        assert (found.id, found.due_at, found.version) == (made.id, now, 1)
    assert (await store.pick_up("nothing", now)).schedules == ()


async def test_edits_are_read_in_parts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rota.store.schedule_reads._PART", 2)
    made = [await store.create(define(f"s{number}"), by="ann") for number in range(5)]
    calendar = await store.save_calendar(OFFICE, by="ann")

    first = await store.changed_since(made[0].revision, most=2)
    assert (first.schedules, first.calendars, first.more) == ((made[1], made[2]), (), True)
    rest = await store.changed_since(first.revision, most=2)
    assert (rest.schedules, rest.more) == ((made[3], made[4]), True)
    last = await store.changed_since(rest.revision, most=2)
    assert (last.schedules, last.calendars, last.more) == ((), (calendar,), False)


async def test_schedules_are_read_from_an_index_without_sorting(store: Store) -> None:
    await fill(store, 20_000)
    first = await store.due_schedules(limit=50)

    async def read() -> None:
        await store.due_schedules(first.position, limit=50)
        await store.due_schedules(first.position, until=FAR, limit=50)
        await store.changed_since(19_990)

    plans = [plan for plan in await plans_of(store, read, "rota_schedules") if "ORDER BY" in plan]
    assert len(plans) >= 3
    for plan in plans:
        assert not [bad for bad in BAD_PLANS[store.database.dialect] if bad in plan], plan


async def fill(store: Store, count: int) -> None:
    """Make schedules that are due one after the other."""
    made = await store.create(define(), by="ann")
    columns = columns_of(made.definition)
    members = {"source": "database", "version": 1, "created_by": "", "updated_by": ""}
    for start in range(0, count, 2000):
        rows = [
            {
                **columns,
                **members,
                "name": f"s{number}",
                "live_name": f"s{number}",
                "id": f"s{number}",
                "revision": number,
                "due_at": NOON + number * timedelta(seconds=1),
                "created_at": NOON,
                "updated_at": NOON,
            }
            for number in range(start, start + 2000)
        ]

        async def act(connection: AsyncConnection, rows: list[dict[str, Any]] = rows) -> None:
            await connection.execute(insert(schedules), rows)

        await store.database.write(act, limit=None)

    async def finish(connection: AsyncConnection) -> None:
        await connection.execute(update(counters).where(counters.c.name == "revision").values(value=count))
        if store.database.dialect != "sqlite":  # a user of SQLite runs no ANALYZE
            table = "TABLE " if store.database.dialect == "mysql" else ""
            await connection.execute(text(f"ANALYZE {table}rota_schedules"))

    await store.database.write(finish, limit=None)
