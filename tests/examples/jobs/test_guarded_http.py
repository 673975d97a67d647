"""The guard of HTTP requests: addresses, hosts, redirects, DNS, limits."""

import ipaddress
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from examples.jobs.guarded_http import HttpAnswer, HttpFailed, HttpRefused, HttpRequest, check_url, fault_of, request
from examples.jobs.settings import JobSettings
from tests.examples.jobs.web_server import Reply, WebServer
from tests.servers.certificates import Authority

LOCAL = ("127.0.0.1/32",)


@pytest.fixture
def server() -> Iterator[WebServer]:
    made = WebServer()
    yield made
    made.close()


@pytest.fixture
def neighbour() -> Iterator[WebServer]:
    """A server that the settings do not allow."""
    made = WebServer("127.0.0.2")
    yield made
    made.close()


def settings_for(*hosts: str, networks: tuple[str, ...] = LOCAL, **others: Any) -> JobSettings:
    return JobSettings.model_validate({"http_hosts": hosts, "http_networks": networks, **others})


async def ask(settings: JobSettings, url: str, **words: Any) -> HttpAnswer:
    return await request(settings, HttpRequest("GET", url, **words))


# Addresses

PRIVATE = """
127.0.0.1 127.255.255.254 0.0.0.0 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 169.254.0.1
100.64.0.1 100.100.100.200 192.0.0.1 192.0.2.1 198.18.0.1 224.0.0.1 240.0.0.1 255.255.255.255 168.63.129.16
:: ::1 fe80::1 fe80::1%1 fc00::1 fd00:ec2::254 fec0::1 ff02::1 2001:db8::1
::ffff:127.0.0.1 ::ffff:169.254.169.254 ::ffff:10.0.0.1 ::127.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe
64:ff9b:1::1 2002:7f00:1:: 2002:a00:1::1 2001:0:4136:e378:8000:63bf:80ff:fffe
"""


@pytest.mark.parametrize("address", PRIVATE.split())
def test_address_that_is_not_public_is_a_fault(address: str) -> None:
    assert fault_of(ipaddress.ip_address(address), ())


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_public_address_is_allowed(address: str) -> None:
    assert fault_of(ipaddress.ip_address(address), ()) == ""


def test_network_in_the_settings_allows_its_addresses_in_all_forms_and_no_others() -> None:
    networks = (ipaddress.ip_network("10.1.0.0/16"),)

    assert fault_of(ipaddress.ip_address("10.1.2.3"), networks) == ""
    assert fault_of(ipaddress.ip_address("::ffff:10.1.2.3"), networks) == ""
    assert fault_of(ipaddress.ip_address("10.2.0.1"), networks)


# URLs


@pytest.mark.parametrize(
    "url",
    [
        "http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://0177.0.0.1/", "http://127.1/",
        "http://127.0.0.1./x", "http://127.0.0.01/", "http://0/", "http://[::1%25lo]/", "http://[::ffff:7f00:1]:80/",
        "http://127.0.0.1\\@example.org/", "http://example.org@127.0.0.1/", "http://user:password@example.org/",
        "http://example.org:22/", "http://example.org.evil.test/", "http://evil.test/?x=example.org", "http:///x",
        "http://１２７.0.0.1/", "http://exámple.org/", "ftp://example.org/", "file:///etc/passwd", "gopher://example.org/",
        "http://example.org/\r\nHost: x", "http://example.org/ x", "example.org", "", "http://example.org:99999/",
        "http://a..b/", f"http://{'a' * 64}.org/", "http://below.example.org/",
    ],
)  # fmt: skip
def test_url_in_a_disguise_or_outside_of_the_list_is_refused(url: str) -> None:
    with pytest.raises(HttpRefused):
        check_url(settings_for("example.org"), url)


