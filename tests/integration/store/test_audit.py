"""The audit: every edit leaves a row, and a row that is changed later is found. On each database."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, text, update

from rota.schedule.calendar import Calendar
from rota.store import Store
from rota.store.database import records
from rota.store.edits import chained, now
from rota.store.history_retention import _move_anchor
from rota.store.tables import audit, counters
from tests.integration.store.samples import define


async def edit(store: Store) -> str:
    """Make one edit of each kind; return the ID of the schedule."""
    made = await store.create(define("夜间", payload={"n": 1.5e300, "x": "ü\u2028"}), by="ann", origin="cli")
    await store.update(made.id, {"remark": "new"}, by="bob", origin="10.0.0.1")
    await store.delete(made.id, by="bob")
    await store.restore(made.id, by="ann")
    await store.save_calendar(Calendar.read({"name": "week", "days_off": ["sat"]}), by="ann")
    await store.delete_calendar("week", by="ann")
    await store.set_hold(by="eve", reason="deploy")
    await store.lift_hold(by="eve")
    return made.id


ACTS = ["create", "update", "delete", "restore"]


async def test_every_edit_leaves_a_row(store: Store) -> None:
    schedule_id = await edit(store)

    rows = list(reversed((await store.audit()).items))
    assert [row.act for row in rows] == [
        *(f"schedule.{act}" for act in ACTS),
        "calendar.save",
        "calendar.delete",
        "hold.set",
        "hold.lift",
    ]
    changed = rows[1]
    assert (changed.by, changed.origin, changed.subject) == ("bob", "10.0.0.1", schedule_id)
    assert (changed.detail["before"], changed.detail["after"]) == ({}, {"remark": "new"})
    assert rows[0].detail["after"]["payload"] == {"n": 1.5e300, "x": "ü\u2028"}


async def test_refused_edit_leaves_no_row(store: Store) -> None:
    await store.create(define(), by="ann")
    with pytest.raises(Exception, match="already"):
        await store.create(define(), by="ann")

    assert len((await store.audit()).items) == 1
    assert (await store.verify_audit()).fault == ""


async def test_act_outside_of_the_store_is_a_row_without_a_revision(store: Store) -> None:
    made = await store.create(define(), by="ann")
    await store.record_act("run.cancel", kind="run", subject="s-1", by="bob", origin="cli", detail={"task": "\0"})

    [row, _] = (await store.audit()).items
    assert (row.act, row.kind, row.subject, row.by, row.detail) == ("run.cancel", "run", "s-1", "bob", {"task": "\0"})
    assert (await store.changed_since(0)).revision == made.revision
    assert (await store.verify_audit()).fault == ""


async def test_audit_is_filtered_and_listed_by_cursor(store: Store) -> None:
    schedule_id = await edit(store)

    assert len((await store.audit(kind="schedule", subject=schedule_id)).items) == 4
    assert [row.act for row in (await store.audit(by="eve")).items] == ["hold.lift", "hold.set"]
    numbers, cursor = [], None
    while True:
        page = await store.audit(limit=3, cursor=cursor)
        numbers += [row.number for row in page.items]
        if (cursor := page.next) is None:
            break
    assert numbers == list(range(8, 0, -1))


async def test_whole_chain_is_verified(store: Store) -> None:
    empty = await store.verify_audit()
    assert (empty.number, empty.fault) == (0, "")
    await edit(store)

    check = await store.verify_audit()
    assert (check.number, len(check.hash), check.fault) == (8, 64, "")


TAMPERING = {
    "a changed detail": ("UPDATE rota_audit SET detail = '{}' WHERE number = 3", "Row 3"),
    "a changed user": ("UPDATE rota_audit SET origin = 'x' WHERE number = 4", "Row 4"),
    "a changed hash": ("UPDATE rota_audit SET hash = 'x' WHERE number = 4", "Row 4"),
    "a removed row": ("DELETE FROM rota_audit WHERE number = 5", "from 5 to 5"),
    "a removed start": ("DELETE FROM rota_audit WHERE number < 3", "from 1 to 2"),
    "a removed end": ("DELETE FROM rota_audit WHERE number > 6", "after 6"),
}


@pytest.mark.parametrize(("statement", "fault"), TAMPERING.values(), ids=TAMPERING)
async def test_tampering_is_found(store: Store, statement: str, fault: str) -> None:
    await edit(store)

    async def act(connection: Any) -> None:
        await connection.execute(text(statement))

    await store.database.write(act)
    assert fault in (await store.verify_audit()).fault


async def age(store: Store, *numbers: int) -> None:
    """Make these rows of the audit old, and the chain whole again."""
    rows = list(reversed((await store.audit(limit=500)).items))

    async def act(connection: Any) -> None:
        start = await records(connection, select(counters).where(counters.c.name == "audit anchor"))
        before = start[0]["hash"] or ""
        for row in await records(connection, select(audit).order_by(audit.c.number)):
            if row["number"] in numbers:
                row["at"] -= timedelta(days=100)
            before = row["hash"] = chained(before, row)
            mine = audit.c.number == row["number"]
            await connection.execute(update(audit).where(mine).values(at=row["at"], hash=before))
        await connection.execute(update(counters).where(counters.c.name == "audit").values(hash=before))

    assert rows
    await store.database.write(act)


async def test_audit_is_whole_after_its_old_rows_are_deleted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rota.store.history_retention._BATCH", 2)
    await edit(store)
    await age(store, 1, 2, 3, 4, 5)
    assert (await store.verify_audit()).fault == ""

    assert await store.trim_audit(age=timedelta(days=200)) == 0
    assert await store.trim_audit(age=timedelta(days=90)) == 5
    assert await store.trim_audit(age=timedelta(days=90)) == 0
    found = await store.verify_audit()
    assert (found.fault, found.trimmed, found.number) == ("", 5, 9)
    newest = (await store.audit()).items[0]
    assert (newest.act, newest.by, newest.detail["until"]) == ("audit.trim", "rota", 5)

    await store.create(define("other"), by="ann")
    await age(store, 6, 7, 8, 9)
    assert await store.trim_audit(age=timedelta(days=90)) == 4
    found = await store.verify_audit()
    assert (found.fault, found.trimmed) == ("", 9)


async def test_trim_of_the_audit_that_was_interrupted_is_continued(store: Store) -> None:
    await edit(store)
    await age(store, 1, 2, 3)
    await store.database.write(lambda connection: _move_anchor(connection, now() - timedelta(days=90)))
    assert (await store.verify_audit()).fault == ""
    assert await store.trim_audit(age=timedelta(days=90)) == 3
    assert (await store.verify_audit()).fault == ""


async def test_anchor_that_was_moved_by_hand_is_found(store: Store) -> None:
    await edit(store)
    row = (await store.audit()).items[-2]
    assert row.number == 2

    async def act(connection: Any) -> None:
        second = (await records(connection, select(audit).where(audit.c.number == 2)))[0]
        await connection.execute(delete(audit).where(audit.c.number <= 2))
        mine = counters.c.name == "audit anchor"
        await connection.execute(update(counters).where(mine).values(value=2, hash=second["hash"]))

    await store.database.write(act)
    assert "up to 2 were deleted" in (await store.verify_audit()).fault


async def test_old_versions_beyond_the_limit_are_deleted(store: Store) -> None:
    made = await store.create(define(), by="ann")
    for number in range(5):
        await store.update(made.id, {"remark": str(number)}, by="ann")
    assert await store.trim_versions(age=timedelta(days=1), most=2) == 0
    assert await store.trim_versions(age=timedelta(0), most=2) == 4
    assert [each.version for each in (await store.versions(made.id)).items] == [6, 5]
