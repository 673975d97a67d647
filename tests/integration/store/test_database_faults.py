"""Databases that are away, full, locked, read-only or damaged, and processes that die, on real databases."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text, update

from rota.errors import StoreError, StoreRefused, StoreUnavailable
from rota.store import Store, open_store
from rota.store.tables import counters
from tests.integration.store.samples import define
from tests.integration.store.test_runs import fired
from tests.servers.databases import QUOTED_PASSWORD, DatabaseServer
from tests.servers.process import START_SECONDS

SERVER_NAMES = [pytest.param("postgres", marks=pytest.mark.slow), pytest.param("mariadb", marks=pytest.mark.slow)]


@pytest.fixture(params=SERVER_NAMES)
def server(request: pytest.FixtureRequest) -> DatabaseServer:
    found: DatabaseServer = request.getfixturevalue(f"{request.param}_server")
    return found


async def refused(url: str, kind: type[StoreError], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        async with open_store(url, migrate=True):
            pass
    assert QUOTED_PASSWORD not in str(caught.value)
    assert "s3cret" not in str(caught.value)


async def test_wrong_password_is_refused(server: DatabaseServer) -> None:
    url = server.new_database()

    await refused(url.replace(QUOTED_PASSWORD, "s3cret-but-wrong"), StoreRefused, "refuses the login")


async def test_missing_database_is_refused(server: DatabaseServer) -> None:
    await refused(server.url_of("nothing"), StoreRefused, "does not exist")


async def test_missing_permission_is_refused(server: DatabaseServer) -> None:
    url = server.new_database()
    name = url.rpartition("/")[2]
    host = "@'%'" if server.scheme == "mysql" else ""
    password = "IDENTIFIED BY" if server.scheme == "mysql" else "PASSWORD"
    grant = "USAGE ON *.*" if server.scheme == "mysql" else f"CONNECT ON DATABASE {name}"
    server.sql(f"CREATE USER r_{name}{host} {password} 's3cret'; GRANT {grant} TO r_{name}{host};")

    await refused(url.replace(f"rota:{QUOTED_PASSWORD}", f"r_{name}:s3cret"), StoreRefused, "permission")


@pytest.mark.slow
async def test_read_only_database_is_refused(postgres_server: DatabaseServer) -> None:
    url = postgres_server.new_database()
    postgres_server.sql(f"ALTER DATABASE {url.rpartition('/')[2]} SET default_transaction_read_only = on")

    await refused(url, StoreRefused, "is read-only")


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
async def test_server_that_is_not_there_is_unavailable(scheme: str) -> None:
    await refused(f"{scheme}://me:s3cret@127.0.0.1:1/rota", StoreUnavailable, "cannot be reached")


async def test_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rota.db").write_bytes(b"some notes, and no database " * 99)

    await refused(f"sqlite:///{tmp_path}/rota.db", StoreRefused, "not an SQLite file")


async def test_read_only_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_store(f"sqlite:///{tmp_path}/rota.db"):
        pass
    monkeypatch.setattr("rota.store.database._FILE_MODE", "ro")  # root may write to every file

    async with open_store(f"sqlite:///{tmp_path}/rota.db") as store:
        assert (await store.schedules()).items == ()
        with pytest.raises(StoreRefused, match="is read-only"):
            await store.create(define(), by="ann")


async def test_full_disk_undoes_the_edit_and_the_store_goes_on(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/rota.db"
    async with open_store(url) as store:
        made = await store.create(define(), by="ann")

    async with open_store(url) as store:
        limit_pages(store, 0)  # as many as there are
        await store.database.aclose()
        with pytest.raises(StoreUnavailable, match="no room left") as caught:
            await store.create(define("large", payload={"x": "y" * 1_000_000}), by="ann")
        assert not caught.value.maybe_applied
        assert (await store.schedules()).items == (made,)
        limit_pages(store, 1_000_000)
        await store.database.aclose()
        await store.create(define("large", payload={"x": "y" * 1_000_000}), by="ann")
        assert (await store.verify_audit()).fault == ""


def limit_pages(store: Store, pages: int) -> None:
    def limit(connection: Any, _record: object) -> None:
        connection.cursor().execute(f"PRAGMA max_page_count = {pages or 1}")

    event.listen(store.database._engine.sync_engine, "connect", limit)


@asynccontextmanager
async def locked(store: Store) -> AsyncIterator[None]:
    """Hold the lock of all edits, as a program does that stopped in the middle of one."""
    holds, ends = asyncio.Event(), asyncio.Event()

    async def act(connection: Any) -> None:
        await connection.execute(update(counters).values(value=counters.c.value + 1))
        holds.set()
        await ends.wait()

    task = asyncio.create_task(store.database.write(act))
    await holds.wait()
    try:
        yield
    finally:
        ends.set()
        await task


async def test_edit_that_waits_too_long_for_another_is_given_up(
    store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rota.store.database.BUSY_SECONDS", 0.2)
    async with open_store(store_url) as other, locked(store):
        with pytest.raises(StoreUnavailable, match=r"locked|in time"):
            await other.database.write(lambda connection: connection.execute(_ONE_MORE), limit=1)
        assert (await other.schedules()).items == ()  # reads do not wait
    assert await store.create(define(), by="ann")


async def test_cancelled_edit_leaves_nothing_and_the_store_goes_on(store: Store) -> None:
    async def act(connection: Any) -> None:
        await connection.execute(_ONE_MORE)
        holds.set()
        await asyncio.Event().wait()

    for _ in range(7):  # more often than there are connections
        holds = asyncio.Event()
        task = asyncio.create_task(store.database.write(act))
        await holds.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (await store.create(define(), by="ann")).revision == 1


_ONE_MORE = update(counters).values(value=counters.c.value + 1)

HOLDER = """
import asyncio, sys
from rota.store import open_store
from rota.store.schedule_edits import refuse_chain
import rota.store.schedule_edits as edits
from tests.integration.store.samples import define
from tests.integration.store.test_runs import fired

