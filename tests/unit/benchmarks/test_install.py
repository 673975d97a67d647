"""The benchmark installs what it compares Rota with."""

import subprocess
from pathlib import Path

import pytest

from benchmarks.__main__ import installed
from benchmarks.install import INSTALL_GO, InstallFailed, install_peers
from benchmarks.report import Report


@pytest.fixture
def constraints(tmp_path: Path) -> Path:
    path = tmp_path / "constraints.txt"
    path.write_text("# nothing\n")
    return path


def test_peers_are_installed_once_and_again_when_their_versions_change(tmp_path: Path, constraints: Path) -> None:
    environment = tmp_path / "peers"
    install_peers(environment, constraints)
    assert (environment / "bin" / "python").exists()

    kept = environment / "kept"
    kept.touch()
    install_peers(environment, constraints)
    assert kept.exists()

    constraints.write_text("# other versions\n")
    install_peers(environment, constraints)
    assert not kept.exists()


def test_peers_that_cannot_be_installed_are_tried_again_and_the_reason_is_given(
    tmp_path: Path, constraints: Path
) -> None:
    constraints.write_text("./no-such-package\n")

    for _ in range(2):
        with pytest.raises(InstallFailed, match="no-such-package"):
            install_peers(tmp_path / "peers", constraints)


def test_peers_that_cannot_be_installed_are_named_and_the_others_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise InstallFailed("no network")

    monkeypatch.setattr("benchmarks.__main__.install_peers", fails)
    report = Report("redis", [], is_whole=False)

    assert [each.name for each in installed(["rota", "celery", "rq"], report)] == ["rota"]
    reason = "could not be installed: no network"
    assert report.missing == {"celery": reason, "rq": reason}


def test_go_of_the_machine_is_used_where_it_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "go").write_text("#!/bin/sh\n")
    (tmp_path / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    found = subprocess.run([INSTALL_GO], capture_output=True, text=True, check=True, timeout=50)

    assert found.stdout.strip() == str(tmp_path / "go")
