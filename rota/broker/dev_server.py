"""How programs find the server that `rota dev` runs in the current folder.

The embedded server writes its URL into its data folder. Settings without a URL look there (`found`), so that `rota
enqueue`, `rota doctor` and a web server that is started in the folder of `rota dev` use the same server. The URL is
used only if its server answers and the file belongs to this user, because another user could have put a file into a
shared folder.
"""

import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

from rota import events
from rota.broker.url import masked, parse
from rota.errors import ConfigError

DATA = Path(".rota/server")
"""The data folder of `rota dev`, below the current folder."""
URL_FILE = "url"
ANSWER_SECONDS = 5.0
"""A server that is gone refuses at once. One that is there may be slow on a busy machine, and stays the one to use."""

_announced: set[str] = set()
_silent = False


def found(tell: Callable[[], object] | None = None) -> str | None:
    """Return the URL of the server of `rota dev` in the current folder, and log once that it is used.

    With `tell`, that function is called instead of the log, for commands that print a note and do not log.
    """
    url = running(DATA)
    if url is not None and not _silent and url not in _announced:
        _announced.add(url)
        if tell is None:
            events.emit(events.DevServerUsed(url=masked(url)))
        else:
            tell()
    return url


def silence() -> None:
    """Stop logging which server is used, in a process whose parent has logged it already."""
    global _silent
    _silent = True


def running(data_dir: Path) -> str | None:
    """Return the URL of the embedded server that uses this data folder; None if no server answers."""
    with contextlib.suppress(OSError, ConfigError, UnicodeDecodeError):
        with open(data_dir / URL_FILE, encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_uid != os.getuid():
                return None
            url = file.read()
        if answers(url):
            return url
    return None


def answers(url: str) -> bool:
    """Whether a server is ready for commands. A server that is still loading its data is not ready."""
    address = parse(url)
    endpoint = address.endpoints[0]
    family = socket.AF_INET if endpoint.path is None else socket.AF_UNIX
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(ANSWER_SECONDS)
        probe.connect((endpoint.host, endpoint.port) if endpoint.path is None else endpoint.path)
        with probe.makefile("rwb") as stream:
            if address.password:
                stream.write(f"AUTH {address.password}\r\n".encode())
                stream.flush()
                stream.readline()
            stream.write(b"PING\r\n")
            stream.flush()
            return stream.readline().startswith(b"+PONG")
    return False
