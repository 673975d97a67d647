"""What a broker URL may look like, and that a wrong one is told clearly and keeps its secrets."""

import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.broker.url import Address, Endpoint, parse
from rota.errors import ConfigError

HOSTS = st.from_regex(r"[a-z][a-z0-9-]{0,20}(\.[a-z]{2,5})?", fullmatch=True)
PORTS = st.integers(1, 65535)
# No "%": followed by two hex digits it is an escape. Those passwords are tested in their escaped form.
RAW_PASSWORDS = st.text(
    st.sampled_from(string.ascii_letters + string.digits + "*#@/?:,[]!$&'()+;=~^ |<>\"{}"), min_size=1
)


@given(RAW_PASSWORDS, HOSTS, PORTS, st.integers(0, 99))
def test_a_password_may_stand_in_the_url_as_it_is(password: str, host: str, port: int, database: int) -> None:
    address = parse(f"redis://:{password}@{host}:{port}/{database}")
    assert address == Address("single", (Endpoint(host, port),), database, password=password)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.text(string.ascii_letters, min_size=1))
def test_an_escaped_password_is_decoded(password: str, username: str) -> None:
    address = parse(f"rediss://{username}:{quote(password, safe='')}@host")
    assert (address.username, address.password, address.tls) == (username, password, True)


@given(st.lists(st.tuples(HOSTS, st.none() | PORTS), min_size=1, max_size=5), st.booleans())
def test_several_hosts_keep_their_order_and_get_the_usual_port(hosts: list[tuple[str, int | None]], tls: bool) -> None:
    listed = ",".join(host if port is None else f"{host}:{port}" for host, port in hosts)
    scheme = "rediss" if tls else "redis"
    for kind, default in (("-sentinel", 26379), ("+cluster", 6379)):
        address = parse(f"{scheme}{kind}://{listed}")
        assert address.endpoints == tuple(Endpoint(host, port or default) for host, port in hosts)
        assert address.tls is tls


@given(st.text())
def test_any_text_is_either_an_address_or_a_clear_error(text: str) -> None:
    for candidate in (text, f"redis://{text}", f"redis-sentinel://{text}", f"unix://{text}"):
        assert _refusal(candidate).startswith(("none", "The broker URL cannot be used: "))


def _refusal(url: str) -> str:
    try:
        parse(url)
    except ConfigError as error:
        return str(error)
    return "none"


@given(st.text(string.ascii_uppercase + string.digits, min_size=8))
def test_no_error_and_no_form_of_an_address_shows_the_password(secret: str) -> None:
    for url in (
        f"redis://:{secret}@host:99999",
        f"redis://:{secret}@ho st",
        f"redis://:{secret}@host/x",
        f"redis://:{secret}@host?{secret}=1",
        f"redis://:{secret}:{secret}",
        f"redis://host:{secret}",
        f"redis+cluster://:{secret}@host/3",
        f"unix://{secret}",
    ):
        with pytest.raises(ConfigError) as caught:
            parse(url)
        assert secret not in str(caught.value)
    address = parse(f"redis-sentinel://user:{secret}@a,b/2")
    assert secret not in str(address) + repr(address)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://", Address("single", (Endpoint("localhost", 6379),))),
        ("redis://h", Address("single", (Endpoint("h", 6379),))),
        ("redis://h:1/", Address("single", (Endpoint("h", 1),))),
        ("redis://:7000", Address("single", (Endpoint("localhost", 7000),))),
        ("REDIS://h/4", Address("single", (Endpoint("h", 6379),), 4)),
        ("redis://h?db=5", Address("single", (Endpoint("h", 6379),), 5)),
        ("redis://[::1]:7000/1", Address("single", (Endpoint("::1", 7000),), 1)),
        ("redis://user@h", Address("single", (Endpoint("h", 6379),), username="user")),
        ("valkey://h", Address("single", (Endpoint("h", 6379),))),
        ("valkeys://h", Address("single", (Endpoint("h", 6379),), tls=True)),
        ("unix:///run/r.sock", Address("single", (Endpoint(path="/run/r.sock"),))),
        ("unix:///r.sock?db=3&test_clock=1", Address("single", (Endpoint(path="/r.sock"),), 3, test_clock=True)),
        ("redis://h/3?test_clock=1", Address("single", (Endpoint("h", 6379),), 3, test_clock=True)),
        ("unix:///run/a@b.sock?db=2", Address("single", (Endpoint(path="/run/a@b.sock"),), 2)),
        ("redis-socket://:p@/run/r.sock", Address("single", (Endpoint(path="/run/r.sock"),), password="p")),
        (
            "redis-sentinel://:p@a:1,b/3?master=m",
            Address("sentinel", (Endpoint("a", 1), Endpoint("b", 26379)), 3, password="p", master="m"),
        ),
        ("valkey+sentinel://a", Address("sentinel", (Endpoint("a", 26379),), master="mymaster")),
        ("rediss+cluster://a,b:7", Address("cluster", (Endpoint("a", 6379), Endpoint("b", 7)), tls=True)),
    ],
)
def test_each_form_is_read(url: str, expected: Address) -> None:
    assert parse(url) == expected


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("localhost:6379", "write for example redis://localhost:6379/0"),
        ("reddis://h", "did you mean redis"),
        ("http://h", "use one of redis, rediss"),
        ("redis://a,b", "use redis-sentinel:// or redis+cluster://"),
        ("redis://h/one", "write for example"),
        ("redis://h:0", "correct the port"),
        ("redis://h?databse=1", "only ?db= can stand"),
        ("redis+cluster://h?test_clock=1", "only ?db= can stand"),
        ("redis+cluster://h/1", "leave the database out"),
        ("rediss-socket:///x", "write redis-socket://"),
        ("unix://relative", "write unix:///"),
        ("unix:///", "write unix:///"),
    ],
)
def test_a_wrong_url_says_what_to_write_instead(url: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(url)
    assert remedy in str(caught.value)


def test_an_address_reads_as_a_url_again() -> None:
    for url in ("redis://h:1/2", "rediss://[::1]:1/0", "unix:///a?db=1", "redis-sentinel://a:1,b:2/3?master=m"):
        assert str(parse(url)) == url
        assert parse(str(parse(url))) == parse(url)
