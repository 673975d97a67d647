from datetime import UTC, datetime, timedelta

import pytest

from rota.errors import OptionError, QueueNotFound
from rota.inspect import Inspector
from tests.integration.inspect.state import State

STATES = ("pending", "active", "scheduled", "retry", "archived", "completed")


async def test_queues_are_listed_by_name(inspector: Inspector, state: State):
    for name in ("low", "critical", "default", "größer"):
        state.queue(name)
    assert await inspector.queues() == ["critical", "default", "größer", "low"]


async def test_thousands_of_queues_are_listed(inspector: Inspector, state: State):
    names = sorted(f"q{i}" for i in range(3000))
    state.client.sadd("asynq:queues", *names)
    assert await inspector.queues() == names


async def test_an_empty_queue_has_nothing_and_waits_for_nothing(inspector: Inspector, state: State):
    state.queue()
    queue = await inspector.queue("default")
    assert queue.size == 0
    assert queue.latency == timedelta(0)
    assert (queue.is_paused, queue.paused_at) == (False, None)


async def test_tasks_are_counted_by_state(inspector: Inspector, state: State):
    keys = state.queue()
    for number, name in enumerate(STATES, start=1):
        for i in range(number):
            state.task(keys, f"{name}{i}", name)
    queue = await inspector.queue("default")
    assert [getattr(queue, name) for name in STATES] == [1, 2, 3, 4, 5, 6]
    assert queue.size == 21


async def test_groups_are_counted_beyond_one_page(inspector: Inspector, state: State):
    keys = state.queue()
    groups = {f"g{i}": i % 3 for i in range(2000)}
    state.client.sadd(keys.groups, *groups)
    for name, size in groups.items():
        for i in range(size):
            state.client.zadd(keys.group(name), {f"{name}-{i}": 1})
    queue = await inspector.queue("default")
    assert (queue.groups, queue.aggregating) == (2000, sum(groups.values()))
    assert {group.name: group.size for group in await inspector.groups("default")} == groups


async def test_tasks_under_aggregation_are_counted_apart_and_can_be_listed(inspector: Inspector, state: State):
    keys = state.queue()
    state.task(keys, "waits", "aggregating", group_key="mail:7")
    taken = keys.group("mail:7") + ":5f0c"
    state.client.zadd(taken, {"a": 1, "b": 2})
    state.client.zadd(keys.aggregation_sets, {taken: int(state.now) + 100})
    state.client.zadd(keys.group("emptied") + ":77", {"c": 1})
    state.client.zadd(keys.aggregation_sets, {keys.group("emptied") + ":77": int(state.now) + 50})

    queue = await inspector.queue("default")
    assert (queue.aggregating, queue.in_aggregation) == (1, 3)
    emptied, mail = await inspector.groups("default")
    assert (emptied.name, emptied.size, emptied.aggregations[0].size) == ("emptied", 0, 1)
    assert (mail.name, mail.size, mail.aggregations[0].id) == ("mail:7", 1, "5f0c")
    assert mail.aggregations[0].deadline == datetime.fromtimestamp(int(state.now) + 100, UTC)
    page = await inspector.tasks("default", "aggregating", group="mail:7", aggregation="5f0c")
    assert [task.id for task in page.tasks] == ["a", "b"]


async def test_latency_is_how_long_the_next_task_has_waited(inspector: Inspector, state: State):
    keys = state.queue()
    state.task(keys, "next", "pending", {"pending_since": str(int((state.now - 90) * 1e9))})
    state.task(keys, "later", "pending", {"pending_since": str(int(state.now * 1e9))})
    latency = (await inspector.queue("default")).latency
    assert latency is not None
    assert timedelta(seconds=89) < latency < timedelta(seconds=120)


async def test_latency_is_unknown_where_the_next_task_does_not_say(inspector: Inspector, state: State):
    state.task(state.queue(), "moved by Go's inspector", "pending")
    assert (await inspector.queue("default")).latency is None


async def test_a_clock_ahead_of_redis_makes_no_negative_latency(inspector: Inspector, state: State):
    state.task(state.queue(), "a", "pending", {"pending_since": str(int((state.now + 900) * 1e9))})
    assert (await inspector.queue("default")).latency == timedelta(0)


async def test_a_paused_queue_says_since_when(inspector: Inspector, state: State):
    keys = state.queue()
    state.client.set(keys.paused, 1700000000)
    queue = await inspector.queue("default")
    assert (queue.is_paused, queue.paused_at) == (True, datetime.fromtimestamp(1700000000, UTC))


