"""Actions that need more than one request, on one task: a move, a stuck task, a lock, a checked payload, an undo."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rota.broker import Broker
from rota.client import Client
from rota.errors import (
    ConfigError,
    DuplicateTask,
    OptionError,
    PayloadError,
    QueueNotFound,
    QueuePaused,
    StoreRefused,
    TaskIdConflict,
    TaskNotFound,
    TaskStateError,
)
from rota.inspect import Actions, TaskRef
from rota.inspect.kept_deletion import delete_kept
from rota.inspect.moving import move
from rota.settings.setting_groups import DatabaseSettings
from rota.store import open_trash
from rota.tasks.policy import Unique
from rota.tasks.type_record import TypeRecord
from rota.wire.keys import own_unique_key, unique_key
from rota.wire.message import unpack
from rota.wire.server_record import RunningTask, ServerState, beat
from tests.integration.client.conftest import Desk, plan
from tests.integration.inspect.many import publish_types
from tests.servers.overseen import Overseen
from tests.servers.roles import as_role

STATES = ["pending", "scheduled", "aggregating", "retry", "archived", "completed"]
KEPT = plan(b'{"a":1}', retention="1h", max_retry=7, headers={"h": "w"}, unique="10m", timeout="9s")


@pytest.fixture
async def keeping(any_url: str, tmp_path: Path) -> AsyncIterator[Actions]:
    trash = open_trash(f"sqlite:///{tmp_path}/rota.db", DatabaseSettings())
    async with Broker.from_url(as_role(any_url, "producer")) as broker:
        yield Actions(broker, trash=trash, by="anna")


@pytest.fixture(params=["at once", "by steps"])
def mover(actions: Actions, request: pytest.FixtureRequest) -> Actions:
    """Moves in one step, as on one server, and in the steps of a Cluster, which moves by them either way."""
    if request.param == "by steps":
        actions._move = move
    return actions


@pytest.fixture
def there(broker: Overseen) -> Desk:
    return Desk(broker, "there")


async def where(desk: Desk, task_id: str) -> list[str]:
    """In which lists and sets of a queue a task is."""
    return [
        place for place in (*STATES, "active", "g:g") if place != "aggregating" and task_id in await desk.ids(place)
    ]


# A move


@pytest.mark.parametrize("state", STATES)
async def test_move_takes_everything_of_a_task_along(
    client: Client, mover: Actions, desk: Desk, there: Desk, state: str
) -> None:
    job = await desk.bring(client, state, KEPT)
    place = "g:g" if state == "aggregating" else state
    before, life = await desk.hash(job.id), await desk.life_ms(job.id) if await desk.locks() else 0
    score = None if state == "pending" else await desk.score(place, job.id)
    await mover.move("default", job.id, "there", create=True)
    after = await there.hash(job.id)
    old, new = await message_of(before), await there.message(job.id)
    assert (new.queue, new.unique_key) == ("there", old.unique_key.replace("{default}", "{there}"))
    new.queue, new.unique_key = old.queue, old.unique_key
    assert new == old
    renamed = {"msg": b"", "unique_key": b""}
    assert {**after, **renamed} == {**before, **renamed}
    assert (await where(there, job.id), await where(desk, job.id), await desk.hash(job.id)) == ([place], [], {})
    assert score is None or await there.score(place, job.id) == score
    assert (await there.groups(), await desk.groups()) == ({"g"} if state == "aggregating" else set(), set())
    assert await desk.locks() == []
    if life:
        assert await there.holder(job.id) == job.id
        assert life - 60_000 < await there.life_ms(job.id) <= life
    marks = await desk.broker.admin.execute("KEYS", "rota:*")
    assert len(marks) == (mover._move is move)
    for mark in marks:
        assert 0 < await desk.broker.admin.execute("TTL", mark) <= 600


async def message_of(row: dict[str, bytes]) -> Any:
    return unpack(row["msg"])


async def test_move_to_a_queue_that_does_not_exist_is_refused_before_anything_is_written(
    client: Client, mover: Actions, desk: Desk
) -> None:
    job = await client.enqueue(plan())
    with pytest.raises(QueueNotFound, match="no queue 'ther'"):
        await mover.move("default", job.id, "ther")
    with pytest.raises(OptionError, match="because it is there"):
        await mover.move("default", job.id, "default")
    assert await where(desk, job.id) == ["pending"]


@pytest.mark.parametrize("state", STATES)
async def test_task_stays_as_it_was_if_its_id_is_taken_there(
    client: Client, mover: Actions, desk: Desk, state: str
) -> None:
    await client.enqueue(plan(queue="there", task_id="x"))
    job = await desk.bring(client, state, KEPT.updated(task_id="x"))
    before, places = await desk.hash(job.id), await where(desk, job.id)
    with pytest.raises(TaskIdConflict, match="was left as it was"):
        await mover.move("default", "x", "there")
    assert (await desk.hash(job.id), await where(desk, job.id)) == (before, places)


async def test_task_stays_as_it_was_if_its_lock_is_held_there(client: Client, mover: Actions, desk: Desk) -> None:
    holder = await client.enqueue(plan(queue="there", unique="10m"))
    job = await client.enqueue(plan(unique="10m", delay="1h"))
    before = await desk.hash(job.id)
    with pytest.raises(DuplicateTask) as caught:
        await mover.move("default", job.id, "there")
    assert caught.value.task_id == holder.id
    assert (await desk.hash(job.id), await where(desk, job.id)) == (before, ["scheduled"])
    assert await desk.holder(job.id) == job.id


async def test_task_stays_as_it_was_if_the_queue_refuses_producers(
    client: Client, mover: Actions, desk: Desk, there: Desk
) -> None:
    job = await client.enqueue(plan(delay="1h"))
    before = await desk.hash(job.id)
    await client.enqueue(plan(queue="there"))
    await mover.pause("there", "producers", reason="full", by="anna")
    with pytest.raises(QueuePaused, match="full"):
        await mover.move("default", job.id, "there")
    assert (await desk.hash(job.id), await where(desk, job.id)) == (before, ["scheduled"])
    await mover.resume("there")
    await mover.move("default", job.id, "there")
    assert await where(there, job.id) == ["scheduled"]


@pytest.mark.parametrize("scope", ["ttl", "queued", "running"])
async def test_lock_is_held_while_its_task_is_on_its_way(
    client: Client, actions: Actions, desk: Desk, scope: Any
) -> None:
    """Another task with the same lock cannot slip in between the steps."""
    unique = Unique("10m") if scope == "ttl" else Unique(scope=scope)
    job = await client.enqueue(plan(unique=unique))
    await half_moved(actions, TaskRef("default", job.id), steps=1)
    with pytest.raises(TaskStateError, match="holds it"):
        await actions.free_lock("default", await actions.unique_lock("default", job.id))
    assert (await client.enqueue(plan(unique=unique))).created is False
    await actions.move("default", job.id, "there", create=True)
    assert (await client.enqueue(plan(unique=unique))).created is True


async def test_running_task_and_one_under_aggregation_are_not_moved(client: Client, mover: Actions, desk: Desk) -> None:
    job = await desk.bring(client, "active", plan())
    with pytest.raises(TaskStateError, match="is active, so it can't be moved"):
        await mover.move("default", job.id, "there", create=True)
    grouped = await client.enqueue(plan(group="g"))
    await desk.aggregate("g")
    with pytest.raises(TaskStateError, match="is aggregating, so it can't be moved"):
        await mover.move("default", grouped.id, "there", create=True)
    with pytest.raises(TaskNotFound):
        await mover.move("default", "nobody", "there", create=True)


GOOD = b"\n\x01t\x12\x02{}\x1a\x01x"


@pytest.mark.parametrize("message", [b"\xff", b"\n\x01t\x08", b'\n\x01t"\x7fabc', GOOD + b"\x08", GOOD + b"\xff\xff"])
async def test_message_that_cannot_be_read_stays_where_it_is(
    client: Client, mover: Actions, desk: Desk, message: bytes
) -> None:
    job = await client.enqueue(plan(delay="1h"))
    await desk.broker.admin.execute("HSET", desk.keys.task(job.id), "msg", message)
    with pytest.raises(PayloadError):
        await mover.move("default", job.id, "there", create=True)
    assert await where(desk, job.id) == ["scheduled"]
    assert (await desk.hash(job.id))["msg"] == message


async def test_message_that_names_its_queue_and_lock_twice_names_the_new_ones(
    client: Client, mover: Actions, desk: Desk, there: Desk
) -> None:
    job = await client.enqueue(plan(delay="1h"))
    lock = f"{desk.keys.base}other".encode()
    twice = b'"\x07default' + b"R" + bytes([len(lock)]) + lock
    row = await desk.hash(job.id)
    await desk.broker.admin.execute("HSET", desk.keys.task(job.id), "msg", row["msg"] + twice * 2)
    await mover.move("default", job.id, "there", create=True)
    moved = await there.message(job.id)
    assert (moved.queue, moved.unique_key) == ("there", f"{there.keys.base}other")


async def test_task_that_is_named_twice_is_moved_once(client: Client, actions: Actions, there: Desk) -> None:
    job = await client.enqueue(plan())
    await actions.move("default", (await client.enqueue(plan())).id, "there", create=True)
    ref = TaskRef("default", job.id)
    assert await actions._requests.carry_out(actions._move(actions._keys, [ref, ref], "there")) == ["done", "done"]
    assert len(await there.ids("pending")) == 2


async def test_task_may_be_moved_to_and_fro(client: Client, mover: Actions, desk: Desk) -> None:
    job = await desk.bring(client, "pending", KEPT)
    before = await desk.hash(job.id)
    for _ in range(3):
        await mover.move("default", job.id, "there", create=True)
        await mover.move("there", job.id, "default")
    assert (await desk.hash(job.id), await desk.holder(job.id)) == (before, job.id)
    await client.enqueue(plan(queue="there", task_id=job.id))
    with pytest.raises(TaskIdConflict):
        await mover.move("default", job.id, "there")


async def half_moved(actions: Actions, ref: TaskRef, steps: int) -> None:
    """Move a task, and die after this number of steps."""
    act = move(actions._keys, [ref], "there")
    answer: Any = None
    for _ in range(steps):
        step = act.send(answer)
        answer = await actions._requests._take(step, None)
    act.close()


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("state", STATES)
async def test_move_that_was_cut_off_is_finished_by_the_same_move(
    client: Client, actions: Actions, desk: Desk, there: Desk, steps: int, state: str
) -> None:
    job = await desk.bring(client, state, KEPT)
    before = await desk.hash(job.id)
    await half_moved(actions, TaskRef("default", job.id), steps)
    if steps < 3:
        assert await where(desk, job.id) == ["archived"]
        assert "move it there again" in (await desk.message(job.id)).error_msg
        assert await desk.take() == []
        await actions.move("default", job.id, "there", create=True)
    else:
        with pytest.raises(TaskNotFound):
            await actions.move("default", job.id, "there", create=True)
    place = "g:g" if state == "aggregating" else state
    assert (await where(there, job.id), await where(desk, job.id)) == ([place], [])
    assert (await there.hash(job.id)).keys() == before.keys()


async def test_task_that_ran_in_the_target_before_the_move_is_finished_does_not_run_twice(
    client: Client, actions: Actions, desk: Desk, there: Desk
) -> None:
    job = await client.enqueue(plan())
    await half_moved(actions, TaskRef("default", job.id), steps=2)
    assert await there.take() == [job.id]
    await there.end(job.id, "done")
    await actions.move("default", job.id, "there", create=True)
    assert (await where(there, job.id), await where(desk, job.id), await there.take()) == ([], [], [])


async def test_second_program_in_the_middle_of_the_same_move_puts_nothing_there_again(
    client: Client, actions: Actions, desk: Desk, there: Desk
) -> None:
    job = await client.enqueue(plan())
    late = move(actions._keys, [TaskRef("default", job.id)], "there")
    taken = await actions._requests._take(late.send(None), None)
    await actions.move("default", job.id, "there", create=True)
    assert await there.take() == [job.id]
    await there.end(job.id, "done")

    def rest() -> Any:
        outcomes = yield from _resumed(late, taken)
        return outcomes

    assert await actions._requests.carry_out(rest()) == ["done"]
    assert (await there.ids("pending"), await where(desk, job.id)) == ([], [])


def _resumed(act: Any, answer: Any) -> Any:
    """Go on with an act whose first step was taken."""
    try:
        while True:
            answer = yield act.send(answer)
    except StopIteration as end:
        return end.value


async def test_half_moved_task_refuses_other_acts_until_the_move_is_finished(
    client: Client, actions: Actions, desk: Desk
) -> None:
    job = await client.enqueue(plan())
    await half_moved(actions, TaskRef("default", job.id), steps=1)
    for act in (
        actions.run_now("default", job.id),
        actions.update_payload("default", job.id, b"new"),
        actions.move("default", job.id, "elsewhere", create=True),
    ):
        with pytest.raises(TaskStateError, match="on its way to the queue 'there'"):
            await act
    await client.delete("default", job.id)
    assert await desk.hash(job.id) == {}


async def test_task_that_was_run_again_from_the_archive_meanwhile_is_an_ordinary_task(
    client: Client, actions: Actions, desk: Desk, there: Desk
) -> None:
    """As Go's inspector does it: it knows nothing of the field, and leaves it in the hash."""
    job = await client.enqueue(plan())
    await half_moved(actions, TaskRef("default", job.id), steps=1)
    await desk.broker.admin.execute("ZREM", desk.keys.archived, job.id)
    await desk.broker.admin.execute("LPUSH", desk.keys.pending, job.id)
    await desk.broker.admin.execute("HSET", desk.keys.task(job.id), "state", "pending")
    assert await desk.take() == [job.id]
    await desk.end(job.id, "archive", message=(await desk.message(job.id)).SerializeToString() + b"\x30\x01", text=b"x")
    await actions.move("default", job.id, "there", create=True)
    assert (await where(there, job.id), await where(desk, job.id)) == (["archived"], [])
    assert (await there.message(job.id)).retried == 1


