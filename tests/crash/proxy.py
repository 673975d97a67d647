"""A wire to a server that can be cut, held up, deafened, led elsewhere, or made to answer for the server."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import hiredis


class Proxy:
    """Listens on a port of its own and passes everything on, until told otherwise."""

    def __init__(self, target_port: int) -> None:
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
        self.cut()
        for each in self._threads:
            each.join(5)
        self._listener.close()

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
                for one, other, speaks in ((client, server, True), (server, client, False)):
                    self._start(self._pump, one, other, speaks)

    def _pump(self, one: socket.socket, other: socket.socket, client_speaks: bool) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                self._flowing.wait()
                if self._delay_seconds:
                    time.sleep(self._delay_seconds)
                if one in self._deaf:
                    continue
                if client_speaks and self._error:
                    one.sendall(self._error * _commands(data))
                else:
                    other.sendall(data)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)
        # Each socket is closed by the one thread that reads from it.
        self._open.discard(one)
        self._deaf.discard(one)
        one.close()


def _commands(data: bytes) -> int:
    reader = hiredis.Reader()
    reader.feed(data)
    count = 0
    while reader.gets() is not False:
        count += 1
    return count