async def test_a_queue_that_was_paused_by_hand_is_paused(inspector: Inspector, state: State):
    keys = state.queue()
    state.client.set(keys.paused, "until monday")
    queue = await inspector.queue("default")
    assert (queue.is_paused, queue.paused_at) == (True, None)


async def test_active_tasks_whose_lease_ran_out_are_orphaned(inspector: Inspector, state: State):
    keys = state.queue()
    for task_id in ("kept", "lost"):
        state.task(keys, task_id, "active")
    state.client.zadd(keys.lease, {"lost": int(state.now) - 1})
    assert (await inspector.queue("default")).orphaned == 1


async def test_counters_keep_every_digit(inspector: Inspector, state: State):
    keys = state.queue()
    state.client.set(keys.processed, 2**63 - 2)
    state.client.set(keys.failed, 2**53 + 1)
    queue = await inspector.queue("default")
    assert (queue.processed_total, queue.failed_total) == (2**63 - 2, 2**53 + 1)


async def test_crashes_are_counted_apart(one_day: None, inspector: Inspector, state: State):
    keys = state.queue()
    today = datetime.fromtimestamp(state.now, UTC).date()
    state.client.set(keys.crashed, 7)
    state.client.set(f"{keys.crashed}:{today}", 3)
    queue = await inspector.queue("default")
    assert (queue.crashed, queue.crashed_total, queue.failed) == (3, 7, 0)
    assert [day.crashed for day in await inspector.history("default", 2)] == [3, 0]


async def test_the_days_are_those_of_the_clock_of_redis(one_day: None, inspector: Inspector, state: State):
    keys = state.queue()
    today = datetime.fromtimestamp(state.now, UTC).date()
    for back, (processed, failed) in enumerate([(5, 1), (7, 2), (9, 0)]):
        day = today - timedelta(days=back)
        state.client.set(f"{keys.processed}:{day}", processed)
        if failed:
            state.client.set(f"{keys.failed}:{day}", failed)
    history = await inspector.history("default", days=4)
    assert [(day.processed, day.failed) for day in history] == [(5, 1), (7, 2), (9, 0), (0, 0)]
    assert [today - day.day for day in history] == [timedelta(days=back) for back in range(4)]
    queue = await inspector.queue("default")
    assert (queue.processed, queue.failed) == (5, 1)


@pytest.mark.parametrize("days", [0, 91])
async def test_a_history_that_nobody_keeps_is_refused(inspector: Inspector, days: int):
    with pytest.raises(OptionError, match="give 1 to 90"):
        await inspector.history("default", days=days)


async def test_a_queue_that_does_not_exist_is_said_to_be_missing(inspector: Inspector):
    for look in (
        inspector.queue("none"),
        inspector.groups("none"),
        inspector.history("none"),
        inspector.tasks("none", "pending"),
    ):
        with pytest.raises(QueueNotFound, match="no queue 'none'"):
            await look


async def test_memory_is_estimated_from_samples(inspector: Inspector, state: State):
    keys = state.queue()
    for i in range(100):
        state.task(keys, f"{i:03}", "pending", payload=b"x" * 1000)
    state.task(keys, "grouped", "aggregating", group_key="g", payload=b"x" * 100_000)
    memory = (await inspector.queue("default")).memory_bytes
    assert memory is not None
    assert 200_000 < memory < 400_000


async def test_queue_name_that_is_not_utf8_is_left_out_and_told_apart(inspector: Inspector, state: State):
    state.queue("good")
    state.client.sadd("asynq:queues", b"\xff")
    assert await inspector.queues() == ["good"]
    assert await inspector.unreadable_queues() == [b"\xff"]


async def test_tasks_and_groups_with_names_that_are_not_utf8_are_shown(inspector: Inspector, state: State):
    keys = state.queue()
    state.client.lpush(keys.pending, b"\xff")
    state.client.sadd(keys.groups, b"\xfe")
    state.client.zadd(keys.base.encode() + b"g:\xfe", {b"\xff": 1})
    [task] = (await inspector.tasks("default", "pending")).tasks
    assert (task.id, task.is_dangling) == ("\ufffd", True)
    assert [(group.name, group.size) for group in await inspector.groups("default")] == [("\ufffd", 1)]
    assert (await inspector.queue("default")).aggregating == 1