# A stuck task


async def lapse(desk: Desk, task_id: str, seconds: float) -> None:
    now = await desk.now()
    await desk.broker.admin.execute("ZADD", desk.keys.lease, int(now - seconds) + 0.5, task_id)


async def test_task_without_a_worker_goes_back_to_the_front(client: Client, actions: Actions, desk: Desk) -> None:
    job = await desk.bring(client, "active", plan(max_retry=3))
    await client.enqueue(plan())
    with pytest.raises(TaskStateError, match="its worker is alive"):
        await actions.requeue("default", job.id)
    await lapse(desk, job.id, 2)
    with pytest.raises(TaskStateError, match="its worker is alive"):
        await actions.requeue("default", job.id)
    await lapse(desk, job.id, 60)
    await actions.requeue("default", job.id)
    await actions.requeue("default", job.id)  # it is pending, as wanted
    assert (await desk.ids("pending"))[-1] == job.id
    assert (await desk.message(job.id)).retried == 0
    assert "rota_token" not in await desk.hash(job.id)
    assert await desk.ids("active") == await desk.ids("lease") == []


async def test_task_without_a_lease_goes_back_unless_a_live_server_runs_it(
    client: Client, actions: Actions, desk: Desk
) -> None:
    job = await desk.bring(client, "active", plan())
    await desk.broker.admin.execute("ZREM", desk.keys.lease, job.id)
    server = ServerState(host="h", pid=1, server_id="s", concurrency=1, queues={"default": 1}, active=1)
    running = RunningTask(id=job.id, type="t", payload=b"", queue="default")
    for call in beat(desk.broker.keys, server, [running]):
        await desk.broker.run(call)
    with pytest.raises(TaskStateError, match="a live server says that it runs the task"):
        await actions.requeue("default", job.id)
    for call in beat(desk.broker.keys, server, []):
        await desk.broker.run(call)
    await actions.requeue("default", job.id)
    assert await where(desk, job.id) == ["pending"]


