"""The audit: every edit leaves a row, and a row that is changed later is found. On each database."""

from typing import Any

import pytest
from sqlalchemy import text

from rota.schedule.calendar import Calendar
from rota.store import Store
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
