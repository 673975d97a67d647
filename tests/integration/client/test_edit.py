"""Changing a task that exists: in every state, and in those that do not allow it."""

from datetime import UTC, datetime, timedelta

import pytest

from rota.client import Client
from rota.errors import DuplicateTask, OptionError, TaskNotFound, TaskStateError
from rota.tasks.job import TaskState
from rota.tasks.policy import Unique
from rota.wire.keys import unique_key
from rota.wire.proto import TaskMessage
from tests.integration.client.conftest import Desk, plan

STATES = ["pending", "scheduled", "aggregating", "retry", "archived", "completed"]
KEPT = plan(retention="1h", max_retry=2)


@pytest.mark.parametrize("state", ["pending", "scheduled", "aggregating", "retry", "archived"])
async def test_a_new_payload_replaces_the_old_and_nothing_else(client: Client, desk: Desk, state: str) -> None:
    job = await desk.bring(client, state, plan(b"old", max_retry=7, headers={"h": "w"}))
    before = await desk.hash(job.id)
    await job.update_payload(b"new")
    after = await desk.hash(job.id)
    expected = TaskMessage.FromString(before["msg"])
    expected.payload = b"new"
    assert TaskMessage.FromString(after["msg"]) == expected
    assert {**after, "msg": b""} == {**before, "msg": b""}


@pytest.mark.parametrize("state", ["active", "completed"])
async def test_a_task_that_runs_or_succeeded_keeps_its_payload(client: Client, desk: Desk, state: str) -> None:
    job = await desk.bring(client, state, KEPT)
    with pytest.raises(TaskStateError, match=f"is {state}, so it can't get another payload"):
        await job.update_payload(b"new")


async def test_a_task_that_is_being_aggregated_keeps_its_payload(client: Client, desk: Desk) -> None:
    """The aggregator has read it: another payload would be deleted unread."""
    job = await client.enqueue(plan(b"old", group="g"))
    await desk.aggregate("g")
    with pytest.raises(TaskStateError, match="is aggregating, so it can't get another payload"):
        await job.update_payload(b"new")
    assert (await desk.message(job.id)).payload == b"old"


@pytest.mark.parametrize("group", [None, "g"])
async def test_the_lock_moves_with_the_payload(client: Client, desk: Desk, group: str | None) -> None:
    job = await client.enqueue(plan(b"old", unique="10m", group=group))
    await job.update_payload(b"new")
    assert await desk.locks() == [unique_key(desk.keys, "t", b"new")]
    assert await desk.holder(job.id) == job.id
    assert 540_000 < await desk.life_ms(job.id) <= 600_000
    assert (await client.enqueue(plan(b"old", unique="10m"))).created
    assert not (await client.enqueue(plan(b"new", unique="10m"))).created


async def test_a_lock_with_a_key_of_its_own_stays(client: Client, desk: Desk) -> None:
    job = await client.enqueue(plan(b"old", unique=Unique("10m", key="k")))
    before = await desk.locks()
    await job.update_payload(b"new")
    assert await desk.locks() == before


async def test_a_payload_whose_lock_another_task_holds_is_refused(client: Client, desk: Desk) -> None:
    holder = await client.enqueue(plan(b"new", unique="10m"))
    job = await client.enqueue(plan(b"old", unique="10m"))
    before = await desk.hash(job.id)
    with pytest.raises(DuplicateTask, match="was left as it is") as caught:
        await job.update_payload(b"new")
    assert caught.value.task_id == holder.id
    assert await desk.hash(job.id) == before


async def test_a_lock_that_ran_out_is_not_taken_anew(client: Client, desk: Desk) -> None:
    job = await client.enqueue(plan(b"old", unique="10m"))
    await desk.broker.admin.execute("DEL", *await desk.locks())
    await job.update_payload(b"new")
    assert await desk.locks() == []


