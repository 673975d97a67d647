"""Free the unique locks of many tasks: those of ended tasks, by force those that the tasks hold, never another's."""

from typing import Any

from rota.client import Client
from rota.inspect import Actions, Archive, Chosen, FreeLock, InState, TaskRef
from rota.inspect.moving import move
from tests.integration.client.conftest import Desk, plan
from tests.integration.inspect.many import done, fill, ref_of


async def test_locks_of_tasks_that_have_ended_are_freed_and_the_others_with_force(
    client: Client, actions: Actions, desk: Desk
) -> None:
    ended = await fill(client, 1100, unique="1h")
    await done(actions, actions.bulk(Archive(), InState("default", "pending")))
    held = [ref_of(await client.enqueue(plan(b"held%d" % n, unique="1h"))) for n in range(3)]
    plain = await fill(client, 2)
    bulk, told = actions.bulk(FreeLock(), Chosen([*ended, *held, *plain])), dict[TaskRef, Any]()
    async for _ in actions.batches(bulk):
        told.update(bulk.outcomes)
    assert (bulk.progress.done, bulk.progress.same, dict(bulk.progress.reasons)) == (1102, 2, {"TaskStateError": 3})
    assert {told[ref] for ref in ended} == {"done"}
    assert {told[ref] for ref in plain} == {"none"}
    assert "holds it and is pending" in str(told[held[0]])
    assert len(await desk.locks()) == 3
    forced = await done(actions, actions.bulk(FreeLock(force=True), InState("default", "pending")))
    assert (forced.done, forced.same, await desk.locks()) == (5, 2, [])
    again = await done(actions, actions.bulk(FreeLock(force=True), InState("default", "archived")))
    assert (again.done, again.same) == (1100, 1100)


async def test_lock_that_another_task_holds_is_not_freed_by_force(client: Client, actions: Actions, desk: Desk) -> None:
    """So an act that is done again frees no lock that was taken since."""
    first = await client.enqueue(plan(unique="1h", delay="1h"))
    assert (await done(actions, actions.bulk(FreeLock(force=True), Chosen([ref_of(first)])))).done == 1
    second = await client.enqueue(plan(unique="1h"))
    assert second.created
    progress = await done(actions, actions.bulk(FreeLock(force=True), Chosen([ref_of(first)])))
    assert (progress.failed, dict(progress.reasons)) == (1, {"DuplicateTask": 1})
    assert f"task {second.id} holds it and is pending" in str(progress.failures[0].error)
    assert await desk.holder(second.id) == second.id


async def test_lock_left_behind_and_a_foreign_name_are_told_apart(client: Client, actions: Actions, desk: Desk) -> None:
    job = await client.enqueue(plan(unique="1h"))
    [lock] = await desk.locks()
    admin = desk.broker.admin
    await admin.execute("SET", lock, "gone")
    assert await actions.free_lock_of("default", job.id) is True
    assert await actions.free_lock_of("default", job.id) is False
    await admin.execute("HSET", desk.keys.task(job.id), "unique_key", "asynq:{other}:unique:t:x")
    assert await actions.free_lock_of("default", job.id) is False
    await admin.execute("HSET", desk.keys.task(job.id), "unique_key", lock)
    await admin.execute("LPUSH", lock, "of another program")
    progress = await done(
        actions, actions.bulk(FreeLock(), Chosen([ref_of(job), ref_of(job), TaskRef("default", "gone")]))
    )
    assert dict(progress.reasons) == {"BrokerRefused": 1, "TaskNotFound": 1}
    await admin.execute("DEL", lock)


async def test_lock_of_a_task_on_its_way_elsewhere_is_held(client: Client, actions: Actions, desk: Desk) -> None:
    job = await client.enqueue(plan(unique="1h"))
    act = move(actions._keys, [ref_of(job)], "there")
    await actions._requests._take(act.send(None), None)
    act.close()
    assert (await done(actions, actions.bulk(FreeLock(), Chosen([ref_of(job)])))).failed == 1
    await actions.move("default", job.id, "there", create=True)