@pytest.mark.parametrize("state", ["scheduled", "archived", "completed"])
async def test_task_that_is_not_active_is_not_requeued(
    client: Client, actions: Actions, desk: Desk, state: str
) -> None:
    job = await desk.bring(client, state, KEPT)
    with pytest.raises(TaskStateError, match=f"is {state}, so it can't be requeued"):
        await actions.requeue("default", job.id)


# A lock


async def test_lock_is_freed_only_if_its_task_has_ended(client: Client, actions: Actions, desk: Desk) -> None:
    job = await client.enqueue(plan(unique="10m"))
    lock = actions.lock_of("default", "t", payload=b"{}")
    assert lock == unique_key(desk.keys, "t", b"{}") == await actions.unique_lock("default", job.id)
    with pytest.raises(TaskStateError, match=f"task {job.id} holds it and is pending"):
        await actions.free_lock("default", lock)
    await actions.archive("default", job.id)
    assert await actions.free_lock("default", lock) is True
    assert await actions.free_lock("default", lock) is False
    assert (await client.enqueue(plan(unique="10m"))).created
    assert await actions.free_lock("default", lock, force=True) is True


async def test_lock_of_a_task_that_is_gone_is_freed(client: Client, actions: Actions, desk: Desk) -> None:
    await client.enqueue(plan(unique=Unique("10m", key="k"), task_id="x"))
    await desk.broker.admin.execute("DEL", desk.keys.task("x"))
    lock = actions.lock_of("default", "t", key="k")
    assert lock == own_unique_key(desk.keys, "t", "k")
    assert await actions.free_lock("default", lock) is True
    with pytest.raises(OptionError, match="not a unique lock of the queue"):
        await actions.free_lock("default", desk.keys.pending)


