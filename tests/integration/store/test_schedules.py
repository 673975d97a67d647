"""Edits and reads of schedules, on each database."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from rota.errors import ConfigError, ScheduleInvalid, StaleVersion, StoreConflict, StoreError, StoreNotFound
from rota.store import Store, open_store
from tests.integration.store.samples import define

EVERY_FIELD: dict[str, Any] = {
    "payload": {
        "text": "月报 📦 <b>'\"\\",
        "deep": [1, -2.5, None, True, {"ü": []}],
        "big": 2**62,
        "huge": 1.5e300,
        "small": -1e-9,
    },
    "headers": {"trace": "αβγ"},
    "timezone": "Asia/Shanghai",
    "specs": ["0 3 * * *", "@every 1h"],
    "missed": "all",
    "missed_limit": 7,
    "jitter": "250ms",
    "starts_at": "2026-03-01T09:00+01:00",
    "then": {"on": "failure", "task_type": "alert", "payload": {"a": 1}},
    "tags": ["夜", "Billing"],
    "owner": "zoë",
    "remark": "Two\nlines",
}


async def test_schedule_is_read_as_it_was_created(store: Store) -> None:
    definition = define("月报 – naïve", **EVERY_FIELD)
    made = await store.create(definition, by="ann")

    assert made.definition == definition
    assert await store.get(made.id) == made
    assert await store.find("月报 – naïve") == made
    assert (made.version, made.source, made.created_by, made.updated_at) == (1, "database", "ann", made.created_at)


async def test_times_keep_their_microseconds_in_utc(store: Store) -> None:
    made = await store.create(define(), by="ann")

    again = await store.get(made.id)
    assert again.created_at == made.created_at
    assert again.created_at.tzinfo is UTC
    assert abs(datetime.now(UTC) - again.created_at) < timedelta(minutes=5)


async def test_delay_of_a_schedule_counts_from_its_creation(store: Store) -> None:
    made = await store.create(define(specs=None, kind="once", process_in="2h"), by="ann")

    assert made.definition.process_in is None
    assert made.definition.process_at is not None
    late = made.created_at + timedelta(hours=2) - made.definition.process_at
    assert timedelta(0) <= late < timedelta(milliseconds=1)  # it is in whole milliseconds


async def test_names_differ_by_case_accent_and_script(store: Store) -> None:
    names = ["report", "Report", "réport", "re\u0301port", "ｒｅｐｏｒｔ", "rеport"]
    for name in names:
        await store.create(define(name), by="ann")

    assert {each.definition.name for each in (await store.schedules()).items} == set(names)


async def test_taken_name_is_refused_until_its_schedule_is_deleted(store: Store) -> None:
    first = await store.create(define(), by="ann")
    with pytest.raises(StoreConflict, match="already"):
        await store.create(define(), by="bob")

    await store.delete(first.id, by="ann")
    second = await store.create(define(), by="bob")
    assert await store.find("nightly") == second
    with pytest.raises(StoreConflict, match="already"):
        await store.restore(first.id, by="ann")


async def test_update_makes_a_version_with_the_changed_fields(store: Store) -> None:
    made = await store.create(define(), by="ann")
    edited = await store.update(made.id, {"enabled": False, "tags": ["x"]}, by="bob", expected_version=1)

    assert (edited.version, edited.updated_by, edited.created_by) == (2, "bob", "ann")
    assert edited.definition == made.definition.patched({"enabled": False, "tags": ["x"]})
    newest, oldest = (await store.versions(made.id)).items
    assert (newest.version, newest.act, newest.by) == (2, "updated", "bob")
    assert set(newest.changed) == {"tags", "enabled"}
    assert (oldest.version, oldest.act, oldest.definition) == (1, "created", made.definition)


async def test_update_that_changes_nothing_makes_no_version(store: Store) -> None:
    made = await store.create(define(), by="ann")

    assert await store.update(made.id, {"enabled": True}, by="bob") == made
    assert (await store.changed_since(made.revision)).schedules == ()


async def test_wrong_patch_is_refused_and_changes_nothing(store: Store) -> None:
    made = await store.create(define(), by="ann")
    with pytest.raises(ScheduleInvalid):
        await store.update(made.id, {"missed": "never"}, by="bob")

    assert await store.get(made.id) == made
    assert len((await store.versions(made.id)).items) == 1


@pytest.mark.parametrize("payload", [{"a": "x\0y"}, {"a\0": 1}, {"a": [2**63]}])
async def test_payload_that_a_database_would_change_is_refused(store: Store, payload: dict[str, Any]) -> None:
    with pytest.raises(ScheduleInvalid, match="payload"):
        await store.create(define(payload=payload), by="ann")

    assert (await store.schedules()).items == ()


async def test_edit_of_a_stale_version_is_refused_with_the_present_one(store: Store) -> None:
    made = await store.create(define(), by="ann")
    edited = await store.update(made.id, {"remark": "new"}, by="bob")

    for act in (
        store.update(made.id, {"remark": "mine"}, by="ann", expected_version=1),
        store.delete(made.id, by="ann", expected_version=1),
        store.restore(made.id, by="ann", version=1, expected_version=1),
    ):
        with pytest.raises(StaleVersion) as caught:
            await act
        assert (caught.value.expected, caught.value.present) == (1, edited)


async def test_one_of_many_simultaneous_edits_of_a_version_wins(store: Store, store_url: str) -> None:
    made = await store.create(define(), by="ann")

    async with open_store(store_url) as other:
        results = await asyncio.gather(
            *(
                each.update(made.id, {"remark": str(number)}, by=str(number), expected_version=1)
                for number, each in enumerate([store, other] * 4)
            ),
            return_exceptions=True,
        )

    won = [each for each in results if not isinstance(each, BaseException)]
    assert len(won) == 1
    assert all(isinstance(each, StaleVersion) for each in results if each is not won[0])
    assert await store.get(made.id) == won[0]


async def test_simultaneous_creations_get_revisions_without_a_gap(store: Store, store_url: str) -> None:
    async with open_store(store_url) as other:
        made = await asyncio.gather(
            *(each.create(define(f"s{number}"), by="ann") for number, each in enumerate([store, other] * 8))
        )

    assert sorted(each.revision for each in made) == list(range(1, 17))
    assert [each.revision for each in (await store.changed_since(0)).schedules] == list(range(1, 17))


async def test_deleted_schedule_is_kept_and_can_be_restored(store: Store) -> None:
    made = await store.create(define(tags=["a"]), by="ann")
    gone = await store.delete(made.id, by="bob")

    assert (gone.deleted_by, gone.deleted_at is not None) == ("bob", True)
    assert await store.delete(made.id, by="eve") == gone
    assert await store.find("nightly") is None
    assert (await store.schedules()).items == ()
    assert (await store.schedules(deleted=True, tag="a")).items == (gone,)
    with pytest.raises(StoreConflict, match="Restore it"):
        await store.update(made.id, {"remark": "x"}, by="ann")

    back = await store.restore(made.id, by="ann")
    assert (back.definition, back.deleted_at, back.version) == (made.definition, None, 2)
    assert back.since == back.updated_at
    assert await store.restore(made.id, by="ann") == back


async def test_any_version_can_be_restored(store: Store) -> None:
    made = await store.create(define(tags=["first"]), by="ann")
    await store.update(made.id, {"name": "renamed", "tags": ["second"]}, by="ann")
    await store.delete(made.id, by="ann")

    back = await store.restore(made.id, by="bob", version=1)
    assert (back.version, back.definition, back.deleted_at) == (3, made.definition, None)
    assert (await store.schedules(tag="first")).items == (back,)
    assert (await store.schedules(tag="second")).items == ()
    with pytest.raises(StoreNotFound):
        await store.restore(made.id, by="bob", version=9)


async def test_schedule_of_the_code_is_not_edited(store: Store) -> None:
    made = await store.create(define(), by="app", source="code")

    with pytest.raises(StoreConflict, match="declared in code"):
        await store.update(made.id, {"remark": "x"}, by="ann")


async def test_unknown_schedule_is_not_found(store: Store) -> None:
    assert await store.find("nothing") is None
    for act in (store.get("x"), store.update("x", {}, by="a"), store.delete("x", by="a"), store.restore("x", by="a")):
        with pytest.raises(StoreNotFound):
            await act


async def test_list_filters_by_text_kind_type_tag_and_enabled(store: Store) -> None:
    await store.create(define("Größe 100%", remark="STRASSE"), by="ann")
    await store.create(define("b_1", task_type="mail", tags=["x"], enabled=False), by="ann")
    await store.create(define("bx1", kind="wait", specs=None, owner="Müller"), by="ann")

    async def names(**words: Any) -> list[str]:
        return [each.definition.name for each in (await store.schedules(**words)).items]

    assert await names() == ["Größe 100%", "b_1", "bx1"]
    assert await names(text="GRÖSSE") == ["Größe 100%"]
    assert await names(text="straße") == ["Größe 100%"]
    assert await names(text="0%") == ["Größe 100%"]
    assert await names(text="b_1") == ["b_1"]
    assert await names(text="müLLER") == ["bx1"]
    assert await names(kind="wait") == ["bx1"]
    assert await names(task_type="mail") == ["b_1"]
    assert await names(tag="x") == ["b_1"]
    assert await names(enabled=False) == ["b_1"]
    assert await names(text="X1", enabled=True) == ["bx1"]


async def test_list_by_cursor_is_stable_while_schedules_come_and_go(store: Store) -> None:
    made = {name: await store.create(define(name), by="ann") for name in ("a", "b", "d", "e", "g")}
    first = await store.schedules(limit=2)
    await store.create(define("aa"), by="ann")
    await store.delete(made["b"].id, by="ann")
    await store.create(define("c"), by="ann")
    second = await store.schedules(limit=2, cursor=first.next)
    third = await store.schedules(limit=2, cursor=second.next)

    assert [[each.definition.name for each in part.items] for part in (first, second, third)] == [
        ["a", "b"],
        ["c", "d"],
        ["e", "g"],
    ]
    assert third.next is None


async def test_deleted_schedules_of_one_name_are_all_listed(store: Store) -> None:
    for _ in range(5):
        made = await store.create(define(), by="ann")
        await store.delete(made.id, by="ann")

    found, cursor = [], None
    while True:
        part = await store.schedules(deleted=True, limit=2, cursor=cursor)
        found += [each.id for each in part.items]
        if (cursor := part.next) is None:
            break
    assert len(set(found)) == len(found) == 5


@pytest.mark.parametrize("words", [{"limit": 0}, {"limit": 501}, {"cursor": "nonsense"}, {"cursor": "WzFd"}])
async def test_wrong_limit_or_cursor_is_refused(store: Store, words: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        await store.schedules(**words)


async def test_versions_are_listed_by_cursor(store: Store) -> None:
    made = await store.create(define(), by="ann")
    for number in range(4):
        await store.update(made.id, {"remark": str(number)}, by="ann")

    first = await store.versions(made.id, limit=3)
    rest = await store.versions(made.id, limit=3, cursor=first.next)
    assert [each.version for each in (*first.items, *rest.items)] == [5, 4, 3, 2, 1]
    assert rest.next is None


async def test_changes_since_a_revision_are_told_once(store: Store) -> None:
    first = await store.create(define("a"), by="ann")
    start = await store.changed_since(0)
    assert (start.schedules, start.hold) == ((first,), None)
    assert await store.changed_since(start.revision) == await store.changed_since(start.revision)

    edited = await store.update(first.id, {"remark": "x"}, by="ann")
    second = await store.create(define("b"), by="ann")
    gone = await store.delete(second.id, by="ann")
    changes = await store.changed_since(start.revision)
    assert changes.schedules == (edited, gone)
    assert (await store.changed_since(changes.revision)).schedules == ()
    assert (await store.changed_since(0)).schedules == (edited,)


async def test_many_changes_are_read_in_parts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rota.store.schedule_reads._PART", 3)
    made = [await store.create(define(f"s{number}"), by="ann") for number in range(8)]

    assert (await store.changed_since(0)).schedules == tuple(made)


BAD = {
    "a field that is not known": """{"name": "x", "task_type": "t", "specs": ["@daily"], "surprise": 1}""",
    "a wrong value": """{"name": "x", "task_type": "t", "specs": ["@daily"], "missed": "never"}""",
    "a list": "[]",
    "a number": "7",
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
async def test_row_that_cannot_be_read_is_reported_and_skipped(store: Store, bad: str) -> None:
    good = await store.create(define("good"), by="ann")
    broken = await store.create(define("broken"), by="ann")
    await damage(store, "UPDATE rota_schedules SET definition = :value WHERE id = :id", value=bad, id=broken.id)

    changes, listed = await store.changed_since(0), await store.schedules()
    for found, problems in ((changes.schedules, changes.problems), (listed.items, listed.problems)):
        assert found == (good,)
        [problem] = problems
        assert (problem.kind, problem.id, problem.name) == ("schedule", broken.id, "broken")
        assert "broken" in str(problem)
    with pytest.raises(StoreError, match="Restore"):
        await store.get(broken.id)

    back = await store.restore(broken.id, by="ann", version=1)
    assert (back.definition, back.version) == (broken.definition, 2)
    assert (await store.schedules()).problems == ()


async def test_text_of_sqlite_that_is_no_json_or_time_is_reported(store: Store) -> None:
    if store.database.dialect != "sqlite":
        return  # servers refuse such values
    made = [await store.create(define(name), by="ann") for name in ("a", "b", "c")]
    await damage(store, "UPDATE rota_schedules SET definition = '{oops' WHERE id = :id", id=made[0].id)
    await damage(store, "UPDATE rota_schedules SET created_at = 'yesterday' WHERE id = :id", id=made[1].id)

    changes = await store.changed_since(0)
    assert changes.schedules == (made[2],)
    assert [problem.name for problem in changes.problems] == ["a", "b"]
    assert "yesterday" in changes.problems[1].message


async def test_hold_is_kept_until_it_is_lifted(store: Store) -> None:
    until = datetime(2030, 1, 1, 12, tzinfo=UTC)
    assert await store.hold() is None
    assert await store.lift_hold(by="ann") is None
    held = await store.set_hold(by="ann", reason="发布", until=until)

    assert (held.by, held.reason, held.until) == ("ann", "发布", until)
    assert await store.hold() == held
    assert held.holds(until - timedelta(seconds=1))
    assert not held.holds(until)
    changes = await store.changed_since(0)
    assert (changes.hold, changes.hold_changed) == (held, True)
    assert (await store.changed_since(changes.revision)).hold == held
    assert not (await store.changed_since(changes.revision)).hold_changed

    assert await store.lift_hold(by="bob") == held
    lifted = await store.changed_since(changes.revision)
    assert (lifted.hold, lifted.hold_changed) == (None, True)


async def test_hold_without_a_time_zone_is_refused(store: Store) -> None:
    with pytest.raises(ConfigError, match="time zone"):
        await store.set_hold(by="ann", until=datetime(2030, 1, 1))


async def damage(store: Store, statement: str, **values: str) -> None:
    """Change a row as somebody would with a client of the database."""

    async def act(connection: Any) -> None:
        await connection.execute(text(statement), values)

    await store.database.write(act)
