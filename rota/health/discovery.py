"""How `rota health` finds the workers of this machine: a folder with one unix socket for each `rota worker`.

A socket that refuses connections was left by a worker that was killed. A plain file (such as a pid file) could not
show that.
"""

import contextlib
import http.client
import os
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from rota.errors import ConfigError

SUFFIX = ".sock"
OLD_SECONDS = 60
"""A younger socket is not deleted, because its worker may not listen on it yet."""
A_MOMENT = timedelta(milliseconds=200)


class ProbeReply(NamedTuple):
    """The answer of a worker. `status` is the HTTP status code."""

    status: int
    text: str


class NoReply(Exception):
    """The worker did not answer on its socket or port."""


def folder(chosen: Path | None) -> Path:
    """Return the chosen folder, or by default this user's folder inside the temporary folder."""
    return chosen or Path(tempfile.gettempdir()) / f"rota-{os.getuid()}"


def own_socket(chosen: Path | None) -> Path:
    """Create the folder if needed and return the socket path of this process. Raises ConfigError if it is not safe."""
    parent = folder(chosen)
    with contextlib.suppress(OSError):
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if chosen is None and parent.exists():
        # Every user can write to the temporary folder, so another user may have created this name first.
        found = parent.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise ConfigError(f"{parent} does not belong to this user. Set health_dir to a folder that does.")
    _tidy(parent)
    return parent / f"{os.getpid()}{SUFFIX}"


def _tidy(folder: Path) -> None:
    """Delete the sockets of workers that were killed more than `OLD_SECONDS` ago."""
    for _, path in sockets(folder):
        with contextlib.suppress(OSError, NoReply):
            if time.time() - path.stat().st_mtime > OLD_SECONDS and ask_socket(path, "/live", A_MOMENT) is None:
                path.unlink()


def sockets(folder: Path) -> Iterator[tuple[int, Path]]:
    """Yield the process ID and the path of each socket in the folder, including those of dead workers."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        if path.stem.isdigit():
            yield int(path.stem), path


def ask_socket(path: Path, question: str, timeout: timedelta) -> ProbeReply | None:
    """Send a request to a worker; None if it has died. Raises NoReply if it lives but does not answer in time."""
    connection = _OverSocket(path, timeout.total_seconds())
    try:
        return _ask(connection, question)
    except (ConnectionRefusedError, FileNotFoundError):
        return None
    except OSError as error:
        raise NoReply(f"it does not answer ({str(error) or type(error).__name__})") from error


def ask_port(host: str, port: int, question: str, timeout: timedelta) -> ProbeReply:
    """Send a request to a health port. Raises NoReply."""
    try:
        return _ask(http.client.HTTPConnection(host, port, timeout=timeout.total_seconds()), question)
    except (OSError, UnicodeError, http.client.InvalidURL) as error:
        raise NoReply(f"nothing answers at {host}:{port} ({str(error) or type(error).__name__})") from error


def _ask(connection: http.client.HTTPConnection, question: str) -> ProbeReply:
    with contextlib.closing(connection):
        try:
            connection.request("GET", question)
            response = connection.getresponse()
            return ProbeReply(response.status, response.read().decode("utf-8", "replace").strip())
        except http.client.HTTPException as error:
            raise ConnectionError(f"its answer is not HTTP: {type(error).__name__}") from error


class _OverSocket(http.client.HTTPConnection):
    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path
        self._seconds = seconds

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._seconds)
        self.sock.connect(str(self._path))