async def test_a_delay_and_an_instant_move_a_scheduled_task(client: Client, desk: Desk) -> None:
    job = await client.enqueue(plan(delay="1h"))
    before = await desk.now()
    await job.reschedule("2.5s")
    assert before + 2.5 <= await desk.score("scheduled", job.id) + 1e-5 <= await desk.now() + 2.51
    at = datetime.now(UTC) + timedelta(days=1)
    await job.reschedule(at)
    assert await desk.score("scheduled", job.id) == pytest.approx(at.timestamp(), abs=1.1e-3)


async def test_a_retry_moves_within_its_set_and_a_pending_task_becomes_scheduled(client: Client, desk: Desk) -> None:
    retried = await desk.bring(client, "retry", plan())
    before = await desk.now()
    await retried.reschedule("1h")
    assert before + 3600 <= await desk.score("retry", retried.id) + 1e-5 <= await desk.now() + 3600.01
    pending = await client.enqueue(plan())
    await pending.reschedule("1h")
    assert (await desk.ids("pending"), await desk.ids("scheduled")) == ([], [pending.id])
    assert set(await desk.hash(pending.id)) == {"msg", "state"}
    assert (await pending.info()).state is TaskState.SCHEDULED


async def test_a_lock_lives_longer_when_its_task_is_put_off(client: Client, desk: Desk) -> None:
    job = await client.enqueue(plan(unique="10m", delay="1h"))
    await job.reschedule("3h")
    assert 3 * 3_600_000 + 540_000 < await desk.life_ms(job.id) <= 3 * 3_600_000 + 600_100


@pytest.mark.parametrize("state", ["active", "aggregating", "archived", "completed"])
async def test_other_states_have_no_time_to_move(client: Client, desk: Desk, state: str) -> None:
    job = await desk.bring(client, state, KEPT)
    with pytest.raises(TaskStateError, match="can't be moved to another time"):
        await job.reschedule("1h")


async def test_an_instant_without_a_zone_is_refused(client: Client) -> None:
    job = await client.enqueue(plan(delay="1h"))
    with pytest.raises(OptionError, match="no time zone"):
        await job.reschedule(datetime(2030, 1, 1))


@pytest.mark.parametrize("state", STATES)
async def test_run_now_makes_a_task_pending_from_every_state_but_active(client: Client, desk: Desk, state: str) -> None:
    job = await desk.bring(client, state, KEPT)
    await job.run_now()
    stored = await desk.hash(job.id)
    assert stored["state"] == b"pending"
    assert "pending_since" in stored
    assert "group" not in stored, "its first retry would go back to the group"
    assert await desk.groups() == set()
    assert [place for place in (*STATES, "g:g") if job.id in await desk.ids(place)] == ["pending"]
    assert await desk.take() == [job.id]


async def test_a_running_task_cannot_be_run_now(client: Client, desk: Desk) -> None:
    job = await desk.bring(client, "active", plan())
    with pytest.raises(TaskStateError, match="is active, so it can't be made to run now"):
        await job.run_now()


async def test_a_task_that_had_ended_starts_with_all_its_retries(client: Client, desk: Desk) -> None:
    job = await desk.bring(client, "active", plan(max_retry=2))
    spent = await desk.message(job.id)
    spent.retried, spent.error_msg = 2, "boom"
    await desk.end(job.id, "archive", message=spent.SerializeToString(), text=b"boom")
    await job.run_now()
    message = await desk.message(job.id)
    assert (message.retried, message.retry, message.error_msg, message.id) == (0, 2, "boom", job.id)


async def test_running_again_takes_the_lock_again_unless_another_task_has_it(client: Client, desk: Desk) -> None:
    unique = Unique(scope="running")
    job = await desk.bring(client, "archived", plan(unique=unique))
    other = await client.enqueue(plan(unique=unique))
    with pytest.raises(DuplicateTask) as caught:
        await job.run_now()
    assert caught.value.task_id == other.id
    assert (await job.info()).state is TaskState.ARCHIVED
    await client.delete("default", other.id)
    await job.run_now()
    assert await desk.holder(job.id) == job.id


