"""Acts that delete many tasks and keep them for undo: what is kept, what is refused, and what faults leave behind."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from rota.broker import Broker, BrokerOptions, SyncBroker
from rota.broker.url import parse
from rota.client import Client
from rota.errors import RotaError, StoreError, StoreRefused, StoreUnavailable
from rota.inspect import Actions, Chosen, Delete, InState, SyncActions, TaskRef, kept_deletion
from rota.inspect.trash import OpenTrash, Trash
from rota.settings.setting_groups import DatabaseSettings
from rota.store import open_store, open_trash
from rota.store.bounded_trash import BoundedTrash
from tests.integration.client.conftest import Desk, plan
from tests.integration.client.cut import LosesReplies
from tests.integration.inspect.test_bulk import done, fill
from tests.integration.store.test_database_faults import limit_pages
from tests.servers.roles import as_role

SECONDS = 60


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch has 1,000 tasks in four parts, so that few tasks make several batches."""
    monkeypatch.setattr(kept_deletion, "PART", 250)
    monkeypatch.setattr(kept_deletion, "PARTS", 4)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The URL of a store."""
    return f"sqlite:///{tmp_path}/rota.db"


def keeping(broker: Any, url: str, **settings: Any) -> Actions:
    """Actions that keep deleted tasks."""
    return Actions(broker, trash=open_trash(url, DatabaseSettings(**settings)))


class Counting:
    """A trash that counts how often it is opened and closed, and that fails from a batch on."""

    def __init__(self, trash: OpenTrash, fails_at: int = 10**6) -> None:
        self.opened = self.closed = self.batches = 0
        self._trash, self._fails_at = trash, fails_at

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Trash]:
        self.opened += 1
        async with self._trash() as opened:
            keep = opened.keep_deleted

            async def keep_deleted(*args: Any, **words: Any) -> None:
                self.batches += 1
                if self.batches >= self._fails_at:
                    raise StoreUnavailable("The store is away.")
                await keep(*args, **words)

            opened.keep_deleted = keep_deleted  # type: ignore[method-assign]
            yield opened
        self.closed += 1


async def test_store_is_opened_once_for_all_batches(client: Client, desk: Desk, url: str) -> None:
    trash = Counting(open_trash(url, DatabaseSettings()))
    actions = Actions(desk.broker, trash=trash)
    await fill(client, 2100)
    progress = await done(actions, actions.bulk(Delete(), InState("default", "pending")))
    assert (progress.done, trash.batches, trash.opened, trash.closed) == (2100, 9, 1, 1)
    assert await actions.undo_all(progress.deletion) == ["done"] * 2100
    assert (trash.opened, trash.closed) == (2, 2)
    bulk = actions.bulk(Delete(), InState("default", "pending"))
    batches = actions.batches(bulk)
    await anext(batches)
    await batches.aclose()
    assert (bulk.progress.done, trash.opened, trash.closed) == (1000, 3, 3)


async def test_interrupted_undo_closes_the_store(client: Client, desk: Desk, url: str) -> None:
    trash = Counting(open_trash(url, DatabaseSettings()))
    actions = Actions(desk.broker, trash=trash)
    await fill(client, 1500)
    progress = await done(actions, actions.bulk(Delete(), InState("default", "pending")))
    undoing = asyncio.create_task(actions.undo_all(progress.deletion))
    while trash.opened < 2:
        await asyncio.sleep(0)
    undoing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await undoing
    await actions.undo_all(progress.deletion)
    assert len(await desk.ids("pending")) == 1500


def test_blocking_code_opens_the_store_once(redis_url: str, url: str) -> None:
    from rota.client import SyncClient

    with SyncBroker.from_url(redis_url) as broker:
        SyncClient(broker).enqueue_many([plan(delay="1h") for _ in range(2100)])
        trash = Counting(open_trash(url, DatabaseSettings()))
        actions = SyncActions(broker, trash=trash)
        bulk = actions.bulk(Delete(), InState("default", "scheduled"))
        assert [progress.seen for progress in actions.batches(bulk)] == [1000, 2000, 2100, 2100]
        assert (trash.opened, trash.closed) == (1, 1)
        assert actions.undo_all(bulk.progress.deletion) == ["done"] * 2100
        assert (trash.opened, trash.closed) == (2, 2)


async def test_deletion_without_undo_keeps_nothing(client: Client, desk: Desk, url: str) -> None:
    await fill(client, 3)
    actions = keeping(desk.broker, url, deleted_max_bytes=1)
    progress = await done(actions, actions.bulk(Delete(undo=False), InState("default", "pending")))
    assert (progress.done, progress.deletion, await actions.deleted()) == (3, "", [])


class AfterTheCommit:
    """A trash that keeps the tasks of a deletion, and then fails."""

    def __init__(self, trash: OpenTrash, *, at: str, error: StoreError) -> None:
        self._trash, self._at, self._error = trash, at, error

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Trash]:
        async with self._trash() as opened:
            assert isinstance(opened, BoundedTrash)
            owner: Any = opened if self._at == "keep_deleted" else opened._store
            real = getattr(owner, self._at)

            async def fails(*args: Any, **words: Any) -> None:
                if self._at == "keep_deleted":
                    await real(*args, **words)
                raise self._error

            setattr(owner, self._at, fails)
            yield opened


async def test_tasks_whose_commit_may_have_been_made_are_not_put_back(client: Client, desk: Desk, url: str) -> None:
    lost = StoreUnavailable("The answer to the commit was lost.", maybe_applied=True)
    trash = AfterTheCommit(open_trash(url, DatabaseSettings()), at="keep_deleted", error=lost)
    [ref] = await fill(client, 1)
    with pytest.raises(RotaError, match="is in the archive with a note, because deleting it was cut off"):
        await done(Actions(desk.broker, trash=trash), Actions(desk.broker, trash=trash).bulk(Delete(), Chosen([ref])))
    assert await desk.ids("pending") == []  # no worker runs it, and an undo puts it back once
    actions = keeping(desk.broker, url)
    await actions.undo("default", ref.id)
    assert (await desk.ids("pending"), await actions.deleted()) == ([ref.id], [])


async def test_tasks_that_are_stored_are_deleted_although_older_ones_make_no_room(
    client: Client, desk: Desk, url: str
) -> None:
    first, second = await fill(client, 2)
    await keeping(desk.broker, url).delete("default", first.id)
    fails = AfterTheCommit(
        open_trash(url, DatabaseSettings(deleted_max_bytes=600)), at="remove_oldest", error=StoreUnavailable("Locked.")
    )
    actions = Actions(desk.broker, trash=fails)
    progress = await done(actions, actions.bulk(Delete(), Chosen([second])))
    assert (progress.done, progress.failed, await desk.ids("pending")) == (1, 0, [])


# A deletion that is larger than the space


async def test_deletion_that_cannot_be_kept_is_refused_before_anything_is_deleted(
    client: Client, desk: Desk, url: str
) -> None:
    refs = await fill(client, 3000)
    order = await desk.ids("pending")
    actions = keeping(desk.broker, url, deleted_max_bytes=1_000_000)  # enough for the first batch
    bulk = actions.bulk(Delete(), InState("default", "pending"))
    with pytest.raises(StoreRefused, match=r"Nothing was deleted: 3,000 tasks of about .* Raise deleted_max_bytes"):
        await done(actions, bulk)
    assert (bulk.progress.done, bulk.progress.failed) == (0, 1000)
    assert (len(refs), await desk.ids("pending"), await actions.deleted()) == (3000, order, [])


async def test_deletion_stops_before_it_deletes_what_cannot_be_kept(client: Client, desk: Desk, url: str) -> None:
    """The tasks grow, so the first ones do not tell how large all are."""
    await fill(client, 1000, delay="1h")
    large = [plan(b"x" * 4000, delay="2h") for _ in range(1500)]
    await client.enqueue_many(large)
    before = set(await desk.ids("scheduled"))
    actions = keeping(desk.broker, url, deleted_max_bytes=2_000_000)
    bulk = actions.bulk(Delete(), InState("default", "scheduled"))
    with pytest.raises(StoreRefused, match="The deletion was stopped: 1,250 deleted tasks of it"):
        await done(actions, bulk)
    assert (bulk.progress.done, bulk.progress.failed, bulk.progress.unkept) == (1250, 750, 0)
    assert len(await desk.ids("scheduled")) == 1250
    assert await actions.undo_all(bulk.progress.deletion) == ["done"] * 1250
    assert set(await desk.ids("scheduled")) == before


async def test_deletion_tells_what_others_have_pushed_out(client: Client, desk: Desk, url: str) -> None:
    await fill(client, 2000)
    actions = keeping(desk.broker, url)
    bulk = actions.bulk(Delete(), InState("default", "pending"))
    async for progress in actions.batches(bulk):
        if progress.seen == 2000 and not progress.ended:
            async with open_store(url) as store:
                await store.remove_oldest((await store.held_deleted()).size // 2)
    assert 900 < bulk.progress.unkept < 1100
    assert len(await actions.undo_all(bulk.progress.deletion)) == 2000 - bulk.progress.unkept


# Faults


@pytest.mark.parametrize("part", [5, 6, 8])
async def test_store_that_goes_away_in_the_middle_loses_nothing(
    client: Client, desk: Desk, url: str, part: int
) -> None:
    stored = (part - 1) * 250
    await fill(client, 2500)
    order = await desk.ids("pending")
    trash = Counting(open_trash(url, DatabaseSettings()), fails_at=part)
    actions = Actions(desk.broker, trash=trash)
    bulk = actions.bulk(Delete(), InState("default", "pending"))
    with pytest.raises(StoreUnavailable):
        await done(actions, bulk)
    assert (bulk.progress.done, bulk.progress.failed, dict(bulk.progress.reasons)) == (
        stored,
        2000 - stored,
        {"StoreUnavailable": 2000 - stored},
    )
    assert await desk.ids("pending") == order[: 2500 - stored]
    assert await actions.undo_all(bulk.progress.deletion) == ["done"] * stored
    assert sorted(await desk.ids("pending")) == sorted(order)


@pytest.mark.slow
async def test_database_that_ends_all_connections_loses_nothing(
    client: Client, desk: Desk, postgres_server: Any
) -> None:
    url = postgres_server.new_database()
    name = urlsplit(url).path.lstrip("/")
    async with open_store(url, migrate=True):
        pass
    await fill(client, 2500)
    order = await desk.ids("pending")
    actions = keeping(desk.broker, url)
    bulk = actions.bulk(Delete(), InState("default", "pending"))
    batches = actions.batches(bulk)
    await anext(batches)
    postgres_server.sql(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    postgres_server.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    with pytest.raises(StoreError):
        await anext(batches)
    assert (bulk.progress.done, await desk.ids("pending")) == (1000, order[:1500])
    postgres_server.sql(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    assert await actions.undo_all(bulk.progress.deletion) == ["done"] * 1000


async def test_full_disk_leaves_the_tasks_where_they_are(client: Client, desk: Desk, url: str) -> None:
    async with open_store(url):
        pass

    @asynccontextmanager
    async def full() -> AsyncIterator[Trash]:
        async with open_store(url) as store:
            limit_pages(store, 500)
            await store.database.aclose()
            yield BoundedTrash(store, DatabaseSettings())

    await fill(client, 4000)
    order = await desk.ids("pending")
    actions = Actions(desk.broker, trash=full)
    bulk = actions.bulk(Delete(), InState("default", "pending"))
    with pytest.raises(StoreUnavailable, match="no room left"):
        await done(actions, bulk)
    assert 0 < bulk.progress.done < 4000
    assert await desk.ids("pending") == order[: 4000 - bulk.progress.done]
    actions = keeping(desk.broker, url)
    assert await actions.undo_all(bulk.progress.deletion) == ["done"] * bulk.progress.done


@pytest.mark.parametrize("losses", [1, 2, 3])
async def test_lost_replies_lose_no_task(client: Client, desk: Desk, any_url: str, url: str, losses: int) -> None:
    refs = await fill(client, 300, delay="2h")
    before = {ref.id: await desk.hash(ref.id) for ref in refs}
    address = parse(as_role(any_url, "producer"))
    options = BrokerOptions(username=address.username, password=address.password)
    async with (
        LosesReplies(urlsplit(any_url).path) as proxy,
        Broker.from_url(f"{proxy.url}/{address.database}", options=options) as broker,
    ):
        actions = keeping(broker, url)
        await done(actions, actions.bulk(Delete(), Chosen(await fill(client, 1, queue="warm"))))
        proxy.losses = losses
        progress = await done(actions, actions.bulk(Delete(), Chosen(refs)))
        assert (progress.done, progress.failed, proxy.lost > 0) == (300, 0, True)
        proxy.losses = losses
        outcomes = await actions.undo_all(progress.deletion)
    assert (len(outcomes), [each for each in outcomes if isinstance(each, RotaError)]) == (300, [])
    assert {ref.id: await desk.hash(ref.id) for ref in refs} == before
    assert len(await desk.ids("scheduled")) == 300


KILLED = """
import os, signal, sys
from rota.broker import SyncBroker
from rota.inspect import Delete, InState, SyncActions, kept_deletion
from rota.settings.setting_groups import DatabaseSettings
from rota.store import open_trash

