"""Error replies and broken connections, as Rota's errors: one clear sentence each."""

import errno
import re
import socket
import ssl
from collections.abc import Sequence

from rota.broker.url import Endpoint
from rota.core.text import unstopped
from rota.errors import BrokerError, BrokerRefused, BrokerUnavailable

_NOPERM_COMMAND = re.compile(r"the '([^']+)' command|run the ([\w|]+) command")

# Redis 6.2 wraps the error of a command inside of a script in up to two layers, and puts a hyphen before its code:
# "ERR Error running script (call to f_<sha>): @user_script:220: @user_script: 220: -OOM command not allowed ...".
_SCRIPT_LAYERS = re.compile(
    r"(?:ERR Error running script \(call to f_\w+\): @user_script:\d+: )?(?:(?:@user_script|=\[C\]): -?\d+: -?)?"
)
# How Redis 6.2 and 7.0, and then newer servers, deny a command or a key to a script.
_SCRIPT_DENIAL = re.compile(r"(?:ERR )?(?:The user executing the script can't|ACL failure in script:) ")


class NotNow(BrokerUnavailable):
    """Surely not carried out, and worth asking again: no connection, or a passing state of the server."""


class Demoted(NotNow):
    """The server is a replica: the master is elsewhere."""


class SlotMoved(NotNow):
    """Another node of the Cluster serves this slot: for good (`MOVED`) or for this once (`ASK`)."""

    def __init__(self, message: str, *, slot: int, endpoint: Endpoint, ask: bool) -> None:
        super().__init__(message)
        self.slot = slot
        self.endpoint = endpoint
        self.ask = ask


class WrongType(BrokerRefused):
    """A key is of another type than its name says, so some other program has written it."""


_MOVED = "The server belongs to a Cluster and sends us elsewhere ({}); use a redis+cluster:// URL."

_MOVING = "the slot is being moved, or a move was broken off, which redis-cli --cluster fix ends"
_ASK = f"The server cannot take the command now: {_MOVING} ({{}})."

_PASSING = {
    "LOADING": "it still loads its data",
    "READONLY": "it is a read-only replica",
    "MASTERDOWN": "its link to the master is down",
    "CLUSTERDOWN": "the Cluster is down",
    "TRYAGAIN": _MOVING,
    "UNBLOCKED": "it changed its role",
}


def of_reply(error: Exception, words: Sequence[object], endpoint: Endpoint) -> BrokerError:
    """Translate an error reply of `endpoint` to the command `words`."""
    text = _SCRIPT_LAYERS.sub("", str(error), count=1)
    code = text.partition(" ")[0]
    if code in ("MOVED", "ASK"):
        _, slot, place = text.split(" ", 2)
        host, _, port = place.rpartition(":")
        there, ask = Endpoint(host or endpoint.host, int(port)), code == "ASK"
        return SlotMoved((_ASK if ask else _MOVED).format(text), slot=int(slot), endpoint=there, ask=ask)
    if code in _PASSING or text.startswith("ERR max number of clients"):
        reason = _PASSING.get(code, "it has no room for another client")
        kind = Demoted if code in ("READONLY", "UNBLOCKED") else NotNow
        return kind(f"The server {endpoint} cannot take the command now: {reason} ({text.rstrip('.')}).")
    # A script meets these before its first write or not at all, so nothing was carried out.
    if code in ("OOM", "MISCONF", "NOREPLICAS"):
        return NotNow(f"The server accepts no writes: {text} See to its memory, disk or replicas.")
    if code == "BUSY":
        return NotNow(f"A script blocks the server: {text}")
    if code in ("NOPERM", "NOAUTH", "WRONGPASS") or _SCRIPT_DENIAL.match(text):
        return _of_denial(code, text, words)
    name = command_name(words)
    if re.match(r"ERR unknown (sub)?command", text):
        return BrokerRefused(
            f"The server does not know {name}: {unstopped(text)}. It is too old, or the command was renamed."
        )
    # A script that meets it says so in the middle of its own message.
    refusal = WrongType if "WRONGTYPE" in text else BrokerRefused
    return refusal(f"The server refused {name}: {text}")


