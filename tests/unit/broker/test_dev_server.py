"""How settings find the server that `rota dev` runs in the current folder."""

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rota import Settings
from rota.broker import dev_server


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ROTA_URL", raising=False)
    (tmp_path / dev_server.DATA).mkdir(parents=True)
    return tmp_path / dev_server.DATA


@contextlib.contextmanager
def answering(reply: bytes = b"+PONG\r\n") -> Iterator[str]:
    """Run a listener that gives one reply to whatever comes; yield its broker URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(64)
                        connection.sendall(reply)

        threading.Thread(target=serve, daemon=True).start()
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        listener.shutdown(socket.SHUT_RDWR)


def test_settings_without_a_url_use_the_server_of_rota_dev_and_log_it_once(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with answering() as url, caplog.at_level(logging.WARNING, "rota"):
        (folder / "url").write_text(url)
        settings = Settings()
        Settings()

    assert (settings.broker.url, settings.source_of("url")) == (url, "rota dev")
    assert caplog.text.count("Using the server of `rota dev` in this folder.") == 1
    assert "Set ROTA_URL to use another one" in caplog.text


def test_command_says_once_which_server_it_uses_and_does_not_log_it(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said: list[str] = []
    with answering() as url, caplog.at_level(logging.WARNING, "rota"):
        (folder / "url").write_text(url)
        found = [dev_server.found(lambda: said.append("used")) for _ in range(2)]

    assert (found, said, caplog.text) == ([url, url], ["used"], "")


@pytest.mark.parametrize("source", ["code", "environment", "pyproject.toml"])
def test_any_other_url_wins_over_the_server_of_rota_dev(
    folder: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if source == "environment":
        monkeypatch.setenv("ROTA_URL", "redis://elsewhere")
    if source == "pyproject.toml":
        monkeypatch.setattr("rota.settings.origin._is_command", True)
        Path("pyproject.toml").write_text('[tool.rota]\nurl = "redis://elsewhere"\n')
    with answering() as url:
        (folder / "url").write_text(url)
        settings = Settings(url="redis://elsewhere") if source == "code" else Settings()

    assert (settings.broker.url, settings.source_of("url")) == ("redis://elsewhere", source)


@pytest.mark.parametrize("text", ["", "nonsense", "redis://127.0.0.1:1/0", "unix:///nowhere.sock", "redis://a:b@c:d"])
def test_a_file_that_leads_to_no_server_is_passed_over(folder: Path, text: str) -> None:
    (folder / "url").write_text(text)

    assert Settings().source_of("url") == "default"


def test_a_server_that_still_loads_its_data_is_passed_over(folder: Path) -> None:
    with answering(b"-LOADING Redis is loading the dataset in memory\r\n") as url:
        (folder / "url").write_text(url)

        assert Settings().source_of("url") == "default"


def test_the_file_of_another_user_is_passed_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering() as url:
        (folder / "url").write_text(url)
        mine = os.getuid()
        monkeypatch.setattr(os, "getuid", lambda: mine + 1)

        assert Settings().source_of("url") == "default"
