"""Unique tasks: who holds the lock, how long, and what happens to the second."""

import pytest

from rota.client import Client
from rota.errors import DuplicateTask
from rota.tasks.job import TaskState
from rota.tasks.policy import Debounce, OnConflict, Unique
from rota.wire.keys import own_unique_key, unique_key
from rota.wire.message import pack
from tests.integration.client.conftest import Desk, plan

QUEUED, RUNNING = Unique(scope="queued"), Unique(scope="running")


async def test_a_refused_duplicate_returns_the_existing_task(client: Client, desk: Desk) -> None:
    first = await client.enqueue(plan(unique="10m", delay="1h"))
    second = await client.enqueue(plan(unique="10m"))
    assert (second.created, second.id, second.state) == (False, first.id, TaskState.SCHEDULED)
    assert await desk.ids("pending") == []


async def test_a_refused_duplicate_can_be_an_error_that_names_the_holder(client: Client) -> None:
    first = await client.enqueue(plan(unique="10m"))
    with pytest.raises(DuplicateTask, match="has the same unique key") as caught:
        await client.enqueue(plan(unique=Unique("10m", on_conflict="raise")))
    assert caught.value.task_id == first.id


async def test_the_lock_is_the_one_that_go_takes(client: Client, desk: Desk) -> None:
    job = await client.enqueue(plan(b"{}", unique="10m"))
    stored = await desk.hash(job.id)
    assert stored["unique_key"].decode() == unique_key(desk.keys, "t", b"{}") == (await desk.message(job.id)).unique_key
    assert "rota_unique" not in stored
    # A task of Go's that is grouped names its lock in the message only.
    lock = unique_key(desk.keys, "t", b"go's")
    message = pack("t", b"go's", "of-go", unique_key=lock, group="g")
    await desk.broker.admin.execute("HSET", desk.keys.task("of-go"), "msg", message, "state", "aggregating")
    await desk.broker.admin.execute("SET", lock, "of-go")
    again = await client.enqueue(plan(b"go's", unique="10m"))
    assert (again.created, again.id) == (False, "of-go")


@pytest.mark.parametrize("of_holder", [None, "30m"])
@pytest.mark.parametrize("on_conflict", ["return", "raise", "replace"])
async def test_lock_whose_holder_does_not_name_it_is_free(
    client: Client, desk: Desk, on_conflict: OnConflict, of_holder: str | None
) -> None:
    # Asynq takes the lock, finds the id taken, and leaves the lock behind.
    other = await client.enqueue(plan(b"other", unique=of_holder, delay="1h"))
    await desk.broker.admin.execute("SET", unique_key(desk.keys, "t", b"{}"), other.id, "EX", 600)

    job = await client.enqueue(plan(b"{}", unique=Unique("10m", on_conflict=on_conflict)))

    assert (job.created, job.state) == (True, TaskState.PENDING)
    assert await desk.holder(job.id) == job.id
    assert (await desk.message(other.id)).payload == b"other"


async def test_debounced_call_ignores_a_lock_whose_holder_does_not_name_it(client: Client, desk: Desk) -> None:
    other = await client.enqueue(plan(b"other", delay="1h"))
    await desk.broker.admin.execute("SET", own_unique_key(desk.keys, "t", "debounce:k"), other.id)
    job = await client.enqueue(plan(b"{}", debounce=Debounce("k", "1h")))
    assert job.id != other.id
    assert (await desk.message(other.id)).payload == b"other"


@pytest.mark.parametrize("words", [{"queue": "b"}, {"type": "u"}, {"payload": b"other"}])
async def test_another_queue_type_or_payload_is_another_task(client: Client, words: dict[str, object]) -> None:
    await client.enqueue(plan(unique="10m"))
    assert (await client.enqueue(plan(unique="10m", **words))).created  # type: ignore[arg-type]


async def test_a_key_of_its_own_counts_instead_of_the_payload(client: Client) -> None:
    first = await client.enqueue(plan(b"1", unique=Unique("10m", key="user-7")))
    assert (await client.enqueue(plan(b"2", unique=Unique("10m", key="user-7")))).id == first.id
    assert (await client.enqueue(plan(b"1", unique=Unique("10m", key="user-8")))).created


async def test_the_life_of_a_lock_begins_when_the_task_is_due(client: Client, desk: Desk) -> None:
    now = await client.enqueue(plan(b"1", unique="10m"))
    assert 540_000 < await desk.life_ms(now.id) <= 600_000
    later = await client.enqueue(plan(b"2", unique="10m", delay="1h"))
    assert 4_140_000 < await desk.life_ms(later.id) <= 4_200_001


async def test_a_grouped_task_remembers_its_lock(client: Client, desk: Desk) -> None:
    job = await client.enqueue(plan(unique="10m", group="g"))
    assert "unique_key" in await desk.hash(job.id), "Asynq leaves the lock of a grouped task behind"
    await client.delete("default", job.id)
    assert await desk.locks() == []


async def test_a_lock_of_a_task_that_is_gone_holds_nobody_up(client: Client, desk: Desk) -> None:
    first = await client.enqueue(plan(unique="10m"))
    await desk.broker.admin.execute("DEL", desk.keys.task(first.id), desk.keys.pending)
    second = await client.enqueue(plan(unique="10m"))
    assert second.created
    assert await desk.holder(second.id) == second.id


@pytest.mark.parametrize("state", ["pending", "scheduled", "aggregating", "active", "retry", "archived"])
async def test_asynqs_lock_is_held_in_every_state_until_success(client: Client, desk: Desk, state: str) -> None:
    first = await desk.bring(client, state, plan(unique="2h"))
    second = await client.enqueue(plan(unique="2h"))
    assert (second.created, second.id, second.state) == (False, first.id, state)


