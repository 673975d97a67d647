"""The face for blocking code reads and does what the face for asyncio does."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rota.broker import Broker
from rota.broker.sync import SyncBroker
from rota.errors import QueueNotFound, TaskNotFound
from rota.inspect import Actions, Inspector, QueueSnapshot, SyncActions, SyncInspector
from rota.tasks.job import TaskState
from rota.wire import server_record
from rota.wire.keys import Keys
from rota.wire.scheduler_entry import EntryRecord, entries_key, list_key, pack_entry
from rota.wire.server_record import RunningTask, ServerState
from tests.integration.inspect.state import State
from tests.servers.roles import as_role

KEYS = Keys()


@pytest.fixture
def twin(redis_url: str) -> Iterator[SyncInspector]:
    with SyncBroker.from_url(as_role(redis_url, "inspector")) as broker:
        yield SyncInspector(broker)


def fill(state: State) -> None:
    for name in ("mail", "low"):
        keys = state.queue(name)
        for task_state in ("pending", "active", "scheduled", "retry", "archived", "completed"):
            state.task(keys, task_state, task_state, {"rota_log": "one\n"}, payload=b"{}")
        state.task(keys, "grouped", "aggregating", group_key="g")
        taken = keys.group("g") + ":5f0c"
        state.client.zadd(taken, {"a": 1, "b": 2})
        state.client.zadd(keys.aggregation_sets, {taken: int(state.now) + 100})
    server = ServerState(host="h", pid=1, server_id="rota-1", concurrency=3, queues={"mail": 1})
    running = RunningTask(id="active", type="t", payload=b"{}", queue="mail")
    own, workers = KEYS.server("h", 1, "rota-1"), KEYS.worker("h", 1, "rota-1")
    state.client.set(own, server_record.pack_server(server), ex=60)
    state.client.hset(workers, "active", server_record.pack_running(server, running))
    state.client.zadd(KEYS.servers, {own: state.now + 60})
    entry = EntryRecord("e1", "@every 1m", "t", b"", ('Queue("low")',), None, None)
    state.client.rpush(entries_key(KEYS, "h", 2, "s"), pack_entry(entry))
    state.client.zadd(list_key(KEYS), {entries_key(KEYS, "h", 2, "s"): state.now + 60})


def still(queue: QueueSnapshot) -> QueueSnapshot:
    return replace(queue, taken_at=None, latency=None)


async def test_both_faces_read_the_same(inspector: Inspector, twin: SyncInspector, state: State) -> None:
    fill(state)
    assert twin.queues() == await inspector.queues() == ["low", "mail"]
    assert twin.unreadable_queues() == await inspector.unreadable_queues() == []
    assert still(twin.queue("mail")) == still(await inspector.queue("mail"))
    assert twin.history("mail") == await inspector.history("mail")
    assert twin.groups("mail") == await inspector.groups("mail")
    for task_state in (each for each in TaskState if each is not TaskState.AGGREGATING):
        ours, theirs = twin.tasks("mail", task_state).tasks[0], (await inspector.tasks("mail", task_state)).tasks[0]
        assert replace(ours, next_process_at=None) == replace(theirs, next_process_at=None)
        alone = await inspector.task("mail", task_state)
        assert replace(twin.task("mail", task_state), next_process_at=None) == replace(alone, next_process_at=None)
    wanted = [("mail", "retry"), ("low", "grouped"), ("low", "gone")]
    assert twin.chosen_tasks(wanted) == await inspector.chosen_tasks(wanted)
    assert twin.servers() == await inspector.servers()
    assert [server.active for server in twin.servers()] == [0]
    assert twin.scheduler_entries() == await inspector.scheduler_entries()
    assert [entry.id for entry in twin.scheduler_entries()] == ["e1"]
    assert twin.enqueue_events("e1") == await inspector.enqueue_events("e1") == []
    assert twin.types() == await inspector.types()


def test_a_scheduler_with_thousands_of_entries_is_read_page_by_page(twin: SyncInspector, state: State) -> None:
    key = entries_key(KEYS, "h", 2, "rota-s")
    records = [pack_entry(EntryRecord(f"e{i:04}", "@daily", "t", b"", (), None, None)) for i in range(2000)]
    state.client.rpush(key, *records)
    state.client.zadd(list_key(KEYS), {key: state.now + 60})
    assert [entry.id for entry in twin.scheduler_entries()] == [f"e{i:04}" for i in range(2000)]
    state.client.rpush(key, records[0])
    assert len(twin.scheduler_entries()) == 2000


async def test_both_faces_raise_the_same(inspector: Inspector, twin: SyncInspector) -> None:
    for read in ("queue", "history", "groups"):
        with pytest.raises(QueueNotFound, match="no queue 'nowhere'"):
            getattr(twin, read)("nowhere")
        with pytest.raises(QueueNotFound, match="no queue 'nowhere'"):
            await getattr(inspector, read)("nowhere")
    with pytest.raises(TaskNotFound):
        twin.task("nowhere", "x")


async def _done(outcome: Any) -> None:
    if outcome is not None:
        await outcome


@pytest.mark.parametrize("blocking", [True, False])
async def test_the_actions_on_one_task_are_those_of_a_client(redis_url: str, state: State, blocking: bool) -> None:
    keys = state.queue("mail")
    for name in ("run", "delete", "cancel", "edit", "later"):
        state.task(keys, name, "scheduled")
    url = as_role(redis_url, "producer")
    with SyncBroker.from_url(url) as sync_broker:
        async with Broker.from_url(url) as broker:
            actions: Any = SyncActions(sync_broker) if blocking else Actions(broker)
            await _done(actions.run_now("mail", "run"))
            await _done(actions.delete("mail", "delete"))
            await _done(actions.cancel("mail", "cancel", "not needed"))
            await _done(actions.update_payload("mail", "edit", b"new"))
            await _done(actions.reschedule("mail", "later", timedelta(hours=1)))
    assert state.client.lrange(keys.pending, 0, -1) == [b"run"]
    assert not state.client.exists(keys.task("delete"))
    assert state.client.hget(keys.task("cancel"), "state") == b"archived"
    assert b"new" in state.client.hget(keys.task("edit"), "msg")
    assert state.client.zscore(keys.scheduled, "later") > state.now + 3000
