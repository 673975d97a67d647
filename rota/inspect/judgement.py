"""Judges a server in words: what it does, whether that is well for queues, and what to do.

Each judge takes a snapshot and gives a `Fact`, or None if there is nothing to say. A subject of which the server
tells nothing is `unknown`, never `good`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias

from rota.core.text import counted

if TYPE_CHECKING:
    from rota.inspect.broker_snapshot import ClusterSnapshot, NodeSnapshot

Judgement = Literal["good", "watch", "bad", "unknown"]
WORST_FIRST: tuple[Judgement, ...] = ("bad", "watch", "unknown", "good")

NEARLY_FULL, FILLING = 0.9, 0.75
FRAGMENTED, FRAGMENTED_BYTES = 1.5, 256 * 1024 * 1024
SLOW = timedelta(milliseconds=100)
RECENT = timedelta(hours=1)
LAGGING = timedelta(seconds=10)
ALL_SLOTS = 16384


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact about a server: `what` it is, and `advice`, which is empty if nothing is to be done.

    `code` names the subject: version, memory, eviction, persistence, clients, slow, replicas, cluster.
    """

    code: str
    judgement: Judgement
    what: str
    advice: str = ""


Verdict: TypeAlias = Fact | None


def judge_node(node: "NodeSnapshot", now: datetime) -> tuple[Fact, ...]:
    """Judge one server, the worst first."""
    if node.product is None:
        what = "The server does not tell its version, memory, clients and persistence"
        info = Fact("version", "unknown", what, "Allow INFO for the user of the broker URL: ACL SETUSER <user> +info.")
        found: list[Verdict] = [info, _slow(node, now)]
    else:
        found = [judge(node) for judge in _JUDGES]
        found.append(_slow(node, now))
    return worst_first([fact for fact in found if fact is not None])


def judge_whole(mode: str, nodes: "tuple[NodeSnapshot, ...]", cluster: "ClusterSnapshot | None") -> tuple[Fact, ...]:
    """Judge what the servers are together: Sentinel, or a Cluster."""
    if mode == "sentinel":
        return (_sentinel(nodes),)
    if mode == "cluster":
        return (_cluster(nodes, cluster),)
    return ()


def worst_first(facts: "list[Fact]") -> tuple[Fact, ...]:
    """Order facts by their judgement."""
    return tuple(sorted(facts, key=lambda fact: WORST_FIRST.index(fact.judgement)))


def size(number: int) -> str:
    """Return a number of bytes for people: `1.5 GB`."""
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def _version(node: "NodeSnapshot") -> Verdict:
    if node.loading:
        return Fact(
            "version", "bad", "The server is loading its data and refuses commands", "Wait until it has done so."
        )
    if node.role == "replica":
        return Fact(
            "version",
            "bad",
            "The server is a replica, so it accepts no tasks",
            "Point the broker URL at the master, or use redis-sentinel:// or redis+cluster://.",
        )
    return Fact("version", "good", f"{node.product} {node.version or 'of an unknown version'}")


def _memory(node: "NodeSnapshot") -> Verdict:
    used, limit = node.memory_bytes, node.memory_limit_bytes
    if used is None or limit is None:
        return Fact("memory", "unknown", "The server does not tell its memory or its limit")
    if limit:
        share = used / limit
        what = f"{size(used)} of {size(limit)} are used ({share:.0%})"
        if share < FILLING:
            return Fact("memory", "good", what)
        advice = "Raise maxmemory, or delete archived and completed tasks: a full server refuses tasks."
        return Fact("memory", "bad" if share >= NEARLY_FULL else "watch", what, advice)
    machine = node.memory_of_machine_bytes
    if machine and used / machine >= FILLING:
        return Fact(
            "memory",
            "bad",
            f"{size(used)} are used, without a limit, of the {size(machine)} of its machine",
            "Set maxmemory below the memory of the machine: otherwise the system kills the server.",
        )
    return Fact("memory", "good", f"{size(used)} are used, without a limit")


def _fragmentation(node: "NodeSnapshot") -> Verdict:
    ratio, used = node.fragmentation, node.memory_bytes
    if ratio is None or used is None or ratio < FRAGMENTED or used < FRAGMENTED_BYTES:
        return None
    return Fact(
        "memory",
        "watch",
        f"The process takes {ratio:.1f} times the memory of its data",
        "CONFIG SET activedefrag yes, or restart the server after a fail-over.",
    )


def _eviction(node: "NodeSnapshot") -> Verdict:
    policy = node.eviction_policy
    if policy is None:
        return Fact("eviction", "unknown", "The server does not tell whether it evicts keys when its memory is full")
    if policy != "noeviction":
        return Fact(
            "eviction",
            "bad",
            f"The server evicts keys when its memory is full (maxmemory-policy {policy}): tasks and locks can vanish",
            "CONFIG SET maxmemory-policy noeviction, and the same in its configuration.",
        )
    if node.evicted_keys:
        return Fact(
            "eviction",
            "watch",
            f"The server evicts no keys now, but evicted {node.evicted_keys:,} since its start",
            "Run rota doctor: it finds tasks of which a part is missing.",
        )
    return Fact("eviction", "good", "The server evicts no keys")


