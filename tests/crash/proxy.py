"""A wire to a server that can be cut, held up, deafened, led elsewhere, or made to answer for the server."""

import contextlib
import socket
import threading
from collections.abc import Callable

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
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def swallow(self) -> None:
        """Lose every packet from now on, but keep the connections: half-open. They stay so for ever."""
        self._swallowing = True
        self._deaf |= self._open

    def hold(self) -> None:
        """Hold everything back: it arrives when the wire is healed."""
        self._flowing.clear()

    def answer(self, error: str) -> None:
        """Answer every command with this error."""
        self._error = f"-{error}\r\n".encode()

    def cut(self) -> None:
        """Reset all connections."""
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def lead_to(self, port: int) -> None:
        """Lead new connections to another server."""
        self._target = ("127.0.0.1", port)

    def heal(self) -> None:
        """Pass everything on again; where packets were lost, on new connections."""
        self._flowing.set()
        self._swallowing = False
        self._error = b""

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
                except OSError:
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
