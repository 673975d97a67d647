"""Looking needs no more than the right to read."""

from collections.abc import Iterator

import pytest
import redis

from rota.broker import Broker, BrokerOptions
from rota.inspect import Inspector
from tests.integration.inspect.state import State
from tests.servers.process import Server, wait_until
from tests.servers.roles import make_user


async def look_at_everything(inspector: Inspector) -> None:
    await inspector.queues()
    await inspector.queue("default")
    await inspector.groups("default")
    await inspector.history("default")
    for state in ("pending", "active", "scheduled", "retry", "archived", "completed"):
        assert (await inspector.tasks("default", state)).total == 1
    await inspector.tasks("default", "aggregating", group="g")
    await inspector.task("default", "pending")
    await inspector.servers()
    assert [queue.queue for queue in (await inspector.overview()).queues] == ["default"]
    assert len((await inspector.broker()).nodes) >= 1
    assert len([page async for page in inspector.all_tasks("default", "pending")]) == 1


@pytest.fixture
def full(state: State) -> State:
    keys = state.queue()
    for name in ("pending", "active", "scheduled", "retry", "archived", "completed"):
        state.task(keys, name, name)
    state.task(keys, "grouped", "aggregating", group_key="g")
    state.client.zadd("asynq:servers", {"asynq:servers:{old:1:x}": 1})
    state.client.zadd(keys.aggregation_sets, {keys.group("g") + ":1": 1})
    return state


@pytest.fixture
def user(full: State):
    """A user who may only read, and not ask for memory."""
    name = "reader"
    reads = ["+@read", "+@connection", "+evalsha", "+eval", "+time", "+select", "+cluster|slots", "+role", "-memory"]
    make_user(full.client, name, "reset", "on", ">secret", "~*", *reads)
    return BrokerOptions(username=name, password="secret")


async def test_looking_changes_nothing(inspector: Inspector, full: State):
    before = full.everything()
    await look_at_everything(inspector)
    assert full.everything() == before


@pytest.mark.forbids
async def test_a_user_who_may_only_read_can_look(redis_url: str, user: BrokerOptions):
    async with Broker.from_url(redis_url, options=user) as broker:
        await look_at_everything(Inspector(broker))


@pytest.mark.forbids
async def test_memory_is_unknown_to_a_user_who_may_not_ask(redis_url: str, user: BrokerOptions):
    async with Broker.from_url(redis_url, options=user) as broker:
        assert (await Inspector(broker).queue("default")).memory_bytes is None


@pytest.fixture
def replica(redis_server: Server) -> Iterator[Server]:
    server = Server(config={"replicaof": f"127.0.0.1 {redis_server.port}"}).start()
    with redis.Redis(port=server.port) as client:
        wait_until(lambda: client.info("replication")["master_link_status"] == "up")
    yield server
    server.stop()


async def test_a_read_only_replica_is_enough(redis_url: str, replica: Server, full: State):
    full.client.wait(1, 10_000)
    database = redis_url.rpartition("=")[2]
    async with Broker.from_url(f"redis://127.0.0.1:{replica.port}/{database}") as broker:
        await look_at_everything(Inspector(broker))
