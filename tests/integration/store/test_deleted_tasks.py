"""Deleted tasks in the store: kept whole, for a time, in a bounded space."""

from datetime import UTC, datetime, timedelta

import pytest

from rota.errors import StoreRefused
from rota.inspect import TrashedTask
from rota.store import Store

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


async def test_deleted_task_is_read_as_it_was_kept(store: Store) -> None:
    tasks = [deleted("x"), deleted("\udcff" * 300), deleted("x", queue="q" * 300)]
    for task in tasks:
        await store.keep_deleted([task])
    await store.keep_deleted(tasks)
    assert sorted(await store.deleted_tasks(), key=str) == sorted(tasks, key=str)


async def test_deleted_tasks_are_found_by_queue_id_and_deletion(store: Store) -> None:
    long = "q" * 250
    tasks = [
        deleted("a", ago=timedelta(seconds=3)),
        deleted("b", ago=timedelta(seconds=2), deletion="e"),
        deleted("a", ago=timedelta(seconds=1), queue=long + "1"),
        deleted("a", queue=long + "2"),
    ]
    await store.keep_deleted(tasks)
    assert [task.queue for task in await store.deleted_tasks(task_id="a")] == [long + "2", long + "1", "mail"]
    assert await store.deleted_tasks(queue="mail") == [tasks[1], tasks[0]]
    assert await store.deleted_tasks(queue=long + "1") == [tasks[2]]
    assert await store.deleted_tasks(deletion="e") == [tasks[1]]
    assert await store.deleted_tasks(limit=1, skip=1) == [tasks[2]]
    await store.forget_deleted([tasks[0].id, "nothing"])
    assert len(await store.deleted_tasks()) == 3


async def test_expired_tasks_are_not_read_and_the_oldest_make_room(store: Store) -> None:
    old, middle, young = deleted("old", ago=2 * WEEK), deleted("middle", ago=timedelta(hours=1)), deleted("young")
    await store.keep_deleted([old, middle, young], age=3 * WEEK)
    assert await store.deleted_tasks(age=WEEK) == [young, middle]
    assert await store.trim_deleted(age=WEEK, max_bytes=10**6) == 1
    assert await store.deleted_tasks(age=3 * WEEK) == [young, middle]
    await store.keep_deleted([deleted("large", size=20_000)], max_bytes=30_000)
    assert [task.task_id for task in await store.deleted_tasks()] == ["large", "young", "middle"]
    await store.keep_deleted([deleted("larger", size=20_000)], max_bytes=30_000)
    assert [task.task_id for task in await store.deleted_tasks()] == ["larger"]


async def test_tasks_larger_than_the_whole_space_are_refused(store: Store) -> None:
    with pytest.raises(StoreRefused, match="Raise deleted_max_bytes"):
        await store.keep_deleted([deleted("x", size=2000)], max_bytes=1000)
    assert await store.deleted_tasks() == []
