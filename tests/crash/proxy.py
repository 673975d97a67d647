"""A wire to a server that can be cut, held up, deafened, led elsewhere, or made to answer for the server."""

import contextlib
import ctypes
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import hiredis

CONFIRMATIONS = (b"subscribe", b"unsubscribe", b"psubscribe", b"punsubscribe")
SETTLED_SECONDS = 5
Pass = Callable[[socket.socket, socket.socket, bytes, hiredis.Reader], None]
"""Passes what one socket has said on to the other."""


class Proxy:
    """Listens on a port of its own and passes everything on, until told otherwise.

    A link of a replica is no conversation: nothing can be `answering` there.
    """

    def __init__(self, target_port: int, *, replication: bool = False) -> None:
        self._replication = replication
        self._target = ("127.0.0.1", target_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._deaf: set[socket.socket] = set()
        self._swallowing = False
        self._error = b""
        self._flowing = threading.Event()
        self._flowing.set()
        self._delay_seconds = 0.0
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @contextlib.contextmanager
    def swallowing(self) -> Iterator[None]:
        """Lose every packet, but keep the connections: half-open. They stay so for ever; new ones are well again."""
        self._swallowing = True
        self._deaf |= self._open
        try:
            yield
        finally:
            self._swallowing = False

    def drop_packets(self) -> None:
        """Let the kernel drop what arrives on the connections that are open now, as a firewall does.

        No byte and no probe is acknowledged on them. New connections are well.
        """
        for each in list(self._open):
            drop_arriving(each)

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        """Hold everything back: it arrives afterwards."""
        self._flowing.clear()
        try:
            yield
        finally:
            self._flowing.set()

    @contextlib.contextmanager
    def answering(self, error: str) -> Iterator[None]:
        """Answer every command with this error."""
        self._error = f"-{error}\r\n".encode()
        try:
            yield
        finally:
            self._error = b""

    @contextlib.contextmanager
    def delaying(self, seconds: float) -> Iterator[None]:
        """Pass everything on late."""
        self._delay_seconds = seconds
        try:
            yield
        finally:
            self._delay_seconds = 0.0

    def cut(self) -> None:
        """Reset all connections."""
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def lead_to(self, port: int) -> None:
        """Lead new connections to another server."""
        self._target = ("127.0.0.1", port)

    def close(self) -> None:
        self._flowing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        accepts, *_ = self._threads
        accepts.join(5)  # it may have one more connection in its hands
        self.cut()
        for each in self._threads:
            each.join(5)
        self._listener.close()

    def _ask(
        self, debt: "Debt", client: socket.socket, server: socket.socket, data: bytes, reader: hiredis.Reader
    ) -> None:
        begun = reader.has_data()  # the rest of a request whose beginning the server has
        try:
            number = sum(1 for _ in _whole(reader, data))
        except hiredis.ProtocolError:  # the greeting of TLS, by which a client asks what kind of port this is
            server.sendall(data)
            return
        if not self._error or begun:
            debt.add(number)
            server.sendall(data)
        elif debt.is_settled():
            client.sendall(self._error * number)
        else:
            raise OSError("the server owes replies, and gives none")

    def _start(self, act: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=act, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._target)
                except OSError:  # the server is away
                    client.close()
                    continue
                self._open |= {client, server}
                if self._swallowing:
                    self._deaf |= {client, server}
                ask, answer = (_hand_on, _hand_on) if self._replication else self._conversation()
                self._start(self._pump, client, server, ask)
                self._start(self._pump, server, client, answer)

    def _conversation(self) -> tuple[Pass, Pass]:
        debt = Debt()
        return partial(self._ask, debt), debt.pay

    def _pump(self, one: socket.socket, other: socket.socket, passed: Pass) -> None:
        reader = hiredis.Reader()
        # A client that tries whether the port speaks TLS says what is not RESP.
        with contextlib.suppress(OSError, hiredis.ProtocolError):
            while data := one.recv(1 << 16):
                self._flowing.wait()
                if self._delay_seconds:
                    time.sleep(self._delay_seconds)
                if one not in self._deaf:
                    passed(one, other, data, reader)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)
        # Each socket is closed by the one thread that reads from it.
        self._open.discard(one)
        self._deaf.discard(one)
        one.close()


class Debt:
    """How many replies the server still owes on one connection: an answer of ours must not come before them."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def add(self, number: int) -> None:
        with self._changed:
            self._count += number

    def pay(self, server: socket.socket, client: socket.socket, data: bytes, reader: hiredis.Reader) -> None:
        """Pass replies on."""
        client.sendall(data)
        with self._changed:
            self._count -= sum(map(_is_reply, _whole(reader, data)))
            self._changed.notify_all()

    def is_settled(self) -> bool:
        """Wait until nothing is owed."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count <= 0, SETTLED_SECONDS)


def drop_arriving(connection: socket.socket) -> None:
    """Attach a packet filter to a socket that lets nothing in: neither data nor acknowledgements (Linux)."""
    accept_no_bytes = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))  # BPF_RET | BPF_K
    program = struct.pack("HL", 1, ctypes.addressof(accept_no_bytes))
    connection.setsockopt(socket.SOL_SOCKET, 26, program)  # SO_ATTACH_FILTER


def _hand_on(_one: socket.socket, other: socket.socket, data: bytes, _reader: hiredis.Reader) -> None:
    other.sendall(data)


def _whole(reader: hiredis.Reader, data: bytes) -> Iterator[Any]:
    reader.feed(data)
    while (found := reader.gets()) is not False:
        yield found


def _is_reply(found: Any) -> bool:
    return not isinstance(found, hiredis.PushNotification) or found[0] in CONFIRMATIONS
