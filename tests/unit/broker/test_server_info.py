"""What is concluded from INFO."""

import pytest

from rota.broker.server_info import ServerInfo, merge, read
from rota.errors import BrokerRefused

GOOD = "# Server\r\nredis_version:7.0.15\r\nrole:master\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\n"


def test_a_good_server_gives_no_warning() -> None:
    assert read(GOOD, "h:1") == ServerInfo("Redis", "7.0.15", "master", "noeviction", True)


@pytest.mark.parametrize("version", ["6.2.0", "6.2.14", "7.4.1", "8.0.0-rc1"])
def test_versions_from_the_oldest_on_are_taken(version: str) -> None:
    assert read(GOOD.replace("7.0.15", version), "h:1").version == version


@pytest.mark.parametrize(
    "text", ["redis_version:6.0.16\r\n", "server_name:valkey\r\nredis_version:7.2.4\r\nvalkey_version:7.1.9\r\n"]
)
def test_an_old_server_is_refused(text: str) -> None:
    with pytest.raises(BrokerRefused, match=r"too old; Rota needs Redis 6\.2 or Valkey 7\.2"):
        read(text, "h:1")


def test_a_replica_is_refused_and_its_master_named() -> None:
    with pytest.raises(BrokerRefused, match="read-only replica of m:7; point the broker URL at the master"):
        read(GOOD.replace("role:master", "role:slave\r\nmaster_host:m\r\nmaster_port:7"), "h:1")


def test_an_evicting_policy_is_warned_of() -> None:
    [warning] = read(GOOD.replace("noeviction", "allkeys-lru"), "h:1").warnings
    assert "maxmemory-policy allkeys-lru" in warning


def test_missing_persistence_is_warned_of_unless_there_are_snapshots() -> None:
    bare = GOOD.replace("aof_enabled:1", "aof_enabled:0")
    [warning] = read(bare, "h:1").warnings
    assert "keep nothing on disk" in warning
    assert read(bare + "rdb_saves:2\r\n", "h:1").warnings == ()
    assert read(bare + "rdb_last_load_keys_loaded:9\r\n", "h:1").warnings == ()


def test_the_masters_of_a_cluster_are_summed_up() -> None:
    worse = GOOD.replace("noeviction", "volatile-ttl").replace("aof_enabled:1", "aof_enabled:0")
    merged = merge([read(GOOD, "a"), read(worse, "b")])
    assert merged.nodes == 2
    assert (merged.eviction_policy, merged.append_only) == ("volatile-ttl", False)
    assert len(merged.warnings) == 2
