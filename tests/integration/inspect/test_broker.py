"""What the broker says about itself, on a single server, a Cluster and behind Sentinel, and for users of few rights."""

import pytest

from rota.broker import Broker, BrokerOptions
from rota.broker.sync import SyncBroker
from rota.errors import BrokerRefused
from rota.inspect import BrokerSnapshot, Inspector, SyncInspector
from tests.servers.clients import client
from tests.servers.fleet import ClusterFleet, SentinelFleet
from tests.servers.roles import as_role, make_user


def judgements(broker: BrokerSnapshot) -> dict[str, str]:
    return {fact.code: fact.judgement for fact in reversed(broker.all_facts)}


async def test_a_server_is_shown_with_its_facts(inspector: Inspector) -> None:
    broker = await inspector.broker()
    assert len(broker.nodes) >= 1
    node = broker.nodes[0]
    assert (node.product in ("Redis", "Valkey"), node.role, node.loading) == (True, "master", False)
    assert node.version is not None
    assert (node.memory_bytes or 0) > 0
    assert node.slow is not None
    assert judgements(broker)["version"] == "good"


def test_the_blocking_face_sees_the_same_servers(redis_url: str) -> None:
    with SyncBroker.from_url(as_role(redis_url, "inspector")) as broker:
        seen = SyncInspector(broker).broker()
        assert {node.product for node in seen.nodes} <= {"Redis", "Valkey"}
        assert (seen.cluster is None) == (seen.mode != "cluster")


@pytest.fixture
def little(redis_url: str) -> BrokerOptions:
    raw = client(redis_url)
    reads = ["+ping", "+select", "+eval", "+evalsha", "+cluster|slots", "+role", "+hello"]
    make_user(raw, "little", "reset", "on", ">secret", "~*", *reads)
    raw.close()
    return BrokerOptions(username="little", password="secret")


@pytest.mark.forbids
async def test_what_is_refused_is_unknown(redis_url: str, little: BrokerOptions) -> None:
    async with Broker.from_url(redis_url, options=little) as broker:
        seen = await Inspector(broker).broker()
    found = judgements(seen)
    assert (found["version"], found["slow"]) == ("unknown", "unknown")
    assert {node.version for node in seen.nodes} == {None}


@pytest.mark.forbids
async def test_a_wrong_password_is_an_error(redis_url: str) -> None:
    options = BrokerOptions(username="nobody", password="wrong")
    async with Broker.from_url(redis_url, options=options) as broker:
        with pytest.raises(BrokerRefused):
            await Inspector(broker).broker()


async def test_a_cluster_shows_all_masters(cluster: ClusterFleet) -> None:
    async with Broker.from_url(cluster.url) as broker:
        seen = await Inspector(broker).broker()
    assert seen.mode == "cluster"
    assert seen.cluster is not None
    assert (len(seen.nodes), seen.cluster.masters, seen.cluster.slots_ok) == (seen.cluster.masters, 3, 16384)
    assert judgements(seen)["cluster"] == "good"
    with SyncBroker.from_url(cluster.url) as sync_broker:
        assert {node.address for node in SyncInspector(sync_broker).broker().nodes} == {
            node.address for node in seen.nodes
        }


async def test_a_master_behind_sentinel_shows_its_replicas(sentinel: SentinelFleet) -> None:
    async with Broker.from_url(sentinel.url) as broker:
        seen = await Inspector(broker).broker()
    assert (seen.mode, len(seen.nodes)) == ("sentinel", 1)
    assert seen.nodes[0].replicas
    assert judgements(seen)["replicas"] in ("good", "watch")
