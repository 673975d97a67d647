"""In a Cluster queues, servers and the lists of both live on different nodes."""

from collections.abc import AsyncIterator

import pytest

from rota.broker import Broker
from rota.client import Client
from rota.errors import BrokerError
from rota.inspect import Actions, Chosen, EditPayload, FreeLock, Inspector, SyncInspector, TaskRef
from rota.wire import enqueue, server_record
from rota.wire.enqueue import Item
from rota.wire.message import pack
from rota.wire.server_record import RunningTask, ServerState
from rota.wire.worker_about import WorkerAbout
from tests.integration.client.conftest import plan
from tests.servers.fleet import ClusterFleet
from tests.servers.process import Server, wait_until


@pytest.fixture
async def broker(cluster: ClusterFleet) -> AsyncIterator[Broker]:
    async with Broker.from_url(cluster.url) as broker:
        yield broker


async def test_queues_on_all_nodes_can_be_looked_at(broker: Broker):
    names = [f"looked-at-{i}" for i in range(12)]
    for name in names:
        await broker.execute("SADD", broker.keys.queues, name, key=broker.keys.queues)
        items = [Item("now", pack("t", b"", "now", queue=name)), Item("g", pack("t", b"", "g", queue=name), group="g")]
        await broker.run(enqueue.enqueue(broker.keys.queue(name), items))
    inspector = Inspector(broker)
    assert set(names) <= set(await inspector.queues())
    for name in names:
        queue = await inspector.queue(name)
        assert (queue.pending, queue.aggregating, queue.groups) == (1, 1, 1)
        assert (await inspector.task(name, "now")).type == "t"
        assert [task.id for task in (await inspector.tasks(name, "aggregating", group="g")).tasks] == ["g"]
    seen = {queue.queue: queue for queue in (await inspector.overview()).queues}
    assert {(seen[name].pending, seen[name].aggregating) for name in names} == {(1, 1)}
    with broker.sync() as sync_broker:
        again = {queue.queue: queue.size for queue in SyncInspector(sync_broker).overview().queues}
    assert again == {name: queue.size for name, queue in seen.items()}
    wanted = [(name, task_id) for name in names for task_id in ("now", "g")]
    assert set(await inspector.chosen_tasks(wanted)) == set(wanted)


async def test_payloads_and_locks_of_queues_on_all_nodes_are_changed(broker: Broker):
    names = [f"edited-{i}" for i in range(12)]
    jobs = [await Client(broker).enqueue(plan(b'{"a":1}', queue=name, unique="1h")) for name in names]
    refs, actions = [TaskRef(job.queue, job.id) for job in jobs], Actions(broker)
    for act in (EditPayload(fields={"a": 2}, run=True), FreeLock(force=True)):
        bulk = actions.bulk(act, Chosen(refs))
        async for _ in actions.batches(bulk):
            pass
        assert [bulk.outcomes[ref] for ref in refs] == ["done"] * 12
    assert {(await Inspector(broker).task(*ref)).payload for ref in refs} == {b'{"a":2}'}
    locks = [await actions.unique_lock(*ref) for ref in refs]
    assert [await broker.execute("EXISTS", lock, key=lock) for lock in locks] == [0] * 12


async def test_servers_on_all_nodes_are_shown(broker: Broker):
    about = WorkerAbout(version="0.5.0")
    states = [
        ServerState(host="cluster", pid=i, server_id=f"rota-{i}", concurrency=1, queues={"q": 1}, active=1, about=about)
        for i in range(12)
    ]
    task = RunningTask(id="1", type="t", payload=b"", queue="q")
    calls = [call for state in states for call in server_record.beat(broker.keys, state, [task])]
    assert not [reply for reply in await broker.run_many(calls) if isinstance(reply, BrokerError)]
    seen = [each for each in await Inspector(broker).servers() if each.host == "cluster"]
    assert [(each.pid, len(each.running), each.version) for each in seen] == [(i, 1, "0.5.0") for i in range(12)]

    cleared = [call for state in states for call in server_record.clear(broker.keys, state)]
    assert not [reply for reply in await broker.run_many(cleared) if isinstance(reply, BrokerError)]
    assert [each for each in await Inspector(broker).servers() if each.host == "cluster"] == []


async def test_move_on_a_node_that_a_plain_url_names_goes_by_steps() -> None:
    """The URL does not say that this is a Cluster, whose scripts reach one queue only."""
    server = Server(config={"cluster-enabled": "yes"}).start()
    try:
        with server.client() as client:
            client.execute_command("CLUSTER ADDSLOTS", *range(16384))
            wait_until(lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        async with Broker.from_url(server.url) as broker:
            await broker.execute("SADD", broker.keys.queues, "here", key=broker.keys.queues)
            await broker.run(enqueue.enqueue(broker.keys.queue("here"), [Item("x", pack("t", b"", "x", queue="here"))]))
            await Actions(broker).move("here", "x", "there", create=True)
            assert (await Inspector(broker).task("there", "x")).queue == "there"
    finally:
        server.stop()
