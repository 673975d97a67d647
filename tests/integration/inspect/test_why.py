from datetime import timedelta

import pytest

from rota.broker import Broker
from rota.errors import TaskNotFound
from rota.inspect import Inspector
from rota.inspect.waiting import Reason
from rota.tasks.job import TaskState
from rota.wire.keys import Keys
from rota.wire.server_record import RunningTask, ServerState, beat, publish
from tests.integration.inspect.state import State
from tests.servers.process import free_port


def server(state: State, *, id: str = "s1", types: str = "", **words: object) -> ServerState:
    """Write the record of a live server, as its heartbeat does. `types` are published as the record of a Rota app."""
    server = ServerState(
        **{"host": "web", "pid": 7, "server_id": id, "concurrency": 2, "queues": {"default": 1}, **words}  # type: ignore[arg-type]
    )
    running = [RunningTask(id="busy", type="t", payload=b"", queue="default")] if server.active else []
    calls = beat(Keys(), server, running, timedelta(minutes=5), types="digest" if types else "")
    if types:
        record = b'{"types":[{"type":"%s"}],"matching":"segments","omitted":0}' % types.encode()
        calls.append(publish(Keys(), "digest", record, timedelta(minutes=5)))  # type: ignore[arg-type]
    for call in calls:
        state.client.execute_command(*call.command(by_source=True))
    return server


async def reasons(inspector: Inspector, id: str = "a") -> list[Reason]:
    return [cause.reason for cause in (await inspector.why("default", id)).causes]


async def test_task_of_a_queue_without_a_server_says_so(inspector: Inspector, state: State):
    keys = state.queue()
    state.task(keys, "a", "pending")
    state.task(keys, "b", "pending")
    assert await reasons(inspector, "a") == [Reason.NO_SERVER, Reason.NEXT]
    waiting = await inspector.why("default", "b")
    assert (waiting.state, waiting.type) == (TaskState.PENDING, "t")
    assert [cause.reason for cause in waiting.causes] == [Reason.NO_SERVER, Reason.BEHIND]
    assert waiting.causes[1].facts["ahead"] == 1


async def test_paused_queue_is_said_first(inspector: Inspector, state: State):
    keys = state.queue()
    state.task(keys, "a", "pending")
    state.client.set(keys.paused, 1700000000)
    waiting = await inspector.why("default", "a")
    assert waiting.causes[0].reason is Reason.QUEUE_PAUSED
    assert str(waiting.causes[0].facts["since"]) == "2023-11-14 22:13:20+00:00"


async def test_go_server_may_handle_the_type_and_rota_server_says_that_it_does_not(inspector: Inspector, state: State):
    state.task(state.queue(), "a", "pending")
    server(state)
    assert await reasons(inspector) == [Reason.TYPE_UNSURE, Reason.NEXT]
    server(state, types="other")
    assert await reasons(inspector) == [Reason.TYPE_UNKNOWN, Reason.NEXT]
    server(state, id="s2", types="t")
    assert await reasons(inspector) == [Reason.NEXT]


async def test_quiet_and_full_servers_are_told_apart(inspector: Inspector, state: State):
    state.task(state.queue(), "a", "pending")
    server(state, types="t", status="stopped")
    assert await reasons(inspector) == [Reason.SERVERS_QUIET, Reason.NEXT]
    server(state, types="t", active=2)
    assert await reasons(inspector) == [Reason.SLOTS_BUSY, Reason.NEXT]


async def test_planned_retried_and_grouped_tasks_say_for_what_they_wait(inspector: Inspector, state: State):
    keys = state.queue()
    server(state, types="t")
    state.task(keys, "s", "scheduled")
    state.task(keys, "r", "retry", error_msg="boom")
    state.task(keys, "g", "aggregating", {"group": "g1"}, group_key="g1")
    assert await reasons(inspector, "s") == [Reason.NOT_DUE]
    assert await reasons(inspector, "r") == [Reason.RETRY_LATER]
    assert await reasons(inspector, "g") == [Reason.IN_GROUP]
    state.client.zrem(keys.group("g1"), "g")
    assert await reasons(inspector, "g") == [Reason.IN_AGGREGATION]


