import time
from datetime import UTC, datetime, timedelta

import pytest

from rota.broker import Broker
from rota.inspect import Inspector, RunningSnapshot, ServerSnapshot
from rota.wire import look_server, server_record
from rota.wire.server_record import RunningTask, ServerState
from rota.wire.worker_about import WorkerAbout
from tests.integration.inspect.state import State

STARTED_NS = 1700000000_500000000


def described(name: str = "a", **more) -> ServerState:
    return ServerState(
        host="host", pid=7, server_id=name, concurrency=10, queues={"low": 1, "high": 5}, started_ns=STARTED_NS, **more
    )


@pytest.fixture
async def broker(redis_url: str):
    async with Broker.from_url(redis_url) as broker:
        yield broker


async def test_a_server_is_shown_with_what_it_runs(broker: Broker):
    task = RunningTask(id="1", type="t", payload=b"{}", queue="low", started_ns=STARTED_NS)
    await broker.run_many(server_record.beat(broker.keys, described(active=1), [task]))
    started = datetime(2023, 11, 14, 22, 13, 20, 500_000, UTC)
    assert await Inspector(broker).servers() == [
        ServerSnapshot(
            id="a",
            host="host",
            pid=7,
            concurrency=10,
            queues={"low": 1, "high": 5},
            strict_priority=False,
            status="active",
            started_at=started,
            active=1,
            running=(RunningSnapshot(id="1", type="t", payload=b"{}", queue="low", started_at=started, deadline=None),),
        )
    ]


ABOUT = WorkerAbout(
    version="0.5.0",
    python="3.12.1",
    memory_bytes=71_303_168,
    blocked_by="task 1 (t) in queue low",
    blocked_seconds=12.5,
    last_blocked_seconds=1.5,
)


async def test_a_worker_of_rota_is_shown_with_its_version_its_memory_and_what_blocks_it(broker: Broker):
    await broker.run_many(server_record.beat(broker.keys, described("rota-a", about=ABOUT), []))
    await broker.run_many(server_record.beat(broker.keys, described("rota-old"), []))
    await broker.run_many(server_record.beat(broker.keys, described("of-go"), []))
    go, new, old = await Inspector(broker).servers()
    assert (new.version, new.python_version, new.memory_bytes) == ("0.5.0", "3.12.1", 71_303_168)
    assert new.blocked_by == "task 1 (t) in queue low"
    assert (new.blocked_for, new.last_blocked_for) == (timedelta(seconds=12.5), timedelta(seconds=1.5))
    for each in (go, old):
        assert (each.version, each.python_version, each.memory_bytes) == (None, None, None)
        assert (each.blocked_by, each.blocked_for, each.last_blocked_for) == (None, None, None)


async def test_the_record_of_go_has_no_byte_of_what_only_rota_tells(broker: Broker, state: State):
    await broker.run_many(server_record.beat(broker.keys, described("rota-a", about=ABOUT), []))
    stored = state.client.get("asynq:servers:{host:7:rota-a}")
    assert stored == server_record.pack_server(described("rota-a"))
    assert not state.client.exists("asynq:workers:{host:7:rota-a}")


async def test_what_a_worker_tells_lives_as_long_as_its_record_and_leaves_no_trace(broker: Broker, state: State):
    told = described("rota-a", about=ABOUT)
    await broker.run_many(server_record.beat(broker.keys, told, [], timedelta(seconds=40)))
    assert all(30 < state.client.ttl(f"{name}:{{host:7:rota-a}}") <= 40 for name in ("asynq:servers", "rota:about"))
    await broker.run_many(server_record.clear(broker.keys, told))
    assert state.everything() == {}


async def test_a_server_that_another_program_describes_is_shown_without_the_description(broker: Broker, state: State):
    await broker.run_many(server_record.beat(broker.keys, described("rota-a"), []))
    await broker.run_many(server_record.beat(broker.keys, described("of-go"), []))
    about = "rota:about:{host:7:rota-a}"
    state.client.set("rota:about:{host:7:of-go}", ABOUT.to_json())
    for stored in (b"\xff", b"[]", b'{"version": 7}', b'"' + b"x" * 100_000 + b'"'):
        state.client.set(about, stored)
        assert [each.version for each in await Inspector(broker).servers()] == [None, None]
    state.client.delete(about)
    state.client.lpush(about, "a list")
    assert [each.id for each in await Inspector(broker).servers()] == ["of-go", "rota-a"]
    await broker.run_many(server_record.beat(broker.keys, described("rota-a", about=ABOUT), []))
    assert [each.version for each in await Inspector(broker).servers()] == [None, "0.5.0"]


