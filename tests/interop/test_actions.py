"""Our actions on tasks of Go, and Go's on tasks in the middle of ours: afterwards both inspectors show the same."""

from collections.abc import AsyncIterator
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from interop.programs import Go, GoRefused, request
from rota.broker import Broker
from rota.errors import RotaError
from rota.inspect import (
    Actions,
    Bulk,
    Cancel,
    Chosen,
    Delete,
    EditPayload,
    FreeLock,
    Inspector,
    InState,
    MoveTo,
    RunNow,
    TaskRef,
)
from rota.inspect.bulk_acts import Archive, BulkAct
from rota.inspect.moving import move
from rota.settings.setting_groups import DatabaseSettings
from rota.store import open_trash
from tests.interop.both_views import assert_they_agree
from tests.interop.raw_queue import RawQueue
from tests.servers.roles import as_role

HOUR = timedelta(hours=1)


@pytest_asyncio.fixture
async def actions(redis_url: str, go: Go, tmp_path: Path) -> AsyncIterator[Actions]:
    """Actions that keep what they delete. After each test with them both inspectors must show the same."""
    trash = open_trash(f"sqlite:///{tmp_path}/rota.db", DatabaseSettings())
    broker = Broker.from_url(as_role(redis_url, "producer"))
    yield Actions(broker, trash=trash)
    await broker.aclose()
    reader = Broker.from_url(as_role(redis_url, "inspector"))
    await assert_they_agree(go, Inspector(reader))
    await reader.aclose()


async def ids(answers: Any) -> list[str]:
    return [answer.id for answer in answers if not isinstance(answer, GoRefused)]


async def seed(go: Go) -> list[str]:
    """Tasks of Go alone, in every state that needs no server."""
    return await ids(
        await go.enqueue_all(
            [
                request("t", b"1"),
                request("t", b"2", unique=HOUR),
                request("t", b"3", process_in=HOUR, headers={"h": "ü"}),
                request("t", b"4", process_in=HOUR, unique=HOUR, retention=HOUR, max_retry=3),
                request("t", b"5", group="g", unique=HOUR),
                request("t", b"6", group="g"),
            ]
        )
    )


async def test_move_and_undo_keep_everything_that_go_wrote(go: Go, actions: Actions, redis: Redis) -> None:
    for task_id in await seed(go):
        before = await go.task(task_id)
        row = await redis.hgetall(f"asynq:{{default}}:t:{task_id}")
        await actions.move("default", task_id, "other", create=True)
        there = await go.task(task_id, "other")
        assert (there.payload, there.state, there.group) == (before.payload, before.state, before.group)
        await actions.move("other", task_id, "default")
        assert await redis.hgetall(f"asynq:{{default}}:t:{task_id}") == row
        await actions.delete("default", task_id)
        await actions.undo("default", task_id)
        assert await redis.hgetall(f"asynq:{{default}}:t:{task_id}") == row
    assert (await go.queue()).counts() == {"pending": 2, "scheduled": 2, "aggregating": 2}
    # The locks are where they were, so Go refuses the same tasks again.
    again = await go.enqueue_all([request("t", b"2", unique=HOUR), request("t", b"4", unique=HOUR)])
    assert [answer.kind for answer in again if isinstance(answer, GoRefused)] == ["duplicate", "duplicate"]


@pytest.mark.parametrize(
    ("act", "counts"),
    [
        (RunNow(), {"pending": 6}),
        (Archive(), {"archived": 6}),
        (Cancel("enough"), {"archived": 6}),
        (Delete(), {}),
        (MoveTo("other", create=True), {}),
    ],
)
async def test_acts_on_many_tasks_of_go(go: Go, actions: Actions, act: BulkAct, counts: dict[str, int]) -> None:
    await seed(go)
    for state, group in (("scheduled", ""), ("aggregating", "g"), ("pending", "")):
        bulk = actions.bulk(act, InState("default", state, group))
        async for _ in actions.batches(bulk):
            pass
        assert bulk.progress.failed == 0
    assert (await go.queue()).counts() == counts


async def done(actions: Actions, act: BulkAct, refs: list[TaskRef]) -> Bulk:
    bulk = actions.bulk(act, Chosen(refs))
    async for _ in actions.batches(bulk):
        pass
    return bulk