@pytest.mark.parametrize(
    ("entry", "url", "is_allowed"),
    [
        ("example.org", "http://EXAMPLE.org./", True),
        ("example.org", "https://example.org/x?y#z", True),
        ("example.org", "http://example.org:8080/", False),
        ("example.org:8080", "http://example.org:8080/", True),
        ("example.org:8080", "http://example.org/", False),
        ("*.example.org", "http://a.b.example.org/", True),
        ("*.example.org", "http://example.org/", False),
        ("*.example.org", "http://badexample.org/", False),
        ("[2606:4700::1111]:8443", "https://[2606:4700:0::1111]:8443/", True),
        ("10.0.0.7", "http://10.0.0.7/", True),
    ],
)
def test_list_of_hosts_says_which_names_and_ports_are_allowed(entry: str, url: str, is_allowed: bool) -> None:
    if is_allowed:
        check_url(settings_for(entry), url)
    else:
        with pytest.raises(HttpRefused, match="JOBS_HTTP_HOSTS does not name"):
            check_url(settings_for(entry), url)


async def test_nothing_is_allowed_without_settings(server: WebServer) -> None:
    with pytest.raises(HttpRefused):
        await ask(JobSettings(), server.url)
    assert server.asked == []


# Requests


async def test_answer_has_status_headers_and_body(server: WebServer) -> None:
    server.answer = lambda asked: Reply(404, b"nothing", {"X-Reason": "moved"})

    answer = await ask(settings_for(server.host), f"{server.url}/a/b?c=d", headers={"X-One": "1"})

    assert (answer.status, answer.body, answer.headers["x-reason"]) == (404, b"nothing", "moved")
    assert (server.asked[0].path, server.asked[0].headers["x-one"]) == ("/a/b?c=d", "1")
    assert server.asked[0].headers["host"] == server.host


async def test_private_address_is_refused_although_its_host_is_on_the_list(server: WebServer) -> None:
    with pytest.raises(HttpRefused, match=r"127\.0\.0\.1, which is not a public address"):
        await ask(settings_for(server.host, networks=()), server.url)
    with pytest.raises(HttpRefused, match="is not a public address"):
        await ask(settings_for(f"localhost:{server.port}", networks=()), f"http://localhost:{server.port}/")
    assert server.asked == []


async def test_redirect_to_a_place_that_is_not_allowed_is_refused(server: WebServer, neighbour: WebServer) -> None:
    server.answer = lambda asked: Reply(302, headers={"Location": f"{neighbour.url}/secret"})

    with pytest.raises(HttpRefused, match="JOBS_HTTP_HOSTS does not name"):
        await ask(settings_for(server.host), server.url, redirects=3)
    with pytest.raises(HttpRefused, match=r"127\.0\.0\.2, which is not a public address"):
        await ask(settings_for(server.host, neighbour.host), server.url, redirects=3)
    assert neighbour.asked == []


async def test_redirect_is_followed_and_secrets_stay_with_their_host(server: WebServer, neighbour: WebServer) -> None:
    server.answer = lambda asked: Reply(307, headers={"Location": f"{neighbour.url}/there"})
    settings = settings_for(
        server.host,
        neighbour.host,
        networks=("127.0.0.0/8",),
        http_headers={"127.0.0.1": {"Authorization": "Bearer one"}},
    )

    answer = await ask(settings, server.url, redirects=1, headers={"X-Api-Key": "two"})

    assert (answer.url, answer.status) == (f"{neighbour.url}/there", 200)
    assert server.asked[0].headers["authorization"] == "Bearer one"
    assert server.asked[0].headers["x-api-key"] == "two"
    assert not {"authorization", "x-api-key"} & neighbour.asked[0].headers.keys()


async def test_redirects_are_limited(server: WebServer) -> None:
    server.answer = lambda asked: Reply(302, headers={"Location": "/again"})

    with pytest.raises(HttpFailed, match="more than 3 redirects"):
        await ask(settings_for(server.host), server.url, redirects=3)
    assert len(server.asked) == 4
    assert (await ask(settings_for(server.host), server.url)).status == 302


async def test_post_that_is_redirected_by_303_becomes_a_get(server: WebServer) -> None:
    server.answer = lambda asked: Reply(303, headers={"Location": "/done"}) if asked.path == "/" else Reply()

    await request(settings_for(server.host), HttpRequest("POST", server.url, body=b"x", redirects=1))

    assert [(asked.method, asked.body) for asked in server.asked] == [("POST", b"x"), ("GET", b"")]


