from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rota.errors import OptionError, TaskNotFound
from rota.inspect import Inspector, ProgressReport
from rota.tasks.job import TaskAttempt, TaskState
from tests.integration.inspect.state import State


def at(unix: float) -> datetime:
    return datetime.fromtimestamp(int(unix), UTC)


async def test_a_task_shows_everything_that_is_stored(inspector: Inspector, state: State):
    state.task(
        state.queue("low"),
        "a",
        "retry",
        {
            "rota_crashes": 2,
            "rota_progress": b'{"done":3,"total":10,"text":"x","at":1.5}',
            "rota_log": "one\nzwei ü\n",
            "result": b"\x00\xff",
        },
        type="email:send",
        payload=b"{}",
        retried=3,
        error_msg="boom",
        last_failed_at=1700000000,
        deadline=1800000000,
        retention=60,
        group_key="g",
        headers={"trace": "1"},
        unique_key="asynq:{low}:unique:email:send:",
    )
    task = await inspector.task("low", "a")
    assert (task.id, task.queue, task.type, task.payload) == ("a", "low", "email:send", b"{}")
    assert (task.state, task.max_retry, task.retried) == (TaskState.RETRY, 25, 3)
    assert (task.last_error, task.last_failed_at) == ("boom", at(1700000000))
    assert (task.timeout, task.deadline) == (timedelta(minutes=30), at(1800000000))
    assert (task.retention, task.completed_at) == (timedelta(minutes=1), None)
    assert (task.group, task.headers, task.result) == ("g", {"trace": "1"}, b"\x00\xff")
    assert (task.crashes, task.log_lines) == (2, ["one", "zwei ü"])
    assert task.last_report == ProgressReport(3, 10, "x", datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC))
    assert task.unique_key == "asynq:{low}:unique:email:send:"
    assert task.next_process_at == at(state.now + 60)
    assert (task.is_dangling, task.is_unreadable, task.is_orphaned) == (False, False, False)


async def test_a_cancelled_task_says_how_it_ended(inspector: Inspector, state: State):
    state.task(state.queue(), "a", "archived", {"rota_end": "cancelled", "rota_cancel": "not needed"})
    task = await inspector.task("default", "a")
    assert (task.end, task.cancel_reason) == ("cancelled", "not needed")


@pytest.mark.parametrize("name", ["scheduled", "retry"])
async def test_a_waiting_task_says_when_it_is_due(inspector: Inspector, state: State, name: str):
    state.task(state.queue(), "a", name)
    listed = (await inspector.tasks("default", name)).tasks[0]
    assert listed.next_process_at == at(state.now + 60)
    assert (await inspector.task("default", "a")).next_process_at == at(state.now + 60)


async def test_a_fraction_of_a_second_is_kept(inspector: Inspector, state: State):
    keys = state.queue()
    state.task(keys, "a", "scheduled")
    state.client.zadd(keys.scheduled, {"a": 1700000000.25})
    due = (await inspector.task("default", "a")).next_process_at
    assert due == datetime(2023, 11, 14, 22, 13, 20, 250_000, UTC)


async def test_pending_tasks_are_listed_next_to_run_first(inspector: Inspector, state: State):
    keys = state.queue()
    for i in range(7):
        state.task(keys, str(i), "pending")
    pages = [await inspector.tasks("default", TaskState.PENDING, page=page, size=3) for page in (1, 2, 3, 4)]
    assert [[task.id for task in page.tasks] for page in pages] == [["0", "1", "2"], ["3", "4", "5"], ["6"], []]
    assert [page.total for page in pages] == [7, 7, 7, 7]


async def test_tasks_with_a_time_are_listed_in_its_order(inspector: Inspector, state: State):
    keys = state.queue()
    for i, task_id in enumerate("cabd"):
        state.task(keys, task_id, "completed")
        state.client.zadd(keys.completed, {task_id: i})
    page = await inspector.tasks("default", "completed", page=2, size=2)
    assert [task.id for task in page.tasks] == ["b", "d"]


async def test_an_active_task_without_a_living_lease_is_orphaned(inspector: Inspector, state: State):
    keys = state.queue()
    for task_id in ("kept", "expired", "none"):
        state.task(keys, task_id, "active")
    state.client.zadd(keys.lease, {"expired": int(state.now) - 1})
    state.client.zrem(keys.lease, "none")
    listed = (await inspector.tasks("default", "active")).tasks
    assert [(task.id, task.is_orphaned) for task in listed] == [("kept", False), ("expired", True), ("none", True)]
    assert listed[0].lease_until == at(state.now + 30)
    assert (await inspector.task("default", "expired")).is_orphaned


async def test_an_id_with_nothing_behind_it_is_shown_as_dangling(inspector: Inspector, state: State):
    keys = state.queue()
    state.place(keys, "gone", "scheduled")
    (listed,) = (await inspector.tasks("default", "scheduled")).tasks
    assert (listed.id, listed.is_dangling, listed.type) == ("gone", True, "")
    found = await inspector.task("default", "gone")
    assert (found.state, found.is_dangling) == (TaskState.SCHEDULED, True)


