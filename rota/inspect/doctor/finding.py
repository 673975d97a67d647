"""One finding of the doctor, and the findings of `BrokerRefused` errors, chosen by the error's text."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from rota.errors import BrokerRefused

Severity = Literal["error", "warning", "note"]
PAGE = "docs/operations/doctor.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A finding: the observation, its cause, and how to fix it. A note does not need a fix.

    `code` is also the heading that describes it in docs/operations/doctor.md.
    """

    code: str
    severity: Severity
    what: str
    cause: str
    fix: str

    @property
    def link(self) -> str:
        """Path and heading of the description, in the source of Rota."""
        return f"{PAGE}#{self.code}"


def error(code: str, what: str, cause: str, fix: str) -> Finding:
    """Make a finding of something that loses tasks or prevents them from running."""
    return Finding(code=code, severity="error", what=what, cause=cause, fix=fix)


def warning(code: str, what: str, cause: str, fix: str) -> Finding:
    """Make a finding of something that will do harm, or may do harm already."""
    return Finding(code=code, severity="warning", what=what, cause=cause, fix=fix)


def note(code: str, what: str, cause: str, fix: str) -> Finding:
    """Make a finding that is only informative."""
    return Finding(code=code, severity="note", what=what, cause=cause, fix=fix)


class _Remedy(NamedTuple):
    says: str
    cause: str
    fix: str


_REMEDIES = (
    _Remedy(
        "too old",
        "Rota's scripts use what older servers do not have; a proxy may hide what its server has.",
        "Upgrade the server to Redis 6.2 or Valkey 7.2 or later; or connect to it directly, not through a proxy.",
    ),
    _Remedy(
        "read-only replica",
        "A replica does not accept writes, and after a fail-over the master is another server.",
        "Point the broker URL at the master; where masters change, use redis-sentinel:// or redis+cluster://.",
    ),
    _Remedy(
        "the login",
        "User or password of the broker URL are not those of the server, or the user is off.",
        "Correct them in the broker URL; ACL GETUSER <user> on the server shows whether the user is there and on.",
    ),
    _Remedy(
        "asks for a password",
        "The broker URL has none, and the server does not accept connections without one.",
        "Put it into the broker URL: redis://:password@host, or redis://user:password@host.",
    ),
    _Remedy(
        "TLS to",
        "Both sides do not agree on TLS, or on whom to trust.",
        "Use rediss:// for a TLS port only; give the server's authority as tls_ca, a certificate of ours as tls_cert "
        "and tls_key where it asks for one.",
    ),
    _Remedy(
        "refused database",
        "The server has fewer databases, or it is a Cluster, which has one.",
        "Correct the number at the end of the broker URL, or raise `databases` in the server's configuration.",
    ),
    _Remedy(
        "no master named",
        "The sentinels watch masters of other names.",
        "Correct ?master= in the broker URL; SENTINEL MASTERS on a sentinel lists the names.",
    ),
    _Remedy(
        "No sentinel names",
        "The servers that the broker URL names are not sentinels, or none of them can be reached.",
        "Name sentinels and their port (26379) in the redis-sentinel:// URL; for a plain server use redis://.",
    ),
    _Remedy(
        "cluster support disabled",
        "The server is not a node of a Cluster.",
        "Use redis:// for a plain server; redis+cluster:// is for a Cluster.",
    ),
    _Remedy(
        "No permission to open",
        "The socket belongs to another user or group.",
        "Run as a user of its group, or set unixsocketperm in the server's configuration.",
    ),
    _Remedy(
        "may not run",
        "An ACL of the server forbids the commands that reading needs.",
        "ACL SETUSER <user> with the rule of its role; docs/operations/acl.md has the rules.",
    ),
)
_ELSE = _Remedy(
    "",
    "The server will not do what Rota needs, or what answers there is no server that Rota knows.",
    "Look whether the broker URL names the right server, and ask it the same by redis-cli.",
)


def refused(refusal: BrokerRefused) -> Finding:
    """Make a finding of an error by which the server refused to work."""
    text = str(refusal)
    remedy = next((each for each in _REMEDIES if each.says in text), _ELSE)
    return error("server", text, remedy.cause, remedy.fix)