async def test_task_that_is_in_no_list_is_not_listed(inspector: Inspector, state: State):
    keys = state.queue()
    server(state, types="t")
    state.task(keys, "a", "pending")
    state.client.delete(keys.pending)
    assert await reasons(inspector) == [Reason.NOT_LISTED]


async def test_active_task_says_where_it_runs(inspector: Inspector, state: State):
    keys = state.queue()
    state.task(keys, "busy", "active")
    server(state, types="t", active=1)
    waiting = await inspector.why("default", "busy")
    assert [(cause.reason, cause.facts["server"]) for cause in waiting.causes] == [(Reason.RUNNING, "web:7 (Go)")]
    state.client.zadd(keys.lease, {"busy": 1})
    assert await reasons(inspector, "busy") == [Reason.LEASE_EXPIRED]


async def test_lock_of_another_task_is_named(inspector: Inspector, state: State):
    keys = state.queue()
    server(state, types="t")
    lock = "asynq:{default}:unique:t:1"
    state.task(keys, "a", "pending", {"unique_key": lock}, unique_key=lock)
    state.task(keys, "b", "retry", {"unique_key": lock}, unique_key=lock)
    state.client.set(lock, "b")
    waiting = await inspector.why("default", "a")
    assert [cause.reason for cause in waiting.causes] == [Reason.LOCK_HELD, Reason.NEXT]
    assert waiting.causes[0].facts == {"holder": "b", "state": "retry"}


async def test_watched_queue_gives_a_forecast(inspector: Inspector, state: State):
    keys = state.queue()
    state.task(keys, "first", "pending")
    state.task(keys, "a", "pending")
    act = type(inspector).why.__wrapped__(inspector, "default", "a", watch="1s")
    answers = {"Pause": lambda: state.client.set(keys.processed, 1000)}
    step = next(act)
    try:
        while True:
            name = type(step).__name__
            # The queue works off tasks while the read waits; the wait itself is skipped.
            step = act.send(answers[name]() if name in answers else await inspector.carry_out(only(step)))
    except StopIteration as end:
        behind = next(cause for cause in end.value.causes if cause.reason is Reason.BEHIND)
    assert behind.facts["per_second"] is not None
    assert behind.facts["forecast"] is not None


async def test_forecast_comes_from_the_last_minutes_that_workers_counted(inspector: Inspector, state: State):
    keys = state.queue()
    state.task(keys, "first", "pending")
    state.task(keys, "a", "pending")
    for back in range(1, 6):
        key = f"{keys.minute_prefix}{int(state.now // 60) - back}"
        state.client.hset(key, mapping={"succeeded:t": 500, "retried:t": 100, "crashed:t": 7})
    [*_, behind] = (await inspector.why("default", "a")).causes
    # A minute may begin between the test and the read, and the first of the minutes is then out of sight.
    assert behind.facts["per_second"] in (10.0, 8.0)
    server(state)  # a Go server, whose tasks are not in these counts
    [*_, behind] = (await inspector.why("default", "a")).causes
    assert behind.facts["per_second"] is None


def only(step):
    """A description of one step."""
    return (yield step)


async def test_unknown_task_is_refused(inspector: Inspector, state: State):
    state.queue()
    with pytest.raises(TaskNotFound, match="no task"):
        await inspector.why("default", "nobody")


async def test_server_that_is_away_is_the_cause():
    async with Broker.from_url(f"redis://127.0.0.1:{free_port()}/0") as broker:
        waiting = await Inspector(broker.within(timedelta(0))).why("default", "a")
    assert (waiting.state, [cause.reason for cause in waiting.causes]) == (None, [Reason.SERVER_UNREACHABLE])
