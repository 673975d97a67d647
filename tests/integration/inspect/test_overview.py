"""All queues at once."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rota.inspect import Inspector, Overview, QueueSnapshot
from rota.wire import server_record
from rota.wire.keys import Keys
from rota.wire.server_record import ServerState
from tests.integration.inspect.state import State

KEYS = Keys()


def still(queue: QueueSnapshot) -> QueueSnapshot:
    return replace(queue, taken_at=None, latency=None)


def add_server(state: State, name: str, queues: dict[str, int]) -> None:
    server = ServerState(host="h", pid=1, server_id=name, concurrency=3, queues=queues)
    key = KEYS.server("h", 1, name)
    state.client.set(key, server_record.pack_server(server), ex=60)
    state.client.zadd(KEYS.servers, {key: state.now + 60})


async def test_each_queue_is_as_when_it_is_read_alone(inspector: Inspector, state: State) -> None:
    for number in range(40):
        keys = state.queue(f"q{number:02}")
        for i in range(number % 4):
            state.task(keys, f"p{i}", "pending")
            state.task(keys, f"g{i}", "aggregating", group_key=f"g{i}")
    seen = await inspector.overview()
    assert [queue.queue for queue in seen.queues] == [f"q{number:02}" for number in range(40)]
    for queue in seen.queues:
        assert still(queue) == still(await inspector.queue(queue.queue))
    without = await inspector.overview(with_memory=False)
    assert {queue.memory_bytes for queue in without.queues} == {None}
    assert [replace(still(queue), memory_bytes=None) for queue in seen.queues] == [*map(still, without.queues)]


async def test_groups_beyond_one_page_are_counted(inspector: Inspector, state: State) -> None:
    keys = state.queue()
    names = [f"g{i}" for i in range(1500)]
    state.client.sadd(keys.groups, *names)
    for name in names:
        state.client.zadd(keys.group(name), {name: 1})
    [queue] = (await inspector.overview()).queues
    assert (queue.groups, queue.aggregating) == (1500, 1500)


async def test_many_queues_are_read_in_few_bursts(
    inspector: Inspector, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        state.queue(f"q{number}")
    sent: list[int] = []
    broker = inspector._requests._broker
    run_many = broker.run_many

    async def counting(calls: Sequence[Any]) -> Any:
        sent.append(len(calls))
        return await run_many(calls)

    monkeypatch.setattr(broker, "run_many", counting)
    await inspector.overview(with_memory=False)
    assert sent == [32, 32, 16]


async def test_a_queue_with_a_key_of_another_type_does_not_hide_the_others(inspector: Inspector, state: State) -> None:
    state.task(state.queue("well"), "a", "pending")
    state.client.set(state.queue("broken").pending, "not a list")
    seen = await inspector.overview()
    assert [(queue.queue, queue.pending) for queue in seen.queues] == [("well", 1)]
    assert "WRONGTYPE" in seen.broken["broken"]


async def test_it_says_who_consumes_a_queue(inspector: Inspector, state: State) -> None:
    for name in ("mail", "low", "alone"):
        state.queue(name)
    add_server(state, "rota-1", {"mail": 2, "low": 1})
    add_server(state, "go", {"mail": 1})
    seen = await inspector.overview()
    assert [server.id for server in seen.consumers("mail")] == ["go", "rota-1"]
    assert [server.id for server in seen.consumers("low")] == ["rota-1"]
    assert seen.consumers("alone") == ()


async def test_rates_are_those_between_two_looks(inspector: Inspector, state: State) -> None:
    keys, other = state.queue("mail"), state.queue("reset")
    for key, number in ((keys.processed, 100), (keys.failed, 10), (other.processed, 50)):
        state.client.set(key, number)
    before = await inspector.overview()
    state.queue("new")
    for key, number in ((keys.processed, 130), (keys.failed, 15), (other.processed, 1)):
        state.client.set(key, number)
    after = replace(await inspector.overview(), taken_at=before.taken_at + timedelta(seconds=10))
    rates = after.rates(before)
    assert rates.keys() == {"mail"}
    assert (rates["mail"].processed, rates["mail"].failed) == (3.0, 0.5)
    assert before.rates(before) == {}


async def test_nothing_is_nothing(inspector: Inspector) -> None:
    seen: Overview = await inspector.overview()
    assert (seen.queues, seen.servers, seen.broken) == ((), (), {})
