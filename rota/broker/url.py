"""Parses broker URLs.

`parse` checks the whole URL and raises a `ConfigError` that says how to correct it. Neither that text nor `str` of an
`Address` shows the password.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NoReturn
from urllib.parse import parse_qsl, unquote

from rota.errors import ConfigError

Mode = Literal["single", "sentinel", "cluster"]

DEFAULT_PORT = 6379
SENTINEL_PORT = 26379

_SCHEME = re.compile(r"(?P<base>redis|valkey)(?P<tls>s?)(?:[+-](?P<kind>sentinel|cluster|socket))?")
_MODES: Mapping[str | None, Mode] = {None: "single", "sentinel": "sentinel", "cluster": "cluster"}
_KNOWN_SCHEMES = (
    "redis", "rediss", "unix", "redis-socket", "redis-sentinel", "rediss-sentinel", "redis+cluster", "rediss+cluster",
    "valkey", "valkeys", "valkey-socket", "valkey-sentinel", "valkey+cluster",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens: a host and port, or the path of a unix socket."""

    host: str = "localhost"
    port: int = DEFAULT_PORT
    path: str | None = None

    def __str__(self) -> str:
        if self.path is not None:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed broker URL. Its `str` is safe to log because it leaves out user name and password."""

    mode: Mode
    endpoints: tuple[Endpoint, ...]
    database: int = 0
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    master: str | None = None
    test_clock: bool = False
    """Whether scripts read the clock of a test, which `rota.testing` can move. Set by `test_clock=1` in the URL."""

    def __str__(self) -> str:
        scheme = "rediss" if self.tls else "redis"
        if self.endpoints[0].path is not None:
            return f"unix://{self.endpoints[0].path}?db={self.database}"
        hosts = ",".join(map(str, self.endpoints))
        if self.mode == "cluster":
            return f"{scheme}+cluster://{hosts}"
        if self.mode == "sentinel":
            return f"{scheme}-sentinel://{hosts}/{self.database}?master={self.master}"
        return f"{scheme}://{hosts}/{self.database}"


def parse(url: str) -> Address:
    """Parse a broker URL. Raises `ConfigError`, whose text never holds the password."""
    scheme, separator, rest = url.strip().partition("://")
    if not url.strip():
        _refuse("it is empty", "write for example redis://localhost:6379/0")
    if not separator:
        _refuse("it has no scheme", "write for example redis://localhost:6379/0")
    scheme = scheme.lower()
    if scheme == "unix":
        return _socket(rest)
    match = _SCHEME.fullmatch(scheme)
    if match is None:
        near = difflib.get_close_matches(scheme, _KNOWN_SCHEMES, n=1)
        hint = f"did you mean {near[0]}://?" if near else "use one of " + ", ".join(_KNOWN_SCHEMES)
        _refuse(f"the scheme {scheme!r} is unknown", hint)
    tls, kind = bool(match["tls"]), match["kind"]
    if kind == "socket":
        if tls:
            _refuse("a unix socket carries no TLS", "write redis-socket:///path/of/the.sock")
        return _socket(rest)
    return _network(rest, _MODES[kind], tls)


def masked(url: str) -> str:
    """Return a broker URL without user name and password. Nothing is shown of a URL that is not valid."""
    try:
        address = parse(url)
    except ConfigError:
        return "*** (not a broker URL)"
    if address.username is None and address.password is None:
        return url
    return str(address).replace("://", "://***@", 1)


def _network(rest: str, mode: Mode, tls: bool) -> Address:
    # A password may contain "/", "?", "#", ":" and "@" without escapes, so the last "@" ends it.
    userinfo, at, location = rest.rpartition("@")
    username, password = _credentials(userinfo) if at else (None, None)
    before_query, _, query = location.partition("?")
    hosts, _, path = before_query.partition("/")
    options = _options(query, {"db", "master"} if mode == "sentinel" else {"db"}, test_clock=mode == "single")
    default_port = SENTINEL_PORT if mode == "sentinel" else DEFAULT_PORT
    endpoints = tuple(_endpoint(host, default_port) for host in hosts.split(","))
    database = _database(path.rstrip("/"), options)
    if mode == "single" and len(endpoints) > 1:
        _refuse("it names several hosts", "use redis-sentinel:// or redis+cluster:// for more than one host")
    if mode == "cluster" and database:
        _refuse(f"a Cluster has only database 0, not {database}", "leave the database out")
    master = options.get("master", "mymaster") if mode == "sentinel" else None
    return Address(mode, endpoints, database, tls, username, password, master, options.get("test_clock") == "1")


def _socket(rest: str) -> Address:
    username = password = None
    if not rest.startswith("/"):
        userinfo, at, path = rest.rpartition("@/")
        if not at:
            _refuse("the path of the socket is not absolute", "write unix:///run/redis/redis.sock?db=0")
        username, password = _credentials(userinfo)
        rest = "/" + path
    path, _, query = rest.partition("?")
    options = _options(query, {"db"}, test_clock=True)
    if path == "/":
        _refuse("it names no socket", "write unix:///run/redis/redis.sock?db=0")
    return Address(
        "single",
        (Endpoint(path=unquote(path)),),
        _database("", options),
        username=username,
        password=password,
        test_clock=options.get("test_clock") == "1",
    )


def _credentials(userinfo: str) -> tuple[str | None, str | None]:
    username, colon, password = userinfo.partition(":")
    return unquote(username) or None, unquote(password) or None if colon else None


def _endpoint(text: str, default_port: int) -> Endpoint:
    match = re.fullmatch(r"(?:\[(?P<v6>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\[\]:\s#]*))(?::(?P<port>\d{1,5}))?", text)
    if match is None:
        # The text is not shown, because in a URL without "@" it could be the password.
        _refuse("a host is not of the form host or host:port", "correct it; write an IPv6 address in [brackets]")
    port = int(match["port"]) if match["port"] else default_port
    if not 0 < port < 65536:
        _refuse(f"the port {port} is not between 1 and 65535", "correct the port")
    return Endpoint(match["v6"] or _host(unquote(match["host"])) or "localhost", port)


def _host(name: str) -> str:
    try:
        name.encode("idna")  # as `getaddrinfo` will do
    except UnicodeError:
        _refuse("a host is not a valid name", "each part between two dots has 1 to 63 characters")
    return name


def _options(query: str, known: set[str], *, test_clock: bool = False) -> Mapping[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options:
        if name not in known and not (test_clock and name == "test_clock"):  # not for users, so no error names it
            listed = " and ".join(f"?{each}=" for each in sorted(known))
            _refuse(
                "it has an option that is unknown here",
                f"only {listed} can stand in this URL; give everything else as an option of the broker",
            )
    return options


def _database(path: str, options: Mapping[str, str]) -> int:
    text = path or options.get("db", "") or "0"
    if not re.fullmatch(r"[0-9]{1,9}", text):
        _refuse("the database after the / is not a number", "write for example redis://localhost:6379/0")
    return int(text)


def _refuse(why: str, remedy: str) -> NoReturn:
    raise ConfigError(f"The broker URL cannot be used: {why}; {remedy}.")
