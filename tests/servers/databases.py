"""Database servers for tests: private processes, each in its own folder and on a free port.

PostgreSQL refuses to run as root, so root starts it as the user `postgres`, whom the package of the server makes.
"""

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tests.servers.process import START_SECONDS, free_port, is_stopped, wait_until

USER, PASSWORD = "rota", "s3cret/@:?"
QUOTED_PASSWORD = "s3cret%2F%40%3A%3F"


class DatabaseServer:
    """A server of databases. `start` comes back when it answers."""

    scheme: ClassVar[str]
    account: ClassVar[str]
    """The user of the machine that the server runs as when the tests run as root."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rota-database-"))
        self.data = self.folder / "data"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._names = (f"rota_{number}" for number in itertools.count(1))
        if os.geteuid() == 0:
            shutil.chown(self.folder, self.account, self.account)

    def url_of(self, database: str, *, password: str = QUOTED_PASSWORD) -> str:
        return f"{self.scheme}://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Make an empty database, and return its URL."""
        name = next(self._names)
        self.create(name)
        return self.url_of(name)

    def create(self, database: str) -> None:
        self.sql(f"CREATE DATABASE {database}")

    def sql(self, statements: str, database: str = "") -> str:
        """Run statements as the administrator, over the socket."""
        command = self.client(database)
        done = subprocess.run(
            self.as_account(command), input=statements, capture_output=True, text=True, timeout=START_SECONDS
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def start(self) -> "DatabaseServer":
        if not self.data.exists():
            self.prepare()
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self.as_account(self.command()), stdout=log, stderr=log)
        try:
            self._wait()
        except TimeoutError:
            self.stop()
            raise
        return self

    def prepare(self) -> None:
        """Make the files of the server."""
        raise NotImplementedError

    def command(self) -> list[str]:
        raise NotImplementedError

    def client(self, database: str) -> list[str]:
        raise NotImplementedError

    def as_account(self, command: Sequence[str]) -> list[str]:
        if os.geteuid() != 0:
            return [*command]
        return ["setpriv", f"--reuid={self.account}", f"--regid={self.account}", "--clear-groups", *command]

    def run(self, *command: str) -> None:
        done = subprocess.run(self.as_account(command), capture_output=True, text=True, cwd=self.folder)
        if done.returncode:
            raise RuntimeError(f"{command[0]}: {done.stdout}{done.stderr}")

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, RuntimeError), socket.create_connection(("127.0.0.1", self.port), 1):
                self.sql("SELECT 1")
                return
            assert self.process is not None
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise TimeoutError((self.folder / "log").read_text(errors="replace")[-2000:])

    def freeze(self) -> None:
        """Stop answering, but keep every connection."""
        for pid in self._signal_all(signal.SIGSTOP):
            wait_until(lambda pid=pid: not Path(f"/proc/{pid}").exists() or is_stopped(pid))

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> list[int]:
        """Send a signal to the server and to its children, of which PostgreSQL has one for each connection."""
        assert self.process is not None
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        family = [pid, *map(int, children)]
        for each in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, number)
        return family

    def kill(self) -> None:
        """Like a power cut: the server and the processes of its connections."""
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT if self.scheme == "postgresql" else signal.SIGKILL)
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class PostgresServer(DatabaseServer):
    scheme = "postgresql"
    account = "postgres"

    @staticmethod
    def tool(name: str) -> str:
        found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
        return str(found[-1]) if found else shutil.which(name) or ""

    @classmethod
    def installed(cls) -> bool:
        return bool(cls.tool("initdb"))

    def prepare(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        if os.geteuid() == 0:
            shutil.chown(secret, self.account)
        self.run(
            self.tool("initdb"),
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C",
            f"--username={USER}",
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
            f"--pwfile={secret}",
            f"--pgdata={self.data}",
        )

    def command(self) -> list[str]:
        options = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": 60,
        }
        words = [f"--{name}={value}" for name, value in options.items()]
        return [self.tool("postgres"), "-D", str(self.data), *words]

    def client(self, database: str) -> list[str]:
        connection = ["-h", str(self.folder), "-p", str(self.port), "-U", USER, "-d", database or "postgres"]
        return [self.tool("psql"), *connection, "-v", "ON_ERROR_STOP=1", "-qAtX"]


class MariaServer(DatabaseServer):
    """Each has its own folder for temporary tables: a MariaDB that starts deletes all that it finds in the folder."""

    scheme = "mysql"
    account = "mysql"

    @staticmethod
    def program() -> str | None:
        """Debian keeps it in a folder that is in the path of root alone."""
        return shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin")

    @classmethod
    def installed(cls) -> bool:
        return bool(cls.program() and shutil.which("mariadb-install-db"))

    def prepare(self) -> None:
        self.run(
            "mariadb-install-db",
            "--no-defaults",
            f"--datadir={self.data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            f"--tmpdir={self.folder}",
        )

    def start(self) -> "DatabaseServer":
        fresh = not self.data.exists()
        super().start()
        if fresh:
            self.sql(f"CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON *.* TO {USER}@'%'")
        return self

    def command(self) -> list[str]:
        return [
            self.program() or "mariadbd",
            "--no-defaults",
            f"--datadir={self.data}",
            f"--tmpdir={self.folder}",
            f"--socket={self.folder}/socket",
            f"--pid-file={self.folder}/pid",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--innodb-flush-log-at-trx-commit=2",  # to the system, so that a killed server loses nothing
            "--innodb-buffer-pool-size=32M",
        ]

    def client(self, database: str) -> list[str]:
        name = [database] if database else []
        return ["mariadb", "--no-defaults", f"--socket={self.folder}/socket", "-uroot", "-N", "-B", *name]