# A payload


async def test_payload_is_checked_against_the_schema_that_workers_publish(
    client: Client, actions: Actions, desk: Desk
) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    await publish_types(desk, TypeRecord(type="t", schema=schema))
    job = await desk.bring(client, "archived", plan(b'{"a":1}'))
    with pytest.raises(PayloadError, match="a: 'x' is not of type 'integer'"):
        await actions.edit("default", job.id, b'{"a":"x"}')
    with pytest.raises(PayloadError, match="is not JSON"):
        await actions.edit("default", job.id, b"no")
    await actions.edit("default", job.id, b'{"a":"x"}', check=False)
    await actions.edit("default", job.id, b'{"a":2}', run=True)
    assert (await desk.message(job.id)).payload == b'{"a":2}'
    assert await where(desk, job.id) == ["pending"]


# A deletion that can be undone


@pytest.mark.parametrize("state", STATES)
async def test_undo_puts_a_deleted_task_back_as_it_was(
    client: Client, keeping: Actions, desk: Desk, state: str
) -> None:
    job = await desk.bring(client, state, KEPT)
    before, places = await desk.hash(job.id), await where(desk, job.id)
    locks, groups = await desk.locks(), await desk.groups()
    score = None if state == "pending" else await desk.score(places[0], job.id)
    await keeping.delete("default", job.id)
    assert (await desk.hash(job.id), await where(desk, job.id), await desk.locks()) == ({}, [], [])
    [kept] = await keeping.deleted(queue="default")
    assert (kept.task_id, kept.type, kept.state, kept.deleted_by) == (job.id, "t", state, "anna")
    await keeping.undo("default", job.id)
    assert (await desk.hash(job.id), await where(desk, job.id)) == (before, places)
    assert (await desk.locks(), await desk.groups()) == (locks, groups)
    assert score is None or await desk.score(places[0], job.id) == score
    assert await keeping.deleted() == []
    with pytest.raises(TaskNotFound, match="No deleted task"):
        await keeping.undo("default", job.id)


