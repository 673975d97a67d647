"""HTTP requests that reach only what the settings allow, whatever the URL, a redirect or the DNS says.

A URL in a task may come from anyone who can edit a schedule. Without a guard the worker would fetch for them what only
the worker can reach: the metadata service of a cloud, a database, a neighbour. The steps of each request, which are
also those of each redirect:

1. The URL is taken apart once, and put together for the connection from the same parts.
2. The host must be on the list JOBS_HTTP_HOSTS.
3. The name is looked up, and each of its addresses is judged: only public ones, and those in JOBS_HTTP_NETWORKS.
4. The connection goes to an address that was judged, not to the name, so a second answer of the DNS changes nothing.
   TLS still checks the certificate against the name.

Time, size and the number of redirects are limited. Proxies of the environment are not used, because a proxy would look
the name up again.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic
from typing import Any, TypeAlias
from urllib.parse import SplitResult, urljoin, urlsplit

import httpcore2

from examples.jobs.settings import JobRefused, JobSettings

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = (301, 302, 303, 307, 308)
_METADATA = frozenset(map(ipaddress.ip_address, ("168.63.129.16", "fd00:ec2::254", "169.254.169.254")))
_IN_NAMES = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class HttpRefused(JobRefused):
    """The guard does not let a request through."""


class HttpFailed(Exception):
    """A request got no answer within its limits. `sent` says whether the server may have received it."""

    def __init__(self, text: str, *, sent: bool) -> None:
        super().__init__(text)
        self.sent = sent


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request, and its limits."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    time_limit: timedelta = timedelta(seconds=30)
    redirects: int = 0


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back."""

    url: str
    status: int
    headers: Mapping[str, str]
    """Names are in lower case."""
    body: bytes
    seconds: float


async def request(settings: JobSettings, asked: HttpRequest) -> HttpAnswer:
    """Carry out a request. Raises HttpRefused or HttpFailed."""
    started = monotonic()
    phase = _Phase()
    try:
        async with asyncio.timeout(asked.time_limit.total_seconds()):
            url, status, headers, body = await _follow(settings, asked, phase)
    except TimeoutError:
        limit = f"{asked.time_limit.total_seconds():g} s"
        raise HttpFailed(f"{asked.url} did not answer within {limit}.", sent=phase.sent) from None
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException, OSError) as error:
        raise HttpFailed(f"{asked.url}: {type(error).__name__}: {error}", sent=phase.sent) from error
    return HttpAnswer(url, status, headers, body, monotonic() - started)


@dataclass(slots=True)
class _Phase:
    sent: bool = False


async def _follow(settings: JobSettings, asked: HttpRequest, phase: _Phase) -> tuple[str, int, dict[str, str], bytes]:
    method, url, body, headers = asked.method, asked.url, asked.body, dict(asked.headers)
    for _ in range(asked.redirects + 1):
        status, answered, content = await _once(settings, method, url, headers, body, phase)
        if status not in _REDIRECTS or "location" not in answered or not asked.redirects:
            return url, status, answered, content
        target = urljoin(url, answered["location"])
        if url.startswith("https:") and not target.startswith("https:"):
            raise HttpRefused(f"{url} redirects to {target}, which is not encrypted.")
        if _origin(target) != _origin(url):
            headers = {}  # they may hold a secret of the first host
        if status == 303 or (status in (301, 302) and method == "POST"):
            method, body = "GET", b""
        url = target
    raise HttpFailed(f"{asked.url} leads through more than {asked.redirects} redirects.", sent=True)


async def _once(
    settings: JobSettings, method: str, url: str, headers: Mapping[str, str], body: bytes, phase: _Phase
) -> tuple[int, dict[str, str], bytes]:
    parts = check_url(settings, url)
    port = parts.port or _PORTS[parts.scheme]
    host = str(parts.hostname)
    sent = {"host": parts.netloc, "accept-encoding": "identity", "user-agent": "rota-jobs", **_lower(headers)}
    sent |= _lower(settings.http_headers.get(host, {}))
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    backend = _JudgedBackend(settings, phase)
    async with (
        httpcore2.AsyncConnectionPool(ssl_context=_tls(settings), network_backend=backend) as pool,
        pool.stream(
            method,
            httpcore2.URL(scheme=parts.scheme, host=host, port=port, target=target),
            headers=[(name.encode(), value.encode()) for name, value in sent.items()],
            content=body or None,
        ) as response,
    ):
        content = await _read(response, settings.http_bytes, url)
        return response.status, {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in response.headers}, content