async def wait(*_, **__):
    print("inside", flush=True)
    await asyncio.sleep(600)

edits.Edit.record = wait  # the last step of an edit, before its commit

async def main():
    async with open_store(sys.argv[1]) as store:
        await store.create(define("half"), by="ann")

asyncio.run(main())
"""


async def test_process_that_dies_in_an_edit_leaves_nothing_of_it(store: Store, store_url: str) -> None:
    made = await store.create(define(), by="ann")
    with subprocess.Popen([sys.executable, "-c", HOLDER, store_url], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "inside\n"
        process.send_signal(signal.SIGKILL)

    after = await until_written(store, "after")
    assert (await store.schedules()).items == (after, made)
    assert after.revision == made.revision + 1
    assert (await store.verify_audit()).fault == ""


async def until_written(store: Store, name: str) -> Any:
    """Create a schedule. The server may need a moment to see that a client is gone."""
    async with asyncio.timeout(START_SECONDS):
        return await store.create(define(name), by="ann")


EDITOR = """
import asyncio, sys
from rota import StaleVersion
from rota.store import open_store

async def main(url, schedule_id):
    async with open_store(url) as store:
        for _ in range(20):
            while True:
                found = await store.get(schedule_id)
                count = found.definition.payload["count"] + 1
                try:
                    await store.update(
                        schedule_id, {"payload": {"count": count}}, by="x", expected_version=found.version
                    )
                    break
                except StaleVersion:
                    pass

