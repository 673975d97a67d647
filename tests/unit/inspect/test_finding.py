"""Each refusal of a server has a cause and a fix of its own."""

import ssl

import pytest

from rota.broker import failure
from rota.broker import server_info as facts
from rota.broker.dial import refusal
from rota.broker.sentinel import master_of, no_master
from rota.broker.url import Endpoint
from rota.errors import BrokerError, BrokerRefused
from rota.inspect.doctor.finding import _ELSE, refused

HERE = Endpoint("h", 1)
UNTRUSTED = ssl.SSLCertVerificationError()
UNTRUSTED.verify_message = "self-signed certificate"


def told_by(text: str) -> BrokerRefused:
    with pytest.raises(BrokerRefused) as caught:
        facts.read(text, HERE)
    return caught.value


def named(master: str) -> BrokerRefused:
    with pytest.raises(BrokerRefused) as caught:
        master_of(None, master, HERE)
    return caught.value


def reply(text: str, *words: str) -> BrokerError:
    return refusal(Exception(text), words, HERE)


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        (told_by("redis_version:6.0.16\r\n"), "Upgrade the server"),
        (reply("NOPROTO unsupported protocol version", "HELLO"), "Upgrade the server"),
        (reply("ERR unknown command 'LMPOP'", "LMPOP"), "Upgrade the server"),
        (told_by("redis_version:7.0.0\r\nrole:slave\r\nmaster_host:m\r\nmaster_port:7\r\n"), "at the master"),
        (reply("WRONGPASS invalid username-password pair", "HELLO"), "ACL GETUSER"),
        (reply("NOAUTH Authentication required.", "HELLO"), "redis://:password@host"),
        (failure.of_connecting(UNTRUSTED, HERE), "tls_ca"),
        (failure.of_connecting(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]"), HERE), "for a TLS port only"),
        (failure.of_connecting(PermissionError(), HERE), "unixsocketperm"),
        (reply("ERR DB index is out of range", "SELECT", "99"), "Correct the number"),
        (named("m"), "SENTINEL MASTERS"),
        (no_master("m", [named("m")]), "SENTINEL MASTERS"),
        (
            no_master("m", [BrokerRefused("The server refused SENTINEL: ERR unknown")]),
            "for a plain server use redis://",
        ),
        (reply("ERR This instance has cluster support disabled", "CLUSTER"), "Use redis:// for a plain server"),
        (reply("NOPERM this user has no permissions to run the 'eval' command", "EVAL"), "ACL SETUSER"),
    ],
)
def test_a_refusal_says_what_to_do(error: BrokerError, fix: str) -> None:
    assert isinstance(error, BrokerRefused)
    found = refused(error)
    assert found.what == str(error)
    assert fix in found.fix
    assert found.cause != _ELSE.cause


def test_a_refusal_that_nobody_foresaw_has_a_fix_too() -> None:
    found = refused(BrokerRefused("The server refused PING: ERR no"))
    assert (found.cause, found.fix) == (_ELSE.cause, _ELSE.fix)
