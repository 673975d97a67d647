"""Deleted tasks in the store: kept whole, for a time, in a bounded space."""

from datetime import UTC, datetime, timedelta

import pytest

from rota.errors import StoreRefused
from rota.inspect import TrashedTask
from rota.settings.setting_groups import DatabaseSettings
from rota.store import Store
from rota.store.bounded_trash import BoundedTrash

WEEK = timedelta(days=7)


def deleted(task_id: str, *, deletion: str = "d", queue: str = "mail", ago: timedelta = timedelta(0), size: int = 0):
    return TrashedTask(
        id=f"mark:{queue}:{task_id}",
        deletion=deletion,
        queue=queue,
        task_id=task_id,
        type="t",
        state="retry",
        score="1700000000.5",
        lock_ms="",
        deleted_at=datetime.now(UTC) - ago,
        deleted_by="anna",
        fields={"msg": bytes(range(256)) + b"x" * size, "state": b"retry", "\udcff": b"odd"},
    )


def bounded(store: Store, max_bytes: int = 10**9, age: timedelta = WEEK) -> BoundedTrash:
    """What keeps the tasks of one deletion."""
    return BoundedTrash(store, DatabaseSettings(deleted_max_bytes=max_bytes, deleted_age=age))


async def test_deleted_task_is_read_as_it_was_kept(store: Store) -> None:
    tasks = [deleted("x"), deleted("\udcff" * 300), deleted("x", queue="q" * 300)]
    for task in tasks:
        await bounded(store).keep_deleted([task])
    await bounded(store).keep_deleted([*tasks, tasks[0]])
    assert sorted(await store.deleted_tasks(), key=str) == sorted(tasks, key=str)


async def test_deleted_tasks_are_found_by_queue_id_and_deletion(store: Store) -> None:
    long = "q" * 250
    tasks = [
        deleted("a", ago=timedelta(seconds=3)),
        deleted("b", ago=timedelta(seconds=2), deletion="e"),
        deleted("a", ago=timedelta(seconds=1), queue=long + "1"),
        deleted("a", queue=long + "2"),
    ]
    await bounded(store).keep_deleted(tasks)
    assert [task.queue for task in await store.deleted_tasks(task_id="a")] == [long + "2", long + "1", "mail"]
    assert await store.deleted_tasks(queue="mail") == [tasks[1], tasks[0]]
    assert await store.deleted_tasks(queue=long + "1") == [tasks[2]]
    assert await store.deleted_tasks(deletion="e") == [tasks[1]]
    assert await store.deleted_tasks(limit=1, skip=1) == [tasks[2]]
    await store.forget_deleted([tasks[0].id, "nothing"])
    assert len(await store.deleted_tasks()) == 3


async def test_expired_tasks_are_not_read_and_the_oldest_make_room(store: Store) -> None:
    old, middle, young = deleted("old", ago=2 * WEEK), deleted("middle", ago=timedelta(hours=1)), deleted("young")
    await bounded(store).keep_deleted([old, middle, young])
    assert await store.deleted_tasks(age=WEEK) == [young, middle]
    assert await store.trim_deleted(age=WEEK, max_bytes=10**6) == 1
    assert await store.deleted_tasks(age=3 * WEEK) == [young, middle]
    await bounded(store, 30_000).keep_deleted([deleted("large", size=20_000, deletion="e")])
    assert [task.task_id for task in await store.deleted_tasks()] == ["large", "young", "middle"]
    await bounded(store, 30_000).keep_deleted([deleted("larger", size=20_000, deletion="f")])
    assert [task.task_id for task in await store.deleted_tasks()] == ["larger"]


async def test_thousands_of_old_tasks_make_room_in_bounded_steps(store: Store) -> None:
    many = [deleted(f"old{n}", ago=timedelta(hours=1)) for n in range(2500)]
    for first in range(0, len(many), 1000):
        await bounded(store).keep_deleted(many[first : first + 1000])
    held = await store.held_deleted()
    assert held.number == 2500
    new = deleted("new", size=1000, deletion="e")
    await bounded(store, held.size // 5).keep_deleted([new])
    left = await store.held_deleted()
    assert left.size <= held.size // 5 < left.size + 2 * held.size // 2500
    assert (await store.deleted_tasks(limit=1)) == [new]


async def test_a_deletion_does_not_make_room_for_itself(store: Store) -> None:
    """What it cannot keep is refused, and what it has kept stays."""
    trash = bounded(store, 30_000)
    await bounded(store).keep_deleted([deleted("before", deletion="c", ago=timedelta(hours=1))])
    await trash.keep_deleted([deleted("first", size=10_000)])
    with pytest.raises(StoreRefused, match="The deletion was stopped: 1 deleted task of it"):
        await trash.keep_deleted([deleted("second", size=20_000)])
    with pytest.raises(StoreRefused, match="was stopped"):  # also if the store was opened again meanwhile
        await bounded(store, 30_000).keep_deleted([deleted("second", size=20_000)])
    assert [task.task_id for task in await store.deleted_tasks()] == ["first", "before"]
    assert await trash.settle_deleted() == 0


async def test_a_deletion_that_will_be_too_large_is_refused_before_it_begins(store: Store) -> None:
    tasks = [deleted(str(n), size=200) for n in range(10)]
    with pytest.raises(StoreRefused, match=r"Nothing was deleted: 1,000 tasks of about .* Raise deleted_max_bytes"):
        await bounded(store, 300_000).keep_deleted(tasks, more=990)
    assert await store.deleted_tasks() == []
    await bounded(store, 300_000).keep_deleted(tasks, more=90)


async def test_deletions_that_push_out_tasks_of_this_one_are_told_at_its_end(store: Store) -> None:
    trash = bounded(store, 30_000)
    await trash.keep_deleted([deleted("a", size=10_000, ago=timedelta(hours=1)), deleted("b")])
    await bounded(store, 30_000).keep_deleted([deleted("c", size=20_000, deletion="e")])
    assert await trash.settle_deleted() == 1
    assert sorted(task.task_id for task in await store.deleted_tasks()) == ["b", "c"]


async def test_tasks_larger_than_the_whole_space_are_refused(store: Store) -> None:
    with pytest.raises(StoreRefused, match="Raise deleted_max_bytes"):
        await bounded(store, 1000).keep_deleted([deleted("x", size=2000)])
    assert await store.deleted_tasks() == []