def _of_denial(code: str, text: str, words: Sequence[object]) -> BrokerError:
    if code == "WRONGPASS":
        return BrokerRefused("The server refused the login: wrong user name or password; correct the broker URL.")
    if code == "NOAUTH":
        return BrokerRefused("The server asks for a password; put it into the broker URL: redis://:password@host.")
    match = _NOPERM_COMMAND.search(text)
    if match:
        name = (match[1] or match[2]).upper()
    else:
        name = "a command of this script" if code != "NOPERM" else command_name(words)
    return BrokerRefused(
        f"The user of the broker URL may not run {name}: {text.rstrip('.')}. Grant it with ACL SETUSER."
    )


def of_connecting(error: BaseException, endpoint: Endpoint, *, tls: bool = False) -> BrokerError:
    """Translate what went wrong before a connection was usable. Nothing was sent, so nothing was carried out."""
    if isinstance(error, BrokerError):
        return error
    if isinstance(error, ssl.SSLCertVerificationError):
        return BrokerRefused(
            f"TLS to {endpoint} failed: the server's certificate is not trusted ({error.verify_message}); "
            "give its authority as tls.ca, and a host name that the certificate carries."
        )
    if isinstance(error, ssl.SSLError):
        reason = (getattr(error, "reason", None) or str(error)).replace("_", " ").lower()
        return BrokerRefused(f"TLS to {endpoint} failed: {reason}; is it a TLS port?")
    if isinstance(error, socket.gaierror):
        return NotNow(
            f"The host {endpoint.host!r} is unknown ({error.strerror}); correct the broker URL or the name service."
        )
    if isinstance(error, ConnectionRefusedError) or _all_refused(error):
        return NotNow(f"Nothing listens at {endpoint} (connection refused); start the server or correct the URL.")
    if isinstance(error, TimeoutError):
        port = " and that this is its TLS port" if tls else ""
        return NotNow(f"No answer from {endpoint} in time; check the address, the firewall and the server{port}.")
    if isinstance(error, FileNotFoundError):
        return NotNow(f"There is no socket {endpoint}; start the server or correct the broker URL.")
    if isinstance(error, PermissionError):
        return BrokerRefused(f"No permission to open {endpoint}; run as a user who may use this socket.")
    return NotNow(f"The connection to {endpoint} failed: {unstopped(error) or type(error).__name__}.")


def _all_refused(error: BaseException) -> bool:
    # A name with several addresses: asyncio packs what became of each into the text of one error.
    return set(re.findall(r"\[Errno (\d+)\]", str(error))) == {str(errno.ECONNREFUSED)}


def before_use(error: BrokerError, endpoint: Endpoint, reason: object, *, tls: bool) -> BrokerError:
    """Correct an error of the greeting: no caller's request was on the way, so it is safe to try again."""
    if not error.maybe_applied:
        return error
    if tls:
        # With TLS 1.3 a server refuses a client after the handshake, and the reason may not arrive any more.
        return NotNow(
            f"The server {endpoint} closed the TLS connection at the login; does it ask for a client's certificate "
            "(tls.cert, tls.key)?"
        )
    return not_sent(endpoint, reason)


def lost(endpoint: object, reason: object = None) -> BrokerUnavailable:
    """Make the error of a request whose reply will never come."""
    because = f" ({reason})" if reason else ""
    return BrokerUnavailable(
        f"The connection to {endpoint} was lost{because} before the reply came; the request may have been carried out.",
        maybe_applied=True,
    )


def not_sent(endpoint: object, reason: object = None) -> NotNow:
    """Make the error of a request that never left."""
    because = f" ({reason})" if reason else ""
    return NotNow(f"The connection to {endpoint} is closed{because}; the request was not sent.")


def command_name(words: Sequence[object]) -> str:
    """Name the command for a message: its first word, never its arguments."""
    if not words:
        return "a command"
    word = words[0]
    return word.decode(errors="replace") if isinstance(word, bytes) else str(word)