async def _read(response: httpcore2.Response, limit: int, url: str) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_stream():
        content += chunk
        if len(content) > limit:
            raise HttpFailed(f"{url} answered with more than {limit} bytes.", sent=True)
    return bytes(content)


def check_url(settings: JobSettings, url: str) -> SplitResult:
    """Take a URL apart, and check its scheme, host and port. Raises HttpRefused."""
    if any(ch.isspace() or not ch.isprintable() or ch == "\\" for ch in url):
        raise HttpRefused(f"The URL {url!r} has a blank, a control character or a backslash.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise HttpRefused(f"The URL {url!r} is not valid: {error}.") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise HttpRefused(f"The URL {url!r} has to begin with http:// or https:// and a host.")
    if parts.username is not None or parts.password is not None:
        raise HttpRefused("The URL holds a user name. Put credentials into JOBS_HTTP_HEADERS.")
    if not url.isascii():
        raise HttpRefused(f"The URL {url!r} is not in ASCII: write the host as xn--... and escape the rest with %.")
    host = plain_host(parts.hostname)
    if not is_allowed(settings.http_hosts, host, port or _PORTS[parts.scheme]):
        raise HttpRefused(f"JOBS_HTTP_HOSTS does not name {host} with port {port or _PORTS[parts.scheme]}.")
    shown = f"[{host}]" if ":" in host else host
    return parts._replace(netloc=shown if port is None else f"{shown}:{port}")


def plain_host(host: str) -> str:
    """Return a host in its one plain form. Raises HttpRefused for an IP address in a disguise, such as 0x7f.1."""
    host = host.lower().removesuffix(".")
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        last = host.rpartition(".")[2]
        # The C library would read such a host as an address in decimal, octal or hexadecimal.
        is_number = last.isdigit() or last.startswith("0x")
        if is_number or not all(0 < len(label) < 64 for label in host.split(".")) or not set(host) <= _IN_NAMES:
            raise HttpRefused(f"The host {host!r} is not a name, and not an IP address in its plain form.") from None
        return host


def is_allowed(hosts: Iterable[str], host: str, port: int) -> bool:
    """Whether the list has this host: `name`, `*.name` for the names below, each with `:port` for another port."""
    for entry in hosts:
        name, ports = _entry(entry)
        if port in ports and (host == name or (name.startswith("*.") and host.endswith(name[1:]))):
            return True
    return False


def _entry(entry: str) -> tuple[str, tuple[int, ...]]:
    parts = urlsplit(f"//{entry}")
    return str(parts.hostname), (parts.port,) if parts.port else tuple(_PORTS.values())


def fault_of(address: Address, networks: Iterable[Any]) -> str:
    """Return why an address must not be reached; empty if it may."""
    real = _inner(address)
    if any(real in network or address in network for network in networks):
        return ""
    if real in _METADATA:
        return "is a metadata service"
    if not real.is_global or real.is_multicast or real.is_reserved or getattr(real, "is_site_local", False):
        return "is not a public address"
    return ""


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo or address


async def judged_addresses(settings: JobSettings, host: str, port: int) -> list[str]:
    """Look a host up, and return its addresses. Raises HttpRefused if one of them must not be reached."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for text in addresses:
        if fault := fault_of(ipaddress.ip_address(text), settings.http_networks):
            raise HttpRefused(f"{host} is {text}, which {fault}. JOBS_HTTP_NETWORKS can allow it.")
    return addresses


class _JudgedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to the addresses that were judged, where httpcore would look the name up by itself."""

    def __init__(self, settings: JobSettings, phase: _Phase) -> None:
        self._settings = settings
        self._phase = phase
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the name in httpcore
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address that answers."""
        fault: Exception | None = None
        for address in await judged_addresses(self._settings, host, port):
            try:
                stream = await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore2.NetworkError as error:
                fault = error
            else:
                self._phase.sent = True
                return stream
        raise fault or httpcore2.ConnectError(f"{host} has no address")


def _tls(settings: JobSettings) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=settings.http_ca)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