async def test_undo_is_refused_without_a_store_and_if_the_place_is_taken(
    client: Client, actions: Actions, keeping: Actions
) -> None:
    with pytest.raises(ConfigError, match="No store is set"):
        await actions.undo("default", "x")
    job = await client.enqueue(plan(task_id="x", unique="10m"))
    await keeping.delete("default", job.id)
    other = await client.enqueue(plan(unique="10m"))
    with pytest.raises(DuplicateTask):
        await keeping.undo("default", "x")
    await keeping.delete("default", other.id)
    await client.enqueue(plan(b"2", task_id="x"))
    with pytest.raises(TaskIdConflict):
        await keeping.undo("default", "x")
    assert [row.task_id for row in await keeping.deleted()] == [other.id, "x"]


async def test_task_that_cannot_be_kept_is_not_deleted(
    client: Client, any_url: str, desk: Desk, tmp_path: Path
) -> None:
    trash = open_trash(f"sqlite:///{tmp_path}/rota.db", DatabaseSettings(deleted_max_bytes=10))
    job = await client.enqueue(plan(delay="1h"))
    before = await desk.hash(job.id)
    async with Broker.from_url(as_role(any_url, "producer")) as broker:
        with pytest.raises(StoreRefused, match="deleted_max_bytes"):
            await Actions(broker, trash=trash).delete("default", job.id)
    assert (await desk.hash(job.id), await where(desk, job.id)) == (before, ["scheduled"])


async def test_deletion_that_was_cut_off_is_finished_by_deleting_again(
    client: Client, keeping: Actions, desk: Desk
) -> None:
    job = await client.enqueue(plan(delay="1h"))
    act = delete_kept(keeping._keys, [TaskRef("default", job.id)], keeping._trash, by="")
    answer: Any = None
    for _ in range(2):  # taken and stored, and then the process died
        answer = await keeping._requests._take(act.send(answer), None)
    act.close()
    assert await where(desk, job.id) == ["archived"]
    await keeping.delete("default", job.id)
    assert (await desk.hash(job.id), len(await keeping.deleted())) == ({}, 1)
    await keeping.undo("default", job.id)
    assert await where(desk, job.id) == ["scheduled"]