asyncio.run(main(*sys.argv[1:]))
"""


async def test_processes_that_edit_at_once_lose_no_edit(store: Store, store_url: str) -> None:
    made = await store.create(define(payload={"count": 0}), by="ann")
    processes = [subprocess.Popen([sys.executable, "-c", EDITOR, store_url, made.id]) for _ in range(2)]
    codes = [await asyncio.to_thread(process.wait) for process in processes]

    assert codes == [0, 0]
    after = await store.get(made.id)
    assert (after.definition.payload, after.version) == ({"count": 40}, 41)
    assert (await store.verify_audit()).number == 41


@pytest.fixture(params=SERVER_NAMES)
def own_server(request: pytest.FixtureRequest) -> Iterator[DatabaseServer]:
    """A server that a test may kill."""
    shared = request.getfixturevalue(f"{request.param}_server")
    server = type(shared)().start()
    yield server
    server.stop()


async def test_store_goes_on_when_its_server_is_back(own_server: DatabaseServer) -> None:
    async with open_store(own_server.new_database(), migrate=True) as store:
        made = await store.create(define(), by="ann")
        own_server.kill()
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="cannot be reached"):
                await store.changed_since(0)
            with pytest.raises(StoreUnavailable):
                await store.create(define("lost"), by="ann")
        own_server.start()

        assert (await store.changed_since(0)).schedules == (made,)
        assert (await store.create(define("second"), by="ann")).revision == made.revision + 1


async def test_server_that_hangs_is_given_up_and_used_again(own_server: DatabaseServer) -> None:
    async with open_store(own_server.new_database(), migrate=True) as store:
        await store.schedules()  # so that there is a connection
        own_server.freeze()
        try:
            with pytest.raises(StoreUnavailable, match="in time"):
                await store.database.read(lambda connection: connection.execute(text("SELECT 1")), limit=1)
        finally:
            own_server.thaw()
        assert await store.create(define(), by="ann")


async def test_connection_lost_at_the_commit_may_have_been_applied(server: DatabaseServer) -> None:
    async with open_store(server.new_database(), migrate=True) as store:
        which = "connection_id()" if server.scheme == "mysql" else "pg_backend_pid()"

        async def act(connection: Any) -> None:
            await connection.execute(_ONE_MORE)
            number = (await connection.execute(text(f"SELECT {which}"))).scalar()
            end = f"KILL {number}" if server.scheme == "mysql" else f"SELECT pg_terminate_backend({number})"
            await asyncio.to_thread(server.sql, end)

        with pytest.raises(StoreUnavailable, match="may have been made") as caught:
            await store.database.write(act)
        assert caught.value.maybe_applied
        await store.create(define(), by="ann")


async def test_deadlock_is_tried_again(server: DatabaseServer) -> None:
    url = server.new_database()
    async with open_store(url, migrate=True) as store:
        met = asyncio.Barrier(2)
        tries: list[str] = []

        async def act(connection: Any, first: str, second: str) -> None:
            tries.append(first)
            await connection.execute(_ONE_MORE.where(counters.c.name == first))
            if len(tries) <= 2:
                await met.wait()
            await connection.execute(_ONE_MORE.where(counters.c.name == second))

        await asyncio.gather(
            store.database.write(lambda connection: act(connection, "runs", "audit")),
            store.database.write(lambda connection: act(connection, "audit", "runs")),
        )
        assert len(tries) >= 3
        values = "SELECT value FROM rota_counters WHERE name IN ('runs', 'audit')"
        assert server.sql(values, url.rpartition("/")[2]).split() == ["2", "2"]


async def test_file_is_made_where_the_file_system_has_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise PermissionError("links are not supported")

    monkeypatch.setattr("os.link", link)
    async with open_store(f"sqlite:///{tmp_path}/rota.db") as store:
        await store.create(define(), by="ann")
        assert {path.name for path in tmp_path.iterdir()} == {"rota.db", "rota.db-wal", "rota.db-shm"}


def test_new_file_is_readable_by_its_user_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_store(f"sqlite:///{tmp_path}/deep/er/rota.db") as store:
            await store.create(define(), by="ann")
            files = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "deep/er").iterdir()}
            assert set(files.values()) == {0o600}
            assert "rota.db-wal" in files

    mask = os.umask(0o022)
    try:
        asyncio.run(main())
    finally:
        os.umask(mask)


async def test_cancelled_write_does_not_leave_an_sqlite_store_locked(tmp_path: Path) -> None:
    path = tmp_path / "rota.db"

    def lock() -> None:
        with closing(sqlite3.connect(path, timeout=10)) as other:
            other.execute("BEGIN IMMEDIATE")

    async with open_store(f"sqlite:///{path}") as store:
        for steps in range(40):  # so that each statement is cancelled in its turn
            writing = asyncio.create_task(store.record_runs([fired(steps * 3 + part) for part in range(3)]))
            for _ in range(steps):
                await asyncio.sleep(0.0005)
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing
            await asyncio.to_thread(lock)
