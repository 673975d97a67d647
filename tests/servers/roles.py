"""The users of the page about rights, and the URLs by which a test is one of them, or the administrator."""

import re
from typing import Any, Literal

from redis.cluster import RedisCluster

from rota.wire.rights import Role
from scripts.tree import ROOT

PAGE = ROOT / "docs/operations/acl.md"
PASSWORD = "secret"


def rules() -> dict[str, str]:
    """The rules of the page by user."""
    text = PAGE.read_text(encoding="utf-8")
    return {match[1]: match[0] for match in re.finditer(r"^ACL SETUSER (\S+) .*$", text, re.MULTILINE)}


def on_masters(admin: Any, *words: str) -> list[Any]:
    """Run a command about the server, which a Cluster has several of; return all answers."""
    if not isinstance(admin, RedisCluster):
        return [admin.execute_command(*words)]
    return list(admin.execute_command(*words, target_nodes=RedisCluster.PRIMARIES).values())


def make_user(admin: Any, name: str, *words: str) -> None:
    on_masters(admin, "ACL SETUSER", name, *words)


def make_users(admin: Any) -> None:
    for name, rule in rules().items():
        make_user(admin, name, *rule.replace("<password>", PASSWORD).split()[3:])


def denied(admin: Any) -> list[Any]:
    """What the servers say that they denied."""
    return [entry for log in on_masters(admin, "ACL LOG") for entry in log]


def forget_denied(admin: Any) -> None:
    on_masters(admin, "ACL LOG", "RESET")


def restricted(url: str, role: Role = "worker") -> str:
    """The same URL for the user of a role."""
    return url.replace("://", f"://rota-{role}:{PASSWORD}@", 1)


def as_role(url: str, role: Role | Literal["go"]) -> str:
    """A URL for the user of a role becomes one for another role; every other URL stays as it is."""
    return re.sub(r"://rota-\w+:", f"://rota-{role}:", url)


def as_admin(url: str) -> str:
    """A URL for the user of a role becomes one for the administrator; every other URL stays as it is."""
    return re.sub(r"://rota-\w+:[^@]*@", "://", url)