def _persistence(node: "NodeSnapshot") -> Verdict:
    if node.append_only is None:
        return Fact("persistence", "unknown", "The server does not tell what it keeps on disk")
    if node.append_only_failed or node.snapshot_failed:
        what = "append-only file" if node.append_only_failed else "snapshot"
        return Fact(
            "persistence",
            "bad",
            f"The server could not write its last {what}",
            "Look at its log, its disk and its memory; by default it refuses tasks until a snapshot succeeds.",
        )
    if node.append_only:
        return Fact("persistence", "good", "The server writes an append-only file")
    if node.saves_snapshots:
        return Fact(
            "persistence",
            "watch",
            "The server writes snapshots only: a crash loses what came after the last one",
            "CONFIG SET appendonly yes, and the same in its configuration.",
        )
    return Fact(
        "persistence",
        "bad",
        "The server seems to keep nothing on disk: its restart loses every task",
        "CONFIG SET appendonly yes, and the same in its configuration.",
    )


def _clients(node: "NodeSnapshot") -> Verdict:
    if node.clients is None:
        return Fact("clients", "unknown", "The server does not tell how many clients are connected")
    what = counted(node.clients, "client")
    if not node.most_clients:
        return Fact("clients", "good", f"{what} connected")
    what = f"{what} of at most {node.most_clients:,} connected"
    share = node.clients / node.most_clients
    advice = "Raise maxclients, or run fewer processes."
    if share >= FILLING:
        return Fact("clients", "bad" if share >= NEARLY_FULL else "watch", what, advice)
    if node.rejected_clients:
        return Fact("clients", "watch", f"{what}; {node.rejected_clients:,} were refused since its start", advice)
    return Fact("clients", "good", what)


def _replicas(node: "NodeSnapshot") -> Verdict:
    late = [each for each in node.replicas or () if each.state != "online" or (each.lag or timedelta()) >= LAGGING]
    if not late:
        return None
    return Fact(
        "replicas",
        "watch",
        f"{counted(len(late), 'replica')} behind: {', '.join(each.address for each in late)}",
        "Look at their logs and at the network: a fail-over to them would lose tasks.",
    )


def _slow(node: "NodeSnapshot", now: datetime) -> Verdict:
    if node.slow is None:
        advice = "Allow SLOWLOG GET for the user of the broker URL: ACL SETUSER <user> +slowlog|get."
        return Fact("slow", "unknown", "The server does not show its slow log", advice)
    recent = [each for each in node.slow if now - each.at <= RECENT and each.duration >= SLOW]
    if not recent:
        return Fact("slow", "good", "No command of the last hour in the slow log took 100 ms")
    worst = max(recent, key=lambda each: each.duration)
    milliseconds = worst.duration / timedelta(milliseconds=1)
    return Fact(
        "slow",
        "watch",
        f"{counted(len(recent), 'command')} of the last hour took 100 ms or more, up to {milliseconds:,.0f} ms: "
        f"{worst.command} {worst.key}".rstrip(),
        "While a command runs the server does nothing else: find who sends it (SLOWLOG GET names the client).",
    )


def _sentinel(nodes: "tuple[NodeSnapshot, ...]") -> Fact:
    replicas = [each for node in nodes for each in node.replicas or ()]
    if any(node.replicas is None for node in nodes):
        return Fact("replicas", "unknown", "The master behind Sentinel does not tell its replicas")
    if not replicas:
        return Fact(
            "replicas",
            "bad",
            "The master behind Sentinel has no replica, so no other server can take over",
            "Start a replica, and look at the logs of those that should be there.",
        )
    return Fact("replicas", "good", f"The master behind Sentinel has {counted(len(replicas), 'replica')}")


def _cluster(nodes: "tuple[NodeSnapshot, ...]", cluster: "ClusterSnapshot | None") -> Fact:
    if cluster is None:
        advice = "ACL SETUSER <user> +cluster|info."
        return Fact(
            "cluster", "unknown", f"A Cluster of {counted(len(nodes), 'master')} that does not tell its state", advice
        )
    what = f"A Cluster of {counted(cluster.masters, 'master')} and {counted(cluster.nodes, 'node')} in all"
    if cluster.state == "ok" and not cluster.slots_failing and cluster.slots_ok == ALL_SLOTS:
        return Fact("cluster", "good", f"{what}; all slots are served")
    return Fact(
        "cluster",
        "bad",
        f"{what}; its state is {cluster.state}, and {ALL_SLOTS - cluster.slots_ok:,} of its slots are not served",
        "CLUSTER NODES names the nodes that fail: start them, or let their replicas take over.",
    )


_JUDGES: "tuple[Callable[[NodeSnapshot], Verdict], ...]" = (
    _version,
    _memory,
    _fragmentation,
    _eviction,
    _persistence,
    _clients,
    _replicas,
)
