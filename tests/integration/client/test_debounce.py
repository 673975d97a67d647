"""Debounce: many calls, one run, with the latest arguments."""

import pytest

from rota.client import Client
from rota.errors import OptionError
from rota.tasks.job import TaskState
from rota.tasks.policy import Debounce
from tests.integration.client.conftest import Desk, plan


def calls(payload: bytes, wait: str = "10s", max_wait: str | None = None, key: str = "k", queue: str = "default"):
    return plan(payload, debounce=Debounce(key, wait, max_wait), queue=queue)


async def test_later_calls_move_the_run_and_bring_its_arguments(client: Client, desk: Desk) -> None:
    first = await client.enqueue(calls(b"1"))
    assert (first.created, first.state) == (True, TaskState.SCHEDULED)
    soon = await desk.score("scheduled", first.id)
    second = await client.enqueue(calls(b"2", wait="20s"))
    assert (second.created, second.id, second.state) == (False, first.id, TaskState.SCHEDULED)
    assert await desk.score("scheduled", first.id) >= soon + 9.9
    message = await desk.message(first.id)
    assert (message.id, message.payload) == (first.id, b"2")


async def test_the_run_is_never_later_than_max_wait_after_the_first_call(client: Client, desk: Desk) -> None:
    before = await desk.now()
    first = await client.enqueue(calls(b"1", "10s", "15s"))
    await client.enqueue(calls(b"2", "14s", "15s"))
    await client.enqueue(calls(b"3", "14.5s", "15s"))
    assert before + 14 < await desk.score("scheduled", first.id) <= await desk.now() + 15.001
    late = await client.enqueue(calls(b"4", "60s", "60s"))
    assert late.id == first.id
    await desk.broker.admin.execute("HSET", desk.keys.task(first.id), "rota_first", before - 100)
    await client.enqueue(calls(b"5", "10s", "15s"))
    assert await desk.take() == [first.id], "the longest wait is over, so it is due"


async def test_other_keys_types_and_queues_are_calls_of_their_own(client: Client) -> None:
    first = await client.enqueue(calls(b"1"))
    others = [await client.enqueue(calls(b"1", key="other")), await client.enqueue(calls(b"1", queue="other"))]
    assert all(other.created for other in others)
    assert len({first.id, *(other.id for other in others)}) == 3


async def test_a_task_that_is_due_but_waits_for_a_worker_gets_the_new_arguments(client: Client, desk: Desk) -> None:
    first = await client.enqueue(calls(b"1"))
    await client.run_now("default", first.id)
    second = await client.enqueue(calls(b"2"))
    assert (second.id, second.state) == (first.id, TaskState.PENDING)
    assert await desk.ids("scheduled") == []
    assert (await desk.message(first.id)).payload == b"2"


@pytest.mark.parametrize("ending", ["running", "done", "retry", "archive"])
async def test_a_call_after_the_start_makes_a_new_run(client: Client, desk: Desk, ending: str) -> None:
    first = await client.enqueue(calls(b"1"))
    await client.run_now("default", first.id)
    assert await desk.take() == [first.id]
    if ending != "running":
        await desk.end(first.id, ending, seconds=60)
    second = await client.enqueue(calls(b"2"))
    assert second.created
    assert second.id != first.id
    assert await desk.ids("scheduled") == [second.id]


async def test_a_deleted_run_leaves_no_trace(client: Client, desk: Desk) -> None:
    first = await client.enqueue(calls(b"1"))
    await client.delete("default", first.id)
    assert await desk.locks() == []
    assert (await client.enqueue(calls(b"2"))).created


async def test_debounced_calls_in_a_stream_are_joined_too(client: Client, desk: Desk) -> None:
    results = await client.enqueue_many([calls(b"1"), plan(), calls(b"2")])
    assert [result.created for result in results] == [True, True, False]
    assert results[0].id == results[2].id
    assert (await desk.message(results[0].id)).payload == b"2"


def test_what_debounce_decides_by_itself_cannot_be_given() -> None:
    with pytest.raises(OptionError, match="debounce decides"):
        plan(debounce=Debounce("k", "1s"), unique="10m")
