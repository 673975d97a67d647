"""Reads `INFO`: whether a server can be used, and which of its settings can lose tasks."""

from dataclasses import dataclass

from rota.errors import BrokerRefused

OLDEST = {"Redis": (6, 2, 0), "Valkey": (7, 2, 0)}

NO_INFO = (
    "The user of the broker URL may not run INFO, so version, role, eviction and persistence of the server "
    "are not checked; grant it with ACL SETUSER ... +info."
)


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """Facts about the server. A fact that the server did not report is `None`."""

    product: str | None = None
    version: str | None = None
    role: str | None = None
    eviction_policy: str | None = None
    append_only: bool | None = None
    nodes: int = 1
    warnings: tuple[str, ...] = ()


def lines_of(info: str) -> dict[str, str]:
    """Return the lines of `INFO`, or of `CLUSTER INFO`, by their names."""
    return dict(line.split(":", 1) for line in info.splitlines() if ":" in line and not line.startswith("#"))


def read(text: str, server: object) -> ServerInfo:
    """Read the text of `INFO`. Raises `BrokerRefused` if the server is too old or is a replica."""
    said = lines_of(text)
    product = "Valkey" if said.get("server_name") == "valkey" or "valkey_version" in said else "Redis"
    version = said.get("valkey_version") or said.get("redis_version", "")
    oldest = OLDEST[product]
    if version and _numbers(version) < oldest:
        needed = " or ".join(f"{name} {numbers[0]}.{numbers[1]}" for name, numbers in OLDEST.items())
        raise BrokerRefused(
            f"The server {server} is {product} {version}, which is too old; Rota needs {needed}, or later."
        )
    if said.get("role") == "slave":
        master = f"{said.get('master_host')}:{said.get('master_port')}"
        raise BrokerRefused(
            f"The server {server} is a read-only replica of {master}; point the broker URL at the master."
        )
    policy = said.get("maxmemory_policy")
    append_only = None if "aof_enabled" not in said else said["aof_enabled"] == "1"
    return ServerInfo(
        product,
        version or None,
        said.get("role"),
        policy,
        append_only,
        warnings=tuple(_warnings(said, policy, append_only, server)),
    )


def merge(facts: list[ServerInfo]) -> ServerInfo:
    """Combine the masters of a Cluster: the facts of the first, but eviction and persistence of the worst."""
    first = facts[0]
    warnings = tuple(dict.fromkeys(warning for each in facts for warning in each.warnings))
    evicting = (each.eviction_policy for each in facts if each.eviction_policy not in (None, "noeviction"))
    return ServerInfo(
        first.product,
        first.version,
        first.role,
        next(evicting, first.eviction_policy),
        False if any(each.append_only is False for each in facts) else first.append_only,
        nodes=len(facts),
        warnings=warnings,
    )


def _warnings(said: dict[str, str], policy: str | None, append_only: bool | None, server: object) -> list[str]:
    warnings: list[str] = []
    if policy not in (None, "noeviction"):
        warnings.append(
            f"The server {server} evicts keys when its memory is full (maxmemory-policy {policy}): tasks can vanish. "
            "Set maxmemory-policy noeviction."
        )
    if append_only is False and not _has_snapshots(said):
        warnings.append(
            f"The server {server} seems to keep nothing on disk (no append-only file, no snapshot yet): its restart "
            "loses every task. Set appendonly yes."
        )
    return warnings


def _has_snapshots(said: dict[str, str]) -> bool:
    # INFO does not report the configured `save`, and the user may not be permitted to run CONFIG. But INFO shows a
    # snapshot that was saved since the start, and keys that were loaded from a snapshot at the start.
    return any(int(said.get(name, 0) or 0) > 0 for name in ("rdb_saves", "rdb_last_load_keys_loaded"))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
