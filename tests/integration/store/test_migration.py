"""Upgrades of the tables, on each database: from every earlier revision, by several processes at once, and refusals."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, literal, text

from rota.errors import ConfigError, StoreConflict, StoreSchemaError
from rota.schedule.calendar import Calendar
from rota.schedule.run import RunAttempt
from rota.store import migration, open_store
from rota.store.address import read_address
from rota.store.database import Database
from rota.store.migrations import REVISIONS
from rota.store.schedule_rows import columns_of
from rota.store.tables import metadata, schedules
from tests.integration.store.conftest import url_on
from tests.integration.store.samples import define
from tests.integration.store.test_runs import NOON, ended

NEWEST = REVISIONS[-1]


@pytest.fixture
async def database(store_url: str) -> AsyncIterator[Database]:
    """A database without tables."""
    opened = Database(read_address(store_url))
    yield opened
    await opened.aclose()


def differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "include_name": lambda name, kind, _: name != "rota_revision"}
    )
    return list(compare_metadata(context, metadata))


async def run_sync(database: Database, act: Any) -> Any:
    return await database.write(lambda connection: connection.run_sync(act))


async def test_tables_of_all_revisions_are_those_of_the_code(database: Database) -> None:
    assert await migration.upgrade(database) == (None, NEWEST)

    assert await run_sync(database, differences) == []


def test_revisions_are_those_of_the_files() -> None:
    scripts = ScriptDirectory.from_config(migration._config())

    assert tuple(reversed([each.revision for each in scripts.walk_revisions()])) == REVISIONS


@pytest.mark.parametrize("earlier", REVISIONS)
async def test_store_of_every_earlier_revision_is_upgraded_with_its_rows(
    database: Database, store_url: str, earlier: str
) -> None:
    assert await migration.upgrade(database, earlier) == (None, earlier)
    async with open_store(store_url, migrate=True) as store:
        made = await store.create(define(), by="ann")
        assert await migration.revision_of(database) == NEWEST
        assert await run_sync(database, differences) == []
        assert await store.get(made.id) == made
    assert await migration.upgrade(database) == (NEWEST, NEWEST)


async def test_rows_of_an_earlier_revision_survive_the_upgrade(database: Database, store_url: str) -> None:
    await migration.upgrade(database, REVISIONS[0])
    await run_sync(database, _insert_schedule)

    await migration.upgrade(database)
    async with open_store(store_url) as store:
        made = await store.get("old")
        assert (made.definition, made.updated_at, made.since) == (define(calendar="office"), NOON, None)
        assert (await store.due_schedules(limit=9)).schedules == (made,)
        edited = await store.update("old", {"remark": "x"}, by="ann")
        assert (edited.revision, edited.since) == (made.revision + 1, NOON)
        await store.save_calendar(Calendar.read({"name": "office", "days_off": ["02-29"]}), by="ann")
        with pytest.raises(StoreConflict, match="is used by 1 schedule"):
            await store.delete_calendar("office", by="ann")


async def test_run_of_the_revision_before_log_lines_gets_them_after_the_upgrade(
    database: Database, store_url: str
) -> None:
    run = ended(attempts=(RunAttempt(worker="w", started_at=NOON),))
    await migration.upgrade(database, "0002")
    async with _opened_as_it_is(store_url) as store:
        await store.record_runs([run])

    await migration.upgrade(database)
    async with open_store(store_url) as store:
        assert await store.run(run.id) == run
        await store.record_runs([logged := replace(run, log=("1 a",))])
        assert await store.run(run.id) == logged


def _insert_schedule(connection: Connection) -> None:
    """Add a row as the first revision of Rota did."""
    reflected = MetaData()
    reflected.reflect(connection, only=["rota_schedules", "rota_counters"])
    table, counters = reflected.tables["rota_schedules"], reflected.tables["rota_counters"]
    columns = {**columns_of(define(calendar="office")), "id": "old", "version": 1, "source": "database", "revision": 7}
    del columns["calendar"]
    moments = {"created_at": NOON, "created_by": "ann", "updated_at": NOON, "updated_by": "ann"}
    types = {name: schedules.c[name].type for name in (*columns, *moments)}
    values = {name: literal(value, types[name]) for name, value in {**columns, **moments}.items()}
    connection.execute(table.insert().values(values))
    connection.execute(counters.update().where(counters.c.name == "revision").values(value=7))


def _opened_as_it_is(url: str) -> Any:
    from rota.store.store import Store

    return Store(Database(read_address(url)))


async def test_simultaneous_upgrades_migrate_once(store_url: str) -> None:
    databases = [Database(read_address(store_url)) for _ in range(4)]
    try:
        results = await asyncio.gather(*map(migration.upgrade, databases))
    finally:
        await asyncio.gather(*(each.aclose() for each in databases))

    assert sorted(before or "" for before, _ in results) == ["", NEWEST, NEWEST, NEWEST]


@pytest.mark.slow
async def test_upgrade_is_committed_before_its_lock_is_freed(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = read_address(url_on("mariadb", request, tmp_path))  # other locks end with the transaction
    first, second = Database(address), Database(address)
    unlock, seen = migration._unlock, list[str | None]()

    async def unlock_and_look(*words: Any) -> None:
        await unlock(*words)
        seen.append(await migration.revision_of(second))

    monkeypatch.setattr(migration, "_unlock", unlock_and_look)
    try:
        await migration.upgrade(first)
    finally:
        await asyncio.gather(first.aclose(), second.aclose())

    assert seen == [NEWEST]


async def test_interrupted_upgrade_is_completed_by_the_next_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_connection: Connection) -> None:
        raise OSError("the process ends here")

    with monkeypatch.context() as patch:
        patch.setattr(migration, "start_counters", fail)
        with pytest.raises(Exception, match=r"ends here|cannot be reached"):
            await migration.upgrade(database)
    await migration.upgrade(database)

    assert await run_sync(database, differences) == []


async def test_newer_store_is_refused(database: Database, store_url: str) -> None:
    await migration.upgrade(database)
    await run_sync(database, lambda sync: sync.execute(text("UPDATE rota_revision SET version_num = '9999'")))

    with pytest.raises(StoreSchemaError, match=r"9999.*newer.*Install"):
        async with open_store(store_url, migrate=True):
            pass
    with pytest.raises(StoreSchemaError, match="newer"):
        await migration.check(database)


async def test_store_without_tables_says_what_to_run(database: Database) -> None:
    with pytest.raises(StoreSchemaError, match="rota store upgrade"):
        await migration.check(database)


async def test_statements_of_an_upgrade_make_the_tables(database: Database) -> None:
    written = await migration.statements(database.create())
    assert "CREATE TABLE" in written

    statements = [part.strip() for part in written.split(";") if part.strip()]
    for statement in statements:
        if "BEGIN" not in statement and statement != "COMMIT":
            await run_sync(database, lambda sync, each=statement: sync.exec_driver_sql(each))
    assert await migration.revision_of(database) == NEWEST
    assert await run_sync(database, differences) == []
    assert await migration.statements(database) == ""


async def test_statements_from_an_unknown_revision_are_refused(database: Database) -> None:
    with pytest.raises(ConfigError, match="Known: base"):
        await migration.statements(database, "7")
