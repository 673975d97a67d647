"""Commands of settings, profiles, health and the store print what their files hold, in each width and language."""

import os
from pathlib import Path

import pytest

from rota.cli import config, health_command, output, profiles_command, store_command
from rota.health.discovery import NoReply, ProbeReply
from tests.unit.cli.snapshot import NOW, Show, compare, in_each_terminal

PROFILES = """\
[production]
url = "rediss://rota:secret@redis-01.production.example.com:6379/0"
confirm = true
colour = "red"

["测试环境"]
url = "redis://localhost:6379/3"
"""
STATUS = {
    "store": "postgresql://rota:***@db-01.example.com/rota",
    "revision": "0006",
    "needs": "0007",
    "tables": {
        "rota_schedules": {"rows": 1, "bytes": 49_152},
        "rota_runs": {"rows": 1_204_000, "bytes": 812_000_000},
        "rota_attempts": {"rows": 0, "bytes": None},
    },
}


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [each for each in os.environ if each.startswith("ROTA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(output, "now", lambda: NOW)
    Path("p.toml").write_text(PROFILES, encoding="utf-8")
    Path("p.toml").chmod(0o644)
    monkeypatch.setenv("ROTA_PROFILES_FILE", "p.toml")
    monkeypatch.setattr(store_command, "_with_database", lambda url, act: STATUS)
    monkeypatch.setattr(health_command.discovery, "folder", lambda chosen: Path("/run/rota"))
    monkeypatch.setattr(health_command.discovery, "sockets", lambda folder: [(41, Path("41")), (42, Path("42"))])
    monkeypatch.setattr(health_command.discovery, "ask_socket", answered)


def answered(path: Path, question: str, timeout: object) -> ProbeReply:
    if path == Path("42"):
        raise NoReply("it does not answer (timed out)")
    return ProbeReply(200, "worker 41 (default): ready")


def show_profiles() -> None:
    profiles_command.command()


def show_changed_settings() -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("ROTA_URL", "redis://:secret@redis-01.example.com:6379/0")
        patched.setenv("ROTA_QUEUES", "critical=6,邮件=3,default=1")
        patched.setenv("ROTA_LEESE", "1m")
        config.command(changed=True)


def show_store_status() -> None:
    store_command.status()


def show_health_of_workers() -> None:
    health_command.command()


def show_health_without_workers() -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(health_command.discovery, "sockets", lambda folder: [])
        health_command.command()


@in_each_terminal(
    show_profiles, show_changed_settings, show_store_status, show_health_of_workers,
    show_health_without_workers,
)  # fmt: skip
def test_output_is_as_in_its_file(show: Show, width: int, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compare(show, width, language, monkeypatch)