url, store, step = sys.argv[1:]
kept_deletion.PART, kept_deletion.PARTS = 250, 4
once = getattr(kept_deletion, step) if step != "keep" else kept_deletion.KeptDeletion._keep
calls = 0

def dies(*args, **words):  # the second time, after the step
    global calls
    calls += 1
    result = yield from once(*args, **words)
    if calls == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return result

if step == "keep":
    kept_deletion.KeptDeletion._keep = dies
else:
    setattr(kept_deletion, step, dies)
with SyncBroker.from_url(url) as broker:
    actions = SyncActions(broker, trash=open_trash(store, DatabaseSettings()))
    bulk = actions.bulk(Delete(), InState("default", "scheduled"))
    print(bulk.progress.deletion, flush=True)
    for _ in actions.batches(bulk):
        pass
"""


@pytest.mark.parametrize(("step", "left", "taken"), [("take", 750, 500), ("keep", 500, 500), ("drop", 250, 500)])
async def test_process_that_is_killed_in_the_middle_loses_no_task(
    client: Client, desk: Desk, any_url: str, url: str, step: str, left: int, taken: int
) -> None:
    refs = await fill(client, 1250, delay="1h")
    before = {ref.id: await desk.hash(ref.id) for ref in refs}
    dying = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", KILLED, any_url, url, step],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=dict(os.environ),
    )
    assert (dying.returncode, dying.stderr) == (-signal.SIGKILL, "")
    first = dying.stdout.split()[0]
    aside = await desk.ids("archived")
    assert (len(await desk.ids("scheduled")), len(aside)) == (left, taken)
    actions = keeping(desk.broker, url)
    again = await done(actions, actions.bulk(Delete(), Chosen([TaskRef("default", each) for each in aside])))
    assert again.failed == 0
    outcomes = [*await actions.undo_all(first), *await actions.undo_all(again.deletion)]
    assert [each for each in outcomes if isinstance(each, RotaError)] == []
    assert {ref.id: await desk.hash(ref.id) for ref in refs} == before
    assert (len(await desk.ids("scheduled")), await desk.ids("archived"), await actions.deleted()) == (1250, [], [])


async def test_copies_of_a_cut_off_deletion_put_its_tasks_back(
    client: Client, desk: Desk, any_url: str, url: str
) -> None:
    """The second part was stored and not deleted: the undo of the deletion ends that too. The third one is aside."""
    refs = await fill(client, 1250, delay="1h")
    before = {ref.id: await desk.hash(ref.id) for ref in refs}
    dying = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", KILLED, any_url, url, "keep"], capture_output=True, timeout=SECONDS
    )
    actions = keeping(desk.broker, url)
    outcomes = await actions.undo_all(dying.stdout.decode().split()[0])
    assert (len(outcomes), [each for each in outcomes if isinstance(each, RotaError)]) == (500, [])
    aside = await desk.ids("archived")
    again = await done(actions, actions.bulk(Delete(), Chosen([TaskRef("default", each) for each in aside])))
    assert (len(aside), await actions.undo_all(again.deletion)) == (250, ["done"] * 250)
    assert {ref.id: await desk.hash(ref.id) for ref in refs} == before
    assert (len(await desk.ids("scheduled")), await desk.ids("archived")) == (1250, [])


async def test_locked_store_is_waited_for(client: Client, desk: Desk, url: str) -> None:
    await fill(client, 10)
    actions = keeping(desk.broker, url)
    await done(actions, actions.bulk(Delete(), Chosen(await fill(client, 1, queue="warm"))))
    other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    deleting = asyncio.create_task(done(actions, actions.bulk(Delete(), InState("default", "pending"))))
    while len(await desk.ids("archived")) < 10:  # they are set aside, and the store is next
        await asyncio.sleep(0)
    assert not deleting.done()
    other.execute("ROLLBACK")
    assert (await deleting).done == 10
    other.close()