async def test_the_stub_that_go_makes_of_a_dangling_id_is_dangling_too(inspector: Inspector, state: State):
    keys = state.queue()
    state.client.hset(keys.task("stub"), "state", "active")
    state.place(keys, "stub", "active")
    assert (await inspector.task("default", "stub")).is_dangling


async def test_a_message_that_cannot_be_read_is_shown_as_such(inspector: Inspector, state: State):
    keys = state.queue()
    state.client.hset(keys.task("bad"), mapping={"msg": b"\xff\xff", "state": "archived"})
    state.place(keys, "bad", "archived")
    (listed,) = (await inspector.tasks("default", "archived")).tasks
    assert (listed.id, listed.is_unreadable, listed.is_dangling) == ("bad", True, False)


async def test_a_task_that_is_gone_is_not_found(inspector: Inspector, state: State):
    keys = state.queue()
    state.client.hset(keys.task("deleted"), "result", "late")
    for task_id in ("never", "deleted"):
        with pytest.raises(TaskNotFound, match=task_id):
            await inspector.task("default", task_id)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"state": "waiting"}, "no state 'waiting'"),
        ({"state": "aggregating"}, "by group"),
        ({"state": "pending", "group": "g"}, "by group"),
        ({"state": "pending", "page": 0}, "page 0"),
        ({"state": "pending", "size": 0}, "size 0"),
        ({"state": "pending", "size": 501}, "size 501"),
    ],
)
async def test_a_list_that_cannot_be_given_is_refused(inspector: Inspector, options, what: str):
    with pytest.raises(OptionError, match=what):
        await inspector.tasks("default", **options)


async def test_chosen_tasks_are_read_as_one_by_one(inspector: Inspector, state: State):
    attempts = '{"n":1,"outcome":"failed","error":"boom"}\n'
    low, high = state.queue("low"), state.queue("high")
    for name in ("pending", "active", "scheduled", "retry", "archived", "completed"):
        state.task(low, name, name, {"rota_attempts": attempts, "rota_log": "one\n", "result": "7"})
    state.task(high, "a ü", "aggregating", {"group": "g"}, group_key="g")
    wanted = [*(("low", each) for each in ("pending", "active", "scheduled", "retry", "archived", "completed"))]
    wanted += [("high", "a ü"), ("low", "gone"), ("nowhere", "a"), ("low", "retry")]

    found = await inspector.chosen_tasks(wanted)

    assert list(found) == [*wanted[:6], wanted[6]]
    for (queue, task_id), task in found.items():
        alone = await inspector.task(queue, task_id)
        assert replace(task, next_process_at=None) == replace(alone, next_process_at=None)
    assert found["low", "retry"].attempts == (TaskAttempt(number=1, outcome="failed", error="boom"),)
    assert (found["low", "completed"].result, found["low", "active"].is_orphaned) == (b"7", False)


async def test_chosen_tasks_with_large_results_are_read_in_several_replies(inspector: Inspector, state: State):
    for i in range(5):
        state.task(state.queue(), f"t{i}", "completed", {"result": bytes(600 * 1024)})
    found = await inspector.chosen_tasks(("default", f"t{i}") for i in range(6))
    assert {task_id: len(task.result) for (_, task_id), task in found.items()} == {
        f"t{i}": 600 * 1024 for i in range(5)
    }


async def test_many_chosen_tasks_need_few_requests(inspector: Inspector, state: State, monkeypatch: pytest.MonkeyPatch):
    wanted = [(f"q{n % 40}", f"t{n}") for n in range(1200)]
    for queue, task_id in wanted:
        state.task(state.queue(queue), task_id, "pending")
    sent: list[int] = []
    run_many = inspector._requests._broker.run_many

    async def counting(calls: Sequence[Any]) -> Any:
        sent.append(len(calls))
        return await run_many(calls)

    monkeypatch.setattr(inspector._requests._broker, "run_many", counting)
    assert len(await inspector.chosen_tasks(wanted)) == 1200
    assert sent == [32, 8]
    assert await inspector.chosen_tasks([]) == {}


async def test_damaged_keys_do_not_hide_the_other_chosen_tasks(inspector: Inspector, state: State):
    keys = state.queue()
    state.task(keys, "a", "retry")
    state.client.set(keys.task("text"), "not a hash")
    state.client.hset(keys.task("stub"), mapping={"rota_log": "left over"})
    state.client.delete(keys.retry)
    state.client.set(keys.retry, "not a set")
    found = await inspector.chosen_tasks(("default", task_id) for task_id in ("text", "stub", "a"))
    assert {task_id: str(task.state) for (_, task_id), task in found.items()} == {"a": "retry"}