async def test_second_answer_of_the_dns_does_not_change_the_address(
    server: WebServer, neighbour: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the name is harmless when it is checked, and leads elsewhere when it is connected to."""
    lookups = names_lead_to(monkeypatch, [["127.0.0.1"], ["127.0.0.2"]])
    port = server.port
    settings = settings_for(f"shop.test:{port}")

    answer = await ask(settings, f"http://shop.test:{port}/")
    with pytest.raises(HttpRefused, match=r"shop\.test is 127\.0\.0\.2"):
        await ask(settings, f"http://shop.test:{port}/")

    assert answer.status == 200
    assert server.asked[0].headers["host"] == f"shop.test:{port}"
    assert lookups == ["shop.test", "shop.test"]
    assert neighbour.asked == []


async def test_name_with_one_private_address_among_its_addresses_is_refused(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    names_lead_to(monkeypatch, [["127.0.0.1", "169.254.169.254"]])

    with pytest.raises(HttpRefused, match="metadata service"):
        await ask(settings_for(f"shop.test:{server.port}"), f"http://shop.test:{server.port}/")
    assert server.asked == []


def names_lead_to(monkeypatch: pytest.MonkeyPatch, answers: list[list[str]]) -> list[str]:
    """Let each lookup of a name give the next of these lists of addresses. Returns the names that were looked up."""
    real, lookups = socket.getaddrinfo, list[str]()

    def look_up(host: str, port: int, *arguments: Any, **words: Any) -> Any:
        if not host.endswith(".test"):
            return real(host, port, *arguments, **words)
        lookups.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answers[len(lookups) - 1]]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return lookups


async def test_body_that_is_too_long_is_not_read(server: WebServer) -> None:
    server.answer = lambda asked: Reply(body=b"x" * 100_000)

    with pytest.raises(HttpFailed, match="more than 1000 bytes"):
        await ask(settings_for(server.host, http_bytes=1000), server.url)


async def test_server_that_does_not_end_its_answer_is_left_after_the_time_limit(server: WebServer) -> None:
    end = threading.Event()
    server.answer = lambda asked: Reply(wait=end)
    try:
        with pytest.raises(HttpFailed, match=r"did not answer within 0\.3 s"):
            await ask(settings_for(server.host), server.url, time_limit=timedelta(seconds=0.3))
    finally:
        end.set()


async def test_request_whose_answer_is_missing_may_have_been_received(server: WebServer) -> None:
    server.answer = lambda asked: Reply(drop=True)

    with pytest.raises(HttpFailed) as caught:
        await ask(settings_for(server.host), server.url)
    assert caught.value.sent


async def test_server_that_is_not_there_was_not_sent_anything(server: WebServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    with pytest.raises(HttpFailed) as caught:
        await ask(settings_for(f"127.0.0.1:{port}"), f"http://127.0.0.1:{port}/")
    assert not caught.value.sent


async def test_proxy_of_the_environment_is_not_used(
    server: WebServer, neighbour: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, neighbour.url)

    assert (await ask(settings_for(server.host), server.url)).status == 200
    assert neighbour.asked == []


async def test_certificate_is_checked_against_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path, "ours")
    pair = authority.issue("server")
    server = WebServer(pair=(pair.cert, pair.key))
    try:
        names_lead_to(monkeypatch, [["127.0.0.1"]])
        known, other = f"localhost:{server.port}", f"other.test:{server.port}"
        settings = settings_for(known, other, networks=("127.0.0.1/32", "::1/128"), http_ca=authority.ca)

        assert (await ask(settings, f"https://{known}/")).status == 200
        with pytest.raises(HttpFailed, match="Hostname mismatch"):
            await ask(settings, f"https://{other}/")
        with pytest.raises(HttpFailed, match="certificate verify failed"):
            await ask(settings.model_copy(update={"http_ca": None}), f"https://{known}/")
        server.answer = lambda asked: Reply(302, headers={"Location": f"http://{known}/"})
        with pytest.raises(HttpRefused, match="is not encrypted"):
            await ask(settings, f"https://{known}/", redirects=1)
    finally:
        server.close()