async def test_go_sees_the_new_payloads_of_many_and_their_locks(go: Go, actions: Actions) -> None:
    requests = [request("t", b'{"n": %d}' % n, unique=HOUR, process_in=HOUR) for n in range(3)]
    names = await ids(await go.enqueue_all([*requests, request("t", b'{"n": 7}', group="g", unique=HOUR)]))
    for name in names[:2]:
        await go.act("archive", name)
    act = EditPayload(fields={"to": "x"}, run=True)
    bulk = await done(actions, act, [TaskRef("default", name) for name in names])
    assert (bulk.progress.done, bulk.progress.failed) == (4, 0)
    seen = [await go.task(name) for name in names]
    assert [(each.state, each.payload) for each in seen] == [
        ("pending", b'{"n": %d, "to": "x"}' % n) for n in (0, 1, 2, 7)
    ]
    again = await go.enqueue_all([request("t", b'{"n": %d, "to": "x"}' % n, unique=HOUR) for n in (0, 1, 2, 7)])
    assert [answer.kind for answer in again if isinstance(answer, GoRefused)] == ["duplicate"] * 4
    assert len(await ids(await go.enqueue_all(requests))) == 3


async def test_locks_of_many_tasks_of_go_are_freed(go: Go, actions: Actions) -> None:
    """Also those of grouped tasks, whose lock Asynq keeps in the message only."""
    requests = [request("t", b"1", unique=HOUR), request("t", b"2", group="g", unique=HOUR), request("t", b"3")]
    refs = [TaskRef("default", name) for name in await ids(await go.enqueue_all(requests))]
    held = await done(actions, FreeLock(), refs)
    assert dict(held.progress.reasons) == {"TaskStateError": 2}
    freed = await done(actions, FreeLock(force=True), refs)
    assert [freed.outcomes[ref] for ref in refs] == ["done", "done", "none"]
    again = [TaskRef("default", name) for name in await ids(await go.enqueue_all(requests))]
    assert len(again) == 3
    refused = await done(actions, FreeLock(force=True), refs)
    assert dict(refused.progress.reasons) == {"DuplicateTask": 2}


async def half_moved(actions: Actions, ref: TaskRef, steps: int = 1) -> None:
    moving = move(actions._keys, [ref], "other")
    answer: Any = None
    for _ in range(steps):
        answer = await actions._requests._take(moving.send(answer), None)
    moving.close()


async def test_go_shows_a_half_moved_task_with_its_note_in_the_archive(go: Go, actions: Actions) -> None:
    task = await go.enqueue("t", b"1", process_in=HOUR)
    await half_moved(actions, TaskRef("default", task.id))
    seen = await go.task(task.id)
    assert (seen.state, "being moved to the queue 'other'" in seen.last_error) == ("archived", True)
    async with go.server() as server:
        assert server.all(event="start") == []
    await actions.move("default", task.id, "other", create=True)
    assert (await go.task(task.id, "other")).state == "scheduled"


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("do", ["run", "delete", "archive"])
async def test_go_acts_on_a_task_in_the_middle_of_a_move(go: Go, actions: Actions, do: str, steps: int) -> None:
    """Go's user wins: the task is what that act made it, and the move can still be ended."""
    task = await go.enqueue("t", b"1", process_in=HOUR)
    await half_moved(actions, TaskRef("default", task.id), steps)
    with pytest.raises(GoRefused) if do == "archive" else nullcontext():
        await go.act(do, task.id)
    with pytest.raises(RotaError) if (do, steps) in [("delete", 1), ("delete", 2), ("run", 2)] else nullcontext():
        await actions.move("default", task.id, "other", create=True)
    counts = (await go.queue()).counts()
    moved = 0 if (do, steps) == ("delete", 1) else 1
    assert len(await all_of(go, "other")) == moved
    assert counts == ({"pending": 1} if (do, steps) == ("run", 2) else {})


async def all_of(go: Go, queue: str) -> list[str]:
    seen = (await go.inspect()).queues.get(queue)
    return [] if seen is None else [task_id for state in seen.tasks for task_id in seen.ids(state)]


@pytest.mark.parametrize("act", ["requeue", "free_lock"])
async def test_stuck_tasks_and_locks_of_go(go: Go, actions: Actions, redis: Redis, act: str) -> None:
    queue = RawQueue(redis)
    task = await go.enqueue("t", b"1", unique=HOUR)
    if act == "requeue":
        await redis.rpoplpush(queue.keys.pending, queue.keys.active)
        await redis.hset(queue.keys.task(task.id), "state", "active")
        await redis.zadd(queue.keys.lease, {task.id: int(await server_time(redis)) - 40})
        await actions.requeue("default", task.id)
        assert (await go.task(task.id)).state == "pending"
    else:
        await go.act("archive", task.id)
        assert await actions.free_lock("default", await actions.unique_lock("default", task.id)) is True
        assert (await go.enqueue("t", b"1", unique=HOUR)).state == "pending"


async def server_time(redis: Redis) -> float:
    return float((await redis.time())[0])
