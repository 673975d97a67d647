"""Snapshots of the broker: what each of its servers says about itself in `INFO`, its slow log, and its Cluster.

A managed server may refuse these commands, and a server may leave out a line. A fact that is not known is
None.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rota.broker.server_info import lines_of
from rota.broker.url import Mode
from rota.inspect.judgement import Fact


@dataclass(frozen=True, slots=True)
class SlowCommand:
    """A command that took long. `key` is the first argument of a plain command, or the first key of a script."""

    at: datetime
    duration: timedelta
    command: str
    key: str


@dataclass(frozen=True, slots=True)
class ReplicaSnapshot:
    """A replica as its master sees it. `lag` is the time since it last answered."""

    address: str
    state: str
    lag: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSnapshot:
    """One server. `facts` say in words what is well with it and what is not.

    `memory_limit_bytes` is 0 without a limit. `saves_snapshots` is whether a snapshot was saved since the start, or
    loaded at the start. `slow` has the latest slow commands.
    """

    address: str
    product: str | None = None
    version: str | None = None
    role: str | None = None
    uptime: timedelta | None = None
    memory_bytes: int | None = None
    memory_peak_bytes: int | None = None
    memory_limit_bytes: int | None = None
    memory_of_machine_bytes: int | None = None
    fragmentation: float | None = None
    eviction_policy: str | None = None
    evicted_keys: int | None = None
    append_only: bool | None = None
    append_only_failed: bool | None = None
    saves_snapshots: bool | None = None
    snapshot_failed: bool | None = None
    loading: bool | None = None
    clients: int | None = None
    blocked_clients: int | None = None
    most_clients: int | None = None
    rejected_clients: int | None = None
    commands_per_second: int | None = None
    keys: int | None = None
    replicas: tuple[ReplicaSnapshot, ...] | None = None
    slow: tuple[SlowCommand, ...] | None = None
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSnapshot:
    """A Cluster as one of its nodes sees it. `slots_assigned` of its 16384 slots are served if all are ok."""

    state: str
    nodes: int
    masters: int
    slots_assigned: int
    slots_ok: int
    slots_failing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSnapshot:
    """The broker: each master, and the Cluster if it is one. `facts` are about the whole."""

    mode: Mode
    nodes: tuple[NodeSnapshot, ...]
    cluster: ClusterSnapshot | None = None
    facts: tuple[Fact, ...] = ()

    @property
    def all_facts(self) -> tuple[Fact, ...]:
        """The facts about the whole and about each node."""
        return (*self.facts, *(fact for node in self.nodes for fact in node.facts))


def read_node(address: str, info: bytes | None, slow: Sequence[Any] | None) -> NodeSnapshot:
    """Read the reply to `INFO` and to `SLOWLOG GET`; None for a command that was refused."""
    said = _said(info or b"")
    if not said:
        return NodeSnapshot(address=address, slow=_slow(slow))
    is_valkey = said.get("server_name") == "valkey" or "valkey_version" in said
    return NodeSnapshot(
        address=address,
        product="Valkey" if is_valkey else "Redis",
        version=said.get("valkey_version") or said.get("redis_version"),
        role={"slave": "replica"}.get(said.get("role", ""), said.get("role")),
        uptime=_seconds(_number(said, "uptime_in_seconds")),
        memory_bytes=_number(said, "used_memory"),
        memory_peak_bytes=_number(said, "used_memory_peak"),
        memory_limit_bytes=_number(said, "maxmemory"),
        memory_of_machine_bytes=_number(said, "total_system_memory"),
        fragmentation=_real(said, "mem_fragmentation_ratio"),
        eviction_policy=said.get("maxmemory_policy"),
        evicted_keys=_number(said, "evicted_keys"),
        append_only=_flag(said, "aof_enabled"),
        append_only_failed=_failed(said, "aof_last_write_status"),
        saves_snapshots=_saves(said),
        snapshot_failed=_failed(said, "rdb_last_bgsave_status"),
        loading=_flag(said, "loading"),
        clients=_number(said, "connected_clients"),
        blocked_clients=_number(said, "blocked_clients"),
        most_clients=_number(said, "maxclients"),
        rejected_clients=_number(said, "rejected_connections"),
        commands_per_second=_number(said, "instantaneous_ops_per_sec"),
        keys=_keys(said),
        replicas=_replicas(said),
        slow=_slow(slow),
    )


def read_cluster(reply: bytes) -> ClusterSnapshot:
    """Read the reply to `CLUSTER INFO`."""
    said = _said(reply)
    return ClusterSnapshot(
        state=said.get("cluster_state", "unknown"),
        nodes=_number(said, "cluster_known_nodes") or 0,
        masters=_number(said, "cluster_size") or 0,
        slots_assigned=_number(said, "cluster_slots_assigned") or 0,
        slots_ok=_number(said, "cluster_slots_ok") or 0,
        slots_failing=(_number(said, "cluster_slots_pfail") or 0) + (_number(said, "cluster_slots_fail") or 0),
    )


def _said(info: bytes) -> dict[str, str]:
    return lines_of(info.decode(errors="replace"))


def _number(said: Mapping[str, str], name: str) -> int | None:
    value = _real(said, name)
    return None if value is None else int(value)


def _real(said: Mapping[str, str], name: str) -> float | None:
    try:
        return float(said[name])
    except (KeyError, ValueError):
        return None


def _flag(said: Mapping[str, str], name: str) -> bool | None:
    return None if name not in said else said[name] == "1"


def _failed(said: Mapping[str, str], name: str) -> bool | None:
    return None if name not in said else said[name] != "ok"


def _saves(said: Mapping[str, str]) -> bool | None:
    # INFO does not report the configured `save`, and CONFIG may be refused.
    found = [_number(said, name) for name in ("rdb_saves", "rdb_last_load_keys_loaded")]
    return None if all(value is None for value in found) else any(found)


def _seconds(seconds: int | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


def _keys(said: Mapping[str, str]) -> int | None:
    """Add up the keys of all databases: `db0:keys=12,expires=1,avg_ttl=0`. A server without keys has no such line."""
    total = 0
    for name, value in said.items():
        if name.startswith("db") and name[2:].isdigit():
            total += int(dict(pair.split("=", 1) for pair in value.split(",") if "=" in pair).get("keys", "0"))
    return total


def _replicas(said: Mapping[str, str]) -> tuple[ReplicaSnapshot, ...] | None:
    number = _number(said, "connected_slaves")
    if number is None:
        return None
    found: list[ReplicaSnapshot] = []
    for i in range(number):
        own = dict(pair.split("=", 1) for pair in said.get(f"slave{i}", "").split(",") if "=" in pair)
        lag = own.get("lag", "")
        found.append(
            ReplicaSnapshot(
                address=f"{own.get('ip', '?')}:{own.get('port', '?')}",
                state=own.get("state", "unknown"),
                lag=timedelta(seconds=int(lag)) if lag.isdigit() else None,
            )
        )
    return tuple(found)


def _slow(reply: Sequence[Any] | None) -> tuple[SlowCommand, ...] | None:
    if reply is None:
        return None
    return tuple(_slow_command(entry) for entry in reply)


def _slow_command(entry: Sequence[Any]) -> SlowCommand:
    # The other arguments are not shown, because they are payloads and scripts.
    words = [word.decode(errors="replace") for word in entry[3]]
    command = words[0].upper() if words else ""
    is_script = command in ("EVAL", "EVALSHA", "FCALL") and len(words) > 3
    key = words[3] if is_script else words[1] if len(words) > 1 else ""
    return SlowCommand(datetime.fromtimestamp(entry[1], UTC), timedelta(microseconds=entry[2]), command, key)