async def test_success_gives_the_lock_back(client: Client, desk: Desk) -> None:
    job = await desk.bring(client, "active", plan(unique="10m"))
    await desk.end(job.id, "done")
    assert (await client.enqueue(plan(unique="10m"))).created


@pytest.mark.parametrize("state", ["pending", "scheduled", "aggregating"])
async def test_while_queued_a_second_is_refused(client: Client, desk: Desk, state: str) -> None:
    first = await desk.bring(client, state, plan(unique=QUEUED))
    assert (await client.enqueue(plan(unique=QUEUED))).id == first.id
    assert await desk.life_ms(first.id) == -1


@pytest.mark.parametrize("state", ["active", "retry", "archived", "completed"])
async def test_once_started_a_second_may_queue(client: Client, desk: Desk, state: str) -> None:
    await desk.bring(client, state, plan(unique=QUEUED, retention="1h"))
    assert (await client.enqueue(plan(unique=QUEUED))).created


async def test_a_started_task_may_enqueue_itself_again(client: Client, desk: Desk) -> None:
    first = await desk.bring(client, "active", plan(unique=QUEUED))
    second = await client.enqueue(plan(unique=QUEUED))
    await desk.end(first.id, "done")
    assert await desk.holder(second.id) == second.id


@pytest.mark.parametrize("state", ["active", "retry"])
async def test_a_go_server_that_keeps_the_lock_of_a_started_task_holds_nobody_up(
    client: Client, desk: Desk, state: str
) -> None:
    first = await desk.bring(client, "pending", plan(unique=QUEUED))
    await desk.broker.admin.execute("HSET", desk.keys.task(first.id), "state", state)
    second = await client.enqueue(plan(unique=QUEUED))
    assert second.created
    assert await desk.holder(second.id) == second.id


@pytest.mark.parametrize("state", ["pending", "scheduled", "aggregating", "active", "retry"])
async def test_while_queued_or_running_a_second_is_refused(client: Client, desk: Desk, state: str) -> None:
    first = await desk.bring(client, state, plan(unique=RUNNING))
    assert (await client.enqueue(plan(unique=RUNNING))).id == first.id


@pytest.mark.parametrize("state", ["archived", "completed"])
async def test_once_ended_a_second_may_queue(client: Client, desk: Desk, state: str) -> None:
    await desk.bring(client, state, plan(unique=RUNNING, retention="1h"))
    assert (await client.enqueue(plan(unique=RUNNING))).created


async def test_a_replaced_task_keeps_its_id_and_its_place_in_the_line(client: Client, desk: Desk) -> None:
    first = await client.enqueue(plan(b"old", unique=Unique("10m", key="k")))
    other = await client.enqueue(plan())
    again = await client.enqueue(
        plan(b"new", unique=Unique("10m", key="k", on_conflict="replace"), max_retry=3, headers={"h": "w"})
    )
    assert (again.id, again.created, again.state) == (first.id, False, TaskState.PENDING)
    message = await desk.message(first.id)
    assert (message.id, message.payload, message.retry) == (first.id, b"new", 3)
    assert await desk.take() == [first.id, other.id]


@pytest.mark.parametrize("state", ["pending", "scheduled", "aggregating", "retry", "archived"])
@pytest.mark.parametrize("words", [{}, {"delay": "2h"}, {"group": "g"}, {"group": "h"}])
async def test_a_replaced_task_goes_where_the_new_one_would(
    client: Client, desk: Desk, state: str, words: dict[str, object]
) -> None:
    first = await desk.bring(client, state, plan(b"old", unique=Unique("5h", key="k")))
    again = await client.enqueue(plan(b"new", unique=Unique("5h", key="k", on_conflict="replace"), **words))
    target = "scheduled" if "delay" in words else "aggregating" if words else "pending"
    assert (again.id, again.state) == (first.id, target)
    places = ["pending", "scheduled", "retry", "archived", "g:g", "g:h"]
    there = [place for place in places if first.id in await desk.ids(place)]
    assert there == [f"g:{words['group']}" if "group" in words else target]
    stored = await desk.hash(first.id)
    assert stored.get("group", b"").decode() == words.get("group", "")
    assert ("pending_since" in stored) == (target == "pending")
    assert (await desk.message(first.id)).retried == 0
    assert await desk.groups() == ({words["group"]} if "group" in words else set())
    assert await desk.holder(first.id) == first.id


async def test_a_running_task_cannot_be_replaced_and_the_error_says_why(client: Client, desk: Desk) -> None:
    first = await desk.bring(client, "active", plan(unique="10m"))
    with pytest.raises(DuplicateTask, match="runs, so it can't be replaced") as caught:
        await client.enqueue(plan(unique=Unique("10m", on_conflict="replace")))
    assert caught.value.task_id == first.id


@pytest.mark.parametrize("group", ["g", "h", None])
async def test_a_task_that_is_being_aggregated_cannot_be_replaced(
    client: Client, desk: Desk, group: str | None
) -> None:
    first = await client.enqueue(plan(b"old", unique=Unique("10m", key="k"), group="g"))
    await desk.aggregate("g")
    with pytest.raises(DuplicateTask, match="is being aggregated, so it can't be replaced"):
        await client.enqueue(plan(b"new", unique=Unique("10m", key="k", on_conflict="replace"), group=group))
    assert (await desk.message(first.id)).payload == b"old"


async def test_a_chosen_id_with_a_lock_that_it_holds_already_is_a_duplicate(client: Client) -> None:
    await client.enqueue(plan(task_id="mine", unique="10m"))
    assert not (await client.enqueue(plan(task_id="mine", unique="10m"))).created
    with pytest.raises(DuplicateTask):
        await client.enqueue(plan(task_id="mine", unique=Unique("10m", on_conflict="raise")))