async def test_a_beat_replaces_the_beat_before(broker: Broker):
    tasks = [RunningTask(id=str(i), type="t", payload=b"", queue="low") for i in range(3)]
    await broker.run_many(server_record.beat(broker.keys, described(), tasks))
    await broker.run_many(server_record.beat(broker.keys, described(status="closed"), tasks[1:2]))
    (seen,) = await Inspector(broker).servers()
    assert (seen.status, [task.id for task in seen.running]) == ("closed", ["1"])


async def test_a_record_lives_for_ten_seconds(broker: Broker, state: State):
    before = int(time.time())
    await broker.run_many(
        server_record.beat(broker.keys, described(), [RunningTask(id="1", type="t", payload=b"", queue="low")])
    )
    for key in ("asynq:servers:{host:7:a}", "asynq:workers:{host:7:a}"):
        assert before + 10 <= state.client.expiretime(key) <= time.time() + 11
    for key in ("asynq:servers", "asynq:workers"):
        [(_, expires)] = state.client.zrange(key, 0, -1, withscores=True)
        assert before + 10 <= expires <= time.time() + 10


async def test_a_clean_stop_leaves_no_trace(broker: Broker, state: State):
    await broker.run_many(
        server_record.beat(broker.keys, described(), [RunningTask(id="1", type="t", payload=b"", queue="low")])
    )
    await broker.run_many(server_record.clear(broker.keys, described()))
    assert state.everything() == {}


async def test_servers_that_are_long_gone_are_not_shown_and_leave_the_list_with_the_next_beat(
    broker: Broker, state: State
):
    state.client.zadd("asynq:servers", {f"asynq:servers:{{old:{i}:x}}": int(state.now) - 4000 for i in range(50)})
    state.client.zadd("asynq:servers", {"asynq:servers:{cut off:1:y}": int(state.now) + 60})
    await broker.run_many(server_record.beat(broker.keys, described(), []))
    assert [seen.id for seen in await Inspector(broker).servers()] == ["a"]
    assert state.client.zcard("asynq:servers") == 2


async def test_many_servers_are_shown_in_order(broker: Broker):
    for i in range(600):
        await broker.run_many(server_record.beat(broker.keys, described(f"{i:03}"), []))
    assert [seen.id for seen in await Inspector(broker).servers()] == [f"{i:03}" for i in range(600)]


async def test_a_record_that_cannot_be_read_does_not_hide_the_others(broker: Broker, state: State):
    await broker.run_many(server_record.beat(broker.keys, described(), []))
    state.client.zadd("asynq:servers", {"asynq:servers:{bad:1:z}": int(state.now) + 60})
    state.client.set("asynq:servers:{bad:1:z}", b"\xff\xff")
    state.client.hset("asynq:workers:{host:7:a}", "1", b"\xff\xff")
    (seen,) = await Inspector(broker).servers()
    assert (seen.id, seen.running) == ("a", ())


async def test_a_server_that_beats_between_two_pages_hides_no_other_one(broker: Broker, state: State):
    now = int(time.time())
    state.client.zadd(broker.keys.servers, {"old": now + 100, "middle": now + 110, "new": now + 120})
    page = await broker.run(look_server.servers(broker.keys, 0, 2))
    state.client.zadd(broker.keys.servers, dict.fromkeys(page, now + 130))
    rest = await broker.run(look_server.servers(broker.keys, 2, 2))
    assert {*page, *rest} == {"old", "middle", "new"}


async def test_a_go_server_whose_clock_is_wrong_is_live_while_it_has_a_record(broker: Broker, state: State):
    now = int(time.time())
    await broker.run_many(
        server_record.beat(broker.keys, described("slow"), [RunningTask(id="1", type="t", payload=b"", queue="low")])
    )
    state.client.zadd(
        "asynq:servers", {"asynq:servers:{host:7:slow}": now - 600, "asynq:servers:{host:7:dead}": now - 5}
    )
    await broker.run_many(server_record.beat(broker.keys, described("other"), []))
    seen = {each.id: [task.id for task in each.running] for each in await Inspector(broker).servers()}
    assert seen == {"slow": ["1"], "other": []}
