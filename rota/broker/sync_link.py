"""A blocking connection for one thread at a time, with the commands, login and errors of `Link`.

A `Pool` keeps the idle connections to one server. Neither of them retries; `SyncBroker` does.
"""

import contextlib
import math
import os
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from hiredis import HiredisError, PushNotification, Reader, ReplyError

from rota.broker import failure, wrong_port
from rota.broker.dial import Login, greeting, may_expect_tls, refusal
from rota.broker.failure import no_resp3
from rota.broker.link import CONFIRMATIONS, NOTHING, pack
from rota.broker.script_cache import ScriptCache, Words
from rota.broker.tcp import discard_unsent, keep_alive
from rota.broker.url import Endpoint
from rota.errors import BrokerError

SHORTEST_SECONDS = 0.01
"""The shortest time-out of a socket, because one with the time-out 0 does not wait at all."""


class SyncLink:
    """A blocking connection. The constructor connects and logs in."""

    def __init__(self, endpoint: Endpoint, login: Login) -> None:
        self.endpoint = endpoint
        self.sources = ScriptCache(guarded=login.clustered, test_clock=login.test_clock)
        self.messages: deque[tuple[str, bytes]] = deque()
        self.answer_by = math.inf
        """The instant of `time.monotonic()` at which a request is given up, if that is before the response time-out."""
        self._timeout_seconds = login.connect_timeout_seconds
        self._reader = Reader(notEnoughData=NOTHING)
        self._reason: object = None
        self._socket: socket.socket | None = None
        try:
            self._socket = _connect(endpoint, login)
            self._greet(login)
        except BaseException as error:
            self.close()
            if isinstance(error.__cause__, TimeoutError):
                error = error.__cause__
            if isinstance(error, BrokerError):
                if may_expect_tls(endpoint, login, error) and wrong_port.answers_tls_sync(endpoint):
                    raise wrong_port.is_tls(endpoint) from error
                raise failure.before_use(error, endpoint, self._reason, tls=login.tls is not None) from error
            if isinstance(error, OSError):
                raise failure.of_connecting(error, endpoint, tls=login.tls is not None) from error
            raise
        self._timeout_seconds = login.response_timeout_seconds

    @property
    def closed(self) -> bool:
        """Whether the connection was closed."""
        return self._socket is None

    def request(self, commands: Sequence[Words], read: Callable[[int, Any], Any] | None = None) -> list[Any]:
        """Send commands in one write and return their raw replies, including error replies.

        `read` makes of the number of a command and its reply what is returned instead. It is called when a reply has
        come, and the server does the next command meanwhile. It raises nothing.

        Every failure closes the connection, because later replies could not be matched to their requests.
        """
        if self._socket is None:
            raise failure.not_sent(self.endpoint)
        packed = b"".join(map(pack, commands))
        try:
            # Else a large request would have only the time that was left for the reply to the last request.
            self._socket.settimeout(max(SHORTEST_SECONDS, self._deadline() - time.monotonic()))
            self._socket.sendall(packed)
            deadline = self._deadline()
            if read is None:
                return [self._reply(deadline) for _ in commands]
            return [read(number, self._reply(deadline)) for number in range(len(commands))]
        except (OSError, HiredisError) as error:
            self._give_up()
            self._reason = self._why(error)
            raise failure.lost(self.endpoint, self._reason) from error
        except BaseException:
            # For example Ctrl-C in the middle of a reply.
            self._give_up()
            raise

    def execute(self, words: Words, *, asking: bool = False) -> Any:
        """Run one plain command and return its raw reply."""
        # `ASKING` applies to the next command of the connection only.
        reply = self.request([("ASKING",), words] if asking else [words])[-1]
        if isinstance(reply, ReplyError):
            raise failure.of_reply(reply, words, self.endpoint)
        return reply

    def wait_for_push(self, timeout_seconds: float) -> bool:
        """Wait until `messages` holds a message. Returns False after the time-out."""
        if self._socket is None:
            raise failure.not_sent(self.endpoint)
        deadline = time.monotonic() + timeout_seconds
        try:
            while not self.messages:
                self._reply(deadline, pushes_only=True)
        except TimeoutError:
            return False
        except (OSError, HiredisError) as error:
            self.close()
            raise failure.lost(self.endpoint, self._why(error)) from error
        return True

    def usable(self) -> bool:
        """Whether an idle connection is still open. If it is readable, the server has closed it."""
        if self._socket is None:
            return False
        if not hasattr(select, "poll"):  # Windows
            return not select.select([self._socket], [], [], 0)[0]
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close the socket."""
        connection, self._socket = self._socket, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()

    def _give_up(self) -> None:
        if self._socket is not None:
            discard_unsent(self._socket)
        self.close()

    def _deadline(self) -> float:
        return min(time.monotonic() + self._timeout_seconds, self.answer_by)

    def _why(self, error: Exception) -> object:
        if not isinstance(error, TimeoutError):
            return no_resp3(error) if isinstance(error, HiredisError) else error
        if time.monotonic() >= self.answer_by:
            return "no answer in time"
        return f"no answer for {self._timeout_seconds:g} s"

    def _greet(self, login: Login) -> None:
        for words in greeting(login):
            [reply] = self.request([words])
            if isinstance(reply, ReplyError):
                raise refusal(reply, words, self.endpoint)

    def _reply(self, deadline: float, *, pushes_only: bool = False) -> Any:
        reader = self._reader
        while True:
            reply = reader.gets()
            if reply is NOTHING:
                self._fill(deadline)
            elif reply.__class__ is PushNotification and reply[0] not in CONFIRMATIONS:
                if reply[0] == b"message":
                    self.messages.append((reply[1].decode(), reply[2]))
                    if pushes_only:
                        return None
            else:
                return reply

    def _fill(self, deadline: float) -> None:
        connection = self._socket
        if connection is None:
            raise ConnectionError("closed here")
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        data = connection.recv(65536)
        if not data:
            raise ConnectionError("closed by the server")
        self._reader.feed(data)


def _connect(endpoint: Endpoint, login: Login) -> socket.socket:
    if endpoint.path is not None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(login.connect_timeout_seconds)
            connection.connect(endpoint.path)
        except BaseException:
            connection.close()
            raise
        return connection
    connection = socket.create_connection((endpoint.host, endpoint.port), login.connect_timeout_seconds)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        keep_alive(connection)
        if login.tls is not None:
            return _shake_hands(connection, login.tls, endpoint, login)
    except BaseException:
        connection.close()
        raise
    return connection


def _shake_hands(connection: socket.socket, tls: ssl.SSLContext, endpoint: Endpoint, login: Login) -> socket.socket:
    """Start TLS, or raise `BrokerRefused` if the port does not use TLS.

    A plain port does not answer a TLS handshake, so it is checked before the connect time-out is over.
    """
    seconds, name = login.connect_timeout_seconds, login.server_name or endpoint.host
    wrapped = tls.wrap_socket(connection, server_hostname=name, do_handshake_on_connect=False)
    try:
        first = wrong_port.silence_seconds(seconds)
        wrapped.settimeout(first)
        try:
            wrapped.do_handshake()
        except TimeoutError:
            if wrong_port.answers_plainly_sync(endpoint):
                raise wrong_port.is_plain(endpoint) from None
            wrapped.settimeout(seconds - first)
            wrapped.do_handshake()  # continues the handshake that timed out
    except BaseException:
        wrapped.close()
        raise
    return wrapped


class Pool:
    """Idle connections to one server. Each thread takes one and gives it back; a forked child starts with none."""

    def __init__(self) -> None:
        self._idle: deque[SyncLink] = deque()
        self._pid = os.getpid()

    def take(self) -> SyncLink | None:
        """Return an idle connection that is still open; None if there is none."""
        if self._pid != os.getpid():
            self._idle, self._pid = deque(), os.getpid()
        while True:
            try:
                link = self._idle.pop()
            except IndexError:
                return None
            if link.usable():
                return link
            link.close()

    def give(self, link: SyncLink) -> None:
        """Take a connection back after use."""
        if not link.closed:
            self._idle.append(link)

    def close(self) -> None:
        """Close all idle connections."""
        while (link := self.take()) is not None:
            link.close()
