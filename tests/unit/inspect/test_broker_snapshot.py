"""What a server says about itself, and how it is judged."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rota.inspect.broker_snapshot import ClusterSnapshot, NodeSnapshot, ReplicaSnapshot, read_cluster, read_node
from rota.inspect.judgement import Fact, judge_node, judge_whole, size

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
GB = 10**9
WELL: dict[str, Any] = {
    "address": "a:6379",
    "product": "Valkey",
    "version": "8.1.0",
    "role": "master",
    "memory_bytes": GB,
    "memory_limit_bytes": 4 * GB,
    "eviction_policy": "noeviction",
    "evicted_keys": 0,
    "append_only": True,
    "append_only_failed": False,
    "snapshot_failed": False,
    "saves_snapshots": True,
    "clients": 12,
    "most_clients": 10_000,
    "rejected_clients": 0,
    "replicas": (),
    "slow": (),
}
INFO = b"""# Server
redis_version:7.2.4
server_name:valkey
valkey_version:8.1.0
uptime_in_seconds:90
# Clients
connected_clients:12
maxclients:10000
blocked_clients:3
# Memory
used_memory:1000
used_memory_peak:2000
total_system_memory:9000
maxmemory:0
maxmemory_policy:noeviction
mem_fragmentation_ratio:1.25
# Persistence
loading:0
rdb_saves:0
rdb_last_load_keys_loaded:7
rdb_last_bgsave_status:ok
aof_enabled:1
aof_last_write_status:err
# Stats
instantaneous_ops_per_sec:41
rejected_connections:2
evicted_keys:5
# Replication
role:master
connected_slaves:2
slave0:ip=10.0.0.1,port=6380,state=online,offset=1,lag=1
slave1:ip=10.0.0.2,port=6381,state=wait_bgsave,offset=0
# Keyspace
db0:keys=12,expires=1,avg_ttl=0
db3:keys=30,expires=0,avg_ttl=0
"""


def judged(**said: Any) -> dict[str, Fact]:
    facts = judge_node(NodeSnapshot(**{**WELL, **said}), NOW)
    return {fact.code: fact for fact in reversed(facts)}  # of several facts about a subject the worst


def test_everything_that_a_server_says_is_read() -> None:
    slow = [[7, 1767323045, 250_000, [b"evalsha", b"abc", b"1", b"asynq:{q}:pending", b"secret"], b"10.0.0.9:1", b""]]
    node = read_node("a:6379", INFO, slow)
    assert (node.product, node.version, node.role) == ("Valkey", "8.1.0", "master")
    assert (node.uptime, node.clients, node.most_clients) == (timedelta(seconds=90), 12, 10_000)
    assert (node.blocked_clients, node.rejected_clients, node.commands_per_second) == (3, 2, 41)
    assert (node.memory_bytes, node.memory_peak_bytes, node.memory_limit_bytes) == (1000, 2000, 0)
    assert (node.memory_of_machine_bytes, node.fragmentation) == (9000, 1.25)
    assert (node.eviction_policy, node.evicted_keys, node.keys) == ("noeviction", 5, 42)
    assert (node.append_only, node.append_only_failed, node.snapshot_failed) == (True, True, False)
    assert (node.saves_snapshots, node.loading) == (True, False)
    assert node.replicas == (
        ReplicaSnapshot("10.0.0.1:6380", "online", timedelta(seconds=1)),
        ReplicaSnapshot("10.0.0.2:6381", "wait_bgsave", None),
    )
    assert node.slow is not None
    [command] = node.slow
    assert (command.command, command.key, command.duration) == ("EVALSHA", "asynq:{q}:pending", timedelta(seconds=0.25))


def test_what_a_server_does_not_say_is_not_known() -> None:
    assert read_node("a:6379", None, None) == NodeSnapshot(address="a:6379")
    node = read_node("a:6379", b"redis_version:6.2.0\r\nmaxclients:many\r\n", [])
    assert (node.product, node.version, node.most_clients, node.slow) == ("Redis", "6.2.0", None, ())
    unknown = {fact.code for fact in judge_node(node, NOW) if fact.judgement == "unknown"}
    assert unknown == {"memory", "eviction", "persistence", "clients"}


def test_a_server_that_tells_nothing_is_unknown() -> None:
    facts = judge_node(NodeSnapshot(address="a:6379"), NOW)
    assert [(fact.code, fact.judgement) for fact in facts] == [("version", "unknown"), ("slow", "unknown")]
    assert all("ACL SETUSER" in fact.advice for fact in facts)


def test_a_server_that_is_well_needs_no_advice() -> None:
    facts = judged()
    assert {fact.judgement for fact in facts.values()} == {"good"}
    assert {fact.advice for fact in facts.values()} == {""}
    assert facts["memory"].what == "1.0 GB of 4.0 GB are used (25%)"


@pytest.mark.parametrize(
    ("said", "code", "judgement", "what"),
    [
        ({"loading": True}, "version", "bad", "loading its data"),
        ({"role": "replica"}, "version", "bad", "a replica"),
        ({"memory_bytes": 3 * GB}, "memory", "watch", "75%"),
        ({"memory_bytes": 3.7 * GB}, "memory", "bad", "92%"),
        ({"memory_limit_bytes": 0, "memory_of_machine_bytes": 8 * GB}, "memory", "good", "without a limit"),
        ({"memory_limit_bytes": 0, "memory_of_machine_bytes": 1.2 * GB}, "memory", "bad", "of its machine"),
        ({"fragmentation": 1.9}, "memory", "watch", "1.9 times"),
        ({"eviction_policy": "allkeys-lru"}, "eviction", "bad", "allkeys-lru"),
        ({"evicted_keys": 12_000}, "eviction", "watch", "12,000"),
        ({"append_only_failed": True}, "persistence", "bad", "append-only file"),
        ({"snapshot_failed": True}, "persistence", "bad", "last snapshot"),
        ({"append_only": False}, "persistence", "watch", "snapshots only"),
        ({"append_only": False, "saves_snapshots": False}, "persistence", "bad", "nothing on disk"),
        ({"clients": 7_500}, "clients", "watch", "7,500 clients"),
        ({"clients": 9_000}, "clients", "bad", "at most 10,000"),
        ({"rejected_clients": 3}, "clients", "watch", "3 were refused"),
        ({"most_clients": None}, "clients", "good", "12 clients connected"),
        (
            {"replicas": (ReplicaSnapshot("b:1", "online", timedelta(seconds=11)),)},
            "replicas",
            "watch",
            "1 replica behind: b:1",
        ),
        ({"replicas": (ReplicaSnapshot("b:1", "wait_bgsave", None),)}, "replicas", "watch", "b:1"),
        ({"slow": None}, "slow", "unknown", "slow log"),
    ],
)
def test_what_is_not_well_is_said_with_advice(said: Any, code: str, judgement: str, what: str) -> None:
    fact = judged(**said)[code]
    assert (fact.judgement, what in fact.what) == (judgement, True), fact
    assert bool(fact.advice) == (judgement != "good")


def test_only_slow_commands_of_the_last_hour_count() -> None:
    def entry(age: timedelta, milliseconds: int) -> list[Any]:
        return [1, int((NOW - age).timestamp()), milliseconds * 1000, [b"KEYS", b"*"], b"", b""]

    old, quick = entry(timedelta(hours=2), 900), entry(timedelta(minutes=1), 99)
    assert judged(slow=read_node("a", None, [old, quick]).slow)["slow"].judgement == "good"
    recent = [old, quick, entry(timedelta(minutes=5), 100), entry(timedelta(minutes=6), 1200)]
    fact = judged(slow=read_node("a", None, recent).slow)["slow"]
    assert (fact.judgement, "2 commands" in fact.what, "1,200 ms: KEYS *" in fact.what) == ("watch", True, True)


def test_the_worst_comes_first() -> None:
    node = NodeSnapshot(**{**WELL, "eviction_policy": "allkeys-lru", "clients": 8_000, "slow": None})
    assert [fact.judgement for fact in judge_node(node, NOW)][:4] == ["bad", "watch", "unknown", "good"]


def test_a_master_behind_sentinel_needs_a_replica() -> None:
    one = ReplicaSnapshot("b:1", "online", timedelta(0))
    for replicas, judgement in (((), "bad"), ((one,), "good"), (None, "unknown")):
        [fact] = judge_whole("sentinel", (NodeSnapshot(**{**WELL, "replicas": replicas}),), None)
        assert (fact.code, fact.judgement) == ("replicas", judgement)
    assert judge_whole("single", (NodeSnapshot(**WELL),), None) == ()


def test_a_cluster_is_judged_by_its_slots() -> None:
    text = (
        b"cluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:16384\r\ncluster_slots_pfail:0\r\n"
        b"cluster_slots_fail:0\r\ncluster_known_nodes:6\r\ncluster_size:3\r\n"
    )
    well = read_cluster(text)
    assert well == ClusterSnapshot(
        state="ok", nodes=6, masters=3, slots_assigned=16384, slots_ok=16384, slots_failing=0
    )
    nodes = (NodeSnapshot(**WELL),)
    assert [fact.judgement for fact in judge_whole("cluster", nodes, well)] == ["good"]
    ill = read_cluster(text.replace(b"slots_ok:16384", b"slots_ok:10923").replace(b"state:ok", b"state:fail"))
    [fact] = judge_whole("cluster", nodes, ill)
    assert (fact.judgement, "5,461 of its slots" in fact.what) == ("bad", True)
    assert judge_whole("cluster", nodes, None)[0].judgement == "unknown"


@pytest.mark.parametrize(("number", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (5 * 10**12, "5.0 TB")])
def test_sizes_are_written_for_people(number: int, text: str) -> None:
    assert size(number) == text
