"""The Redis ACL permissions that each role needs. The commands are read from the scripts, so the list is never stale.

A worker includes the permissions of a producer, because handlers enqueue tasks. A repairer is an inspector who may also
run `rota doctor --repair`. An operator is an inspector and producer who may also pause, drain and delete queues and
give orders to workers. Without an `OPTIONAL` permission Rota still works, with the limitation that is given there.
"""

import re
from collections.abc import Iterable
from importlib.resources import files
from typing import Literal, get_args

from rota.wire.script import load

Role = Literal["producer", "worker", "inspector", "repairer", "operator"]
ROLES: tuple[Role, ...] = get_args(Role)

_LITERAL = re.compile(r"""["']([A-Z]{3,})["']""")
_NO_COMMANDS = {
    "BYSCORE",
    "COUNT",
    "LIMIT",
    "MAXLEN",
    "RANK",
    "MATCH",
    "OOM",
    "USAGE",
    "WITHSCORES",
    "WRONGTYPE",
    "MEMORY",
    "KEEPTTL",
    "REV",
}

_CONNECTION = {"EVAL", "EVALSHA", "PING", "SELECT", "INFO", "CLUSTER|SLOTS", "ASKING", "ROLE"}
"""`ROLE` is sent to the master behind Sentinel, `CLUSTER SLOTS` and `ASKING` in a Cluster."""
_PLAIN: dict[Role, set[str]] = {
    "producer": {
        "LLEN",
        "LRANGE",
        "PUBLISH",
        "SADD",
        "SISMEMBER",
        "SUBSCRIBE",
        "UNSUBSCRIBE",
        "WAIT",
        "ZCARD",
        "ZRANGE",
        "ZSCAN",
    },
    "worker": {
        "CLIENT|TRACKING",
        "CLIENT|TRACKINGINFO",
        "EXISTS",
        "HGET",
        "SMEMBERS",
        "SUBSCRIBE",
        "UNSUBSCRIBE",
        "ZADD",
    },
    "inspector": {"SISMEMBER", "SSCAN", "SCAN", "LRANGE", "MEMORY|USAGE", "SLOWLOG|GET", "CLUSTER|INFO"},
    "repairer": set(),
    "operator": {"HGET", "SREM"},
}
_SCRIPTS: dict[Role, tuple[str, ...]] = {
    "producer": ("enqueue", "debounce", "cancel", "edit_", "watch", "look_task", "look_server"),
    "inspector": ("look_", "compare_"),
    "repairer": ("repair", "delete_locks"),
    "operator": ("steer_",),
}
_NOT_OF_A_WORKER = {"try_rights", "compare_tasks", "compare_locks", "delete_locks", "test_clock", "set_test_clock"}
_INCLUDED: dict[Role, tuple[Role, ...]] = {
    "worker": ("producer",),
    "repairer": ("inspector",),
    "operator": ("producer", "inspector"),
}
"""Roles that have all permissions of others."""
OPTIONAL = {
    "INFO": "version, role, eviction and persistence of the server are not checked",
    "CLIENT|TRACKING": "a waiting worker polls at least once a second, because the server does not notify it of tasks",
    "CLIENT|TRACKINGINFO": "a waiting worker does not check whether tracking is still on",
    "SCAN": (
        "the doctor does not compare tasks and locks with the lists and sets, and cannot repair them; the deletion of "
        "a queue leaves keys that no list names"
    ),
    "MEMORY|USAGE": "the memory of queues is not known",
    "SLOWLOG|GET": "the slow commands of the server are not shown",
    "CLUSTER|INFO": "the state of a Cluster is not shown",
    "PUBLISH": "callers that wait for a result are not notified; they poll every second",
    "WAIT": "only wait_replicas needs it",
    "ROLE": "only Sentinel needs it",
    "CLUSTER|SLOTS": "only a Cluster needs it",
    "ASKING": "only a Cluster needs it, while slots move",
}


def commands(role: Role) -> list[str]:
    """Return the commands that a role needs in sorted order; a subcommand is written as `CLIENT|TRACKING`."""
    needed = _CONNECTION | _PLAIN[role]
    for name in _scripts(role):
        needed |= script_commands(name)
    for included in _INCLUDED.get(role, ()):
        needed |= set(commands(included))
    return sorted(needed)


def script_commands(name: str) -> set[str]:
    """Return the commands that a script calls."""
    return set(_LITERAL.findall(load(name).source.decode())) - _NO_COMMANDS


def keys(prefix: str = "asynq") -> list[str]:
    """Return the patterns of all keys. They also match all channels."""
    return ["asynq:*", "rota:*"] if prefix == "asynq" else [f"{prefix}:*"]


def rule(role: Role, user: str, password: str, prefix: str = "asynq") -> str:
    """Return the `ACL SETUSER` command for a user with the permissions of the role and no others."""
    patterns = keys(prefix)
    # The inspector does not get read-only keys (`%R~`), because EVALSHA needs write permission for its keys even if the
    # script only reads. `resetchannels` is needed because Redis 6.2 permits a new user all channels, and then refuses
    # to add a pattern.
    words = [
        "ACL",
        "SETUSER",
        user,
        "reset",
        "resetchannels",
        "on",
        f">{password}",
        *(f"~{pattern}" for pattern in patterns),
    ]
    words += [] if role == "inspector" else [f"&{pattern}" for pattern in patterns]
    return " ".join([*words, *(f"+{command.lower()}" for command in commands(role))])


def _scripts(role: Role) -> Iterable[str]:
    names = sorted(path.name.removesuffix(".lua") for path in files("rota.wire").joinpath("lua").iterdir())
    if role == "worker":
        return [name for name in names if name not in _NOT_OF_A_WORKER and not name.startswith("steer_")]
    return [name for name in names if name.startswith(_SCRIPTS[role])]
