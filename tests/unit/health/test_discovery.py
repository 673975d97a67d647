"""Finding the workers of this machine, the dead and the silent ones too."""

import os
import socket
from datetime import timedelta
from pathlib import Path

import pytest

from rota.errors import ConfigError
from rota.health import discovery
from rota.health.discovery import NoReply, ask_port, ask_socket
from rota.health.endpoints import Answer, HealthPort, in_thread

SHORT = timedelta(milliseconds=200)
LONG = timedelta(seconds=5)


def test_a_worker_that_lives_answers(tmp_path: Path) -> None:
    path = discovery.own_socket(tmp_path)

    def answer(path: str, *, named: bool = False) -> Answer:
        return Answer(503, f"{path}: no\n")

    with in_thread(HealthPort(answer, socket_path=path)):
        assert list(discovery.sockets(tmp_path)) == [(os.getpid(), path)]
        assert ask_socket(path, "/ready", LONG) == (503, "/ready: no")

    assert list(discovery.sockets(tmp_path)) == []


def test_a_socket_that_a_killed_worker_left_is_told_from_a_silent_worker(tmp_path: Path) -> None:
    path = tmp_path / "7.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        with pytest.raises(NoReply, match="does not answer"):
            ask_socket(path, "/live", SHORT)

    assert ask_socket(path, "/live", SHORT) is None


def test_what_is_no_http_is_no_reply() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(NoReply):
            ask_port("127.0.0.1", port, "/live", SHORT)
    with pytest.raises(NoReply, match="nothing answers at"):
        ask_port("127.0.0.1", port, "/live", SHORT)


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    discovery.folder(None).symlink_to(tmp_path)

    with pytest.raises(ConfigError, match="does not belong to this user"):
        discovery.own_socket(None)


def test_what_killed_workers_left_long_ago_is_deleted_by_the_next_one(tmp_path: Path) -> None:
    for name in ("7.sock", "8.sock"):
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(tmp_path / name))
    os.utime(tmp_path / "7.sock", (1, 1))

    discovery.own_socket(tmp_path)

    assert [pid for pid, _ in discovery.sockets(tmp_path)] == [8]