@pytest.mark.parametrize("state", ["pending", "scheduled", "aggregating", "retry", "archived", "completed"])
async def test_archive_moves_a_task_and_changes_nothing_else_of_it(client: Client, desk: Desk, state: str) -> None:
    job = await desk.bring(client, state, plan(retention="1h", unique="10m"))
    before = await desk.message(job.id)
    await client.archive("default", job.id)
    await client.archive("default", job.id)
    assert await desk.message(job.id) == before
    assert [place for place in (*STATES, "g:g") if job.id in await desk.ids(place)] == ["archived"]
    assert (await job.info()).state is TaskState.ARCHIVED
    assert "pending_since" not in await desk.hash(job.id)


async def test_running_task_is_not_archived(client: Client, desk: Desk) -> None:
    job = await desk.bring(client, "active", plan())
    with pytest.raises(TaskStateError, match="is active, so it can't be archived"):
        await client.archive("default", job.id)


async def test_archive_keeps_a_lock_as_in_asynq_and_frees_one_with_a_scope(client: Client, desk: Desk) -> None:
    kept = await client.enqueue(plan(b"1", unique="10m"))
    freed = await client.enqueue(plan(b"2", unique=Unique(scope="running")))
    for job in (kept, freed):
        await client.archive("default", job.id)
    assert (await desk.holder(kept.id), await desk.holder(freed.id)) == (kept.id, None)


async def test_members_of_an_aggregation_set_are_left_to_the_aggregator(client: Client, desk: Desk) -> None:
    job = await client.enqueue(plan(group="g"))
    await desk.broker.admin.execute("RENAME", f"{desk.keys.base}g:g", f"{desk.keys.base}g:g:set-1")
    for act in (job.run_now(), job.cancel(), client.delete("default", job.id)):
        with pytest.raises(TaskStateError, match="is aggregating, so it can"):
            await act


@pytest.mark.parametrize("state", STATES)
async def test_a_deleted_task_leaves_nothing_behind(client: Client, desk: Desk, state: str) -> None:
    job = await desk.bring(client, state, plan(retention="1h", unique="10m"))
    await client.delete("default", job.id)
    assert await desk.hash(job.id) == {}
    assert await desk.locks() == []
    assert [place for place in (*STATES, "g:g") if job.id in await desk.ids(place)] == []


async def test_a_running_task_cannot_be_deleted(client: Client, desk: Desk) -> None:
    job = await desk.bring(client, "active", plan())
    with pytest.raises(TaskStateError, match="cancel it first"):
        await client.delete("default", job.id)


async def test_a_hash_that_is_in_no_set_any_more_can_be_deleted(client: Client, desk: Desk) -> None:
    job = await desk.bring(client, "archived", plan())
    await desk.broker.admin.execute("DEL", f"{desk.keys.base}archived")
    await client.delete("default", job.id)
    assert await desk.hash(job.id) == {}


async def test_every_change_of_a_task_that_is_gone_says_so(client: Client) -> None:
    job = await client.enqueue(plan())
    await client.delete("default", job.id)
    for act in (
        job.run_now(),
        job.cancel(),
        job.reschedule("1h"),
        job.update_payload(b""),
        job.info(),
        client.delete("default", job.id),
    ):
        with pytest.raises(TaskNotFound, match=f"no task {job.id} in queue 'default'"):
            await act


async def test_a_snapshot_shows_the_task(client: Client, desk: Desk) -> None:
    job = await desk.bring(client, "archived", plan(b'{"a":1}', timeout="9s", headers={"h": "w"}))
    seen = await job.info()
    assert (seen.type, seen.payload, seen.state, dict(seen.headers)) == ("t", b'{"a":1}', "archived", {"h": "w"})
    assert seen.timeout == timedelta(seconds=9)
    before = await desk.now()
    later = await client.enqueue(plan(delay="1h"))
    due = (await later.info()).next_process_at
    assert due is not None
    assert before + 3600 <= due.timestamp() + 1e-5 <= await desk.now() + 3600.01
