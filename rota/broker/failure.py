"""Translates error replies and broken connections into Rota's errors, and limits how long a request is retried.

The class tells what the caller may do. `NotNow`: the server certainly did not carry out the request, and a retry can
succeed. `BrokerRefused`: a retry cannot succeed. `BrokerUnavailable` with `maybe_applied`: the reply was lost. Scripts
check their keys before their first write, so an error reply means that nothing was carried out.

`NodeReplies` sorts the replies for many queues, so that an error in one queue does not affect the others.
"""

import errno
import re
import socket
import ssl
import time
from collections.abc import Iterable, Sequence
from typing import TypeVar

from rota.broker.url import Endpoint
from rota.core.randomness import RANDOM
from rota.core.text import unstopped
from rota.errors import BrokerError, BrokerRefused, BrokerUnavailable
from rota.wire.pause import REFUSAL_CODE, read_refusal

_NOPERM_COMMAND = re.compile(r"the '([^']+)' command|run the ([\w|]+) command")

# Redis 6.2 wraps the error of a command inside a script in up to two layers, and puts a hyphen before its code:
# "ERR Error running script (call to f_<sha>): @user_script:220: @user_script: 220: -OOM command not allowed ...".
_SCRIPT_LAYERS = re.compile(
    r"(?:ERR Error running script \(call to f_\w+\): @user_script:\d+: )?(?:(?:@user_script|=\[C\]): -?\d+: -?)?"
)
# The first text is that of Redis 6.2 and 7.0, the second that of newer servers: the user lacks a permission.
_SCRIPT_DENIAL = re.compile(r"(?:ERR )?(?:The user executing the script can't|ACL failure in script:) ")


class NotNow(BrokerUnavailable):
    """The request was certainly not carried out and can be retried: no connection, or a temporary server state."""


class Demoted(NotNow):
    """The server is a replica, so the request must go to its master."""


class SlotMoved(NotNow):
    """Another node of the Cluster serves this slot: permanently (`MOVED`) or for this request only (`ASK`)."""

    def __init__(self, message: str, *, slot: int, endpoint: Endpoint, ask: bool) -> None:
        super().__init__(message)
        self.slot = slot
        self.endpoint = endpoint
        self.ask = ask


class WrongType(BrokerRefused):
    """A key does not have the Redis type that its name implies, so another program has written it."""


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
        _, slot, node = text.split(" ", 2)
        host, _, port = node.rpartition(":")
        there, ask = Endpoint(host or endpoint.host, int(port)), code == "ASK"
        return SlotMoved((_ASK if ask else _MOVED).format(text), slot=int(slot), endpoint=there, ask=ask)
    if code in _PASSING or text.startswith("ERR max number of clients"):
        reason = _PASSING.get(code, "it has no room for another client")
        kind = Demoted if code in ("READONLY", "UNBLOCKED") else NotNow
        return kind(f"The server {endpoint} cannot take the command now: {reason} ({text.rstrip('.')}).")
    # These errors can stop a script only before its first write, so nothing was carried out.
    if code in ("OOM", "MISCONF", "NOREPLICAS"):
        return NotNow(f"The server accepts no writes: {text} See to its memory, disk or replicas.")
    if code == "BUSY":
        return NotNow(f"A script blocks the server: {text}")
    if code in ("NOPERM", "NOAUTH", "WRONGPASS") or _SCRIPT_DENIAL.match(text):
        return _of_denial(code, text, words)
    if code == REFUSAL_CODE:
        return read_refusal(text)
    name = command_name(words)
    if re.match(r"ERR unknown (sub)?command", text):
        return BrokerRefused(
            f"The server does not know {name}: {unstopped(text)}. It is too old, or the command was renamed."
        )
    # In an error of a script WRONGTYPE can stand in the middle of the text.
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
    """Translate an error of connecting. Nothing was sent, so nothing was carried out."""
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
    # For a host with several addresses asyncio raises one error, whose text lists the error of each address.
    return set(re.findall(r"\[Errno (\d+)\]", str(error))) == {str(errno.ECONNREFUSED)}


def before_use(error: BrokerError, endpoint: Endpoint, reason: object, *, tls: bool) -> BrokerError:
    """Correct an error of the login: no request of a caller was sent yet, so a retry is safe."""
    if not error.maybe_applied:
        return error
    if tls:
        # In TLS 1.3 a server can refuse a client after the handshake, and the alert with the reason may get lost.
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
    """Make the error of a request that was never sent."""
    because = f" ({reason})" if reason else ""
    return NotNow(f"The connection to {endpoint} is closed{because}; the request was not sent.")


def command_name(words: Sequence[object]) -> str:
    """Return the name of a command for an error text: its first word, never its arguments."""
    if not words:
        return "a command"
    word = words[0]
    return word.decode(errors="replace") if isinstance(word, bytes) else str(word)


_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 2.0
_MOST_REDIRECTS = 5


def pause_seconds(failures: int) -> float:
    """Return the delay after this number of failures in a row: exponential, with an upper limit and jitter."""
    pause: float = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** min(failures - 1, 10))
    return pause * RANDOM.uniform(0.5, 1.0)


class RetryBudget:
    """The time that one request has for retries."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._failures = 0
        self._redirects = 0

    def left_seconds(self) -> float:
        """Return the seconds that are left."""
        return max(0.0, self._deadline - time.monotonic())

    def pause_after(self, error: BrokerUnavailable) -> float:
        """Return the seconds to wait before the next attempt. Raises the error if that exceeds the time left.

        The first redirects of a Cluster (`SlotMoved`) are followed without a delay.
        """
        if isinstance(error, SlotMoved) and self._redirects < _MOST_REDIRECTS:
            self._redirects += 1
            return 0.0
        self._failures += 1
        pause = pause_seconds(self._failures)
        if pause > self.left_seconds():
            raise error
        return pause


def no_resp3(error: Exception) -> str:
    """Return the reason for closing a connection whose replies are not valid RESP3."""
    return f"the server speaks no RESP3: {error}"


T = TypeVar("T")
Q = TypeVar("Q")


class NodeReplies:
    """Sorts the replies of several calls.

    The first refusal is kept and raised by `check`, after all queues had their turn. BrokerUnavailable is raised at
    once.
    """

    def __init__(self) -> None:
        self._refused: BrokerError | None = None

    def sort(self, asked: Iterable[Q], replies: Sequence[T | BrokerError]) -> list[tuple[Q, T]]:
        """Return the successful replies, each with the item of `asked` that it belongs to."""
        good: list[tuple[Q, T]] = []
        for each, reply in zip(asked, replies, strict=True):
            if isinstance(reply, BrokerUnavailable):
                raise reply
            if isinstance(reply, BrokerError):
                self.refuse(reply)
            else:
                good.append((each, reply))
        return good

    def refuse(self, error: BrokerError) -> None:
        """Note a refusal."""
        self._refused = self._refused or error

    def check(self) -> None:
        """Raise the first refusal, if there was one."""
        if self._refused is not None:
            raise self._refused
