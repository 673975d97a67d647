"""Settings of the jobs: what is wrong is said at the start, with the name of the variable."""

import subprocess
import sys
from pathlib import Path

import pytest

from examples.jobs.settings import JobRefused, JobSettings
from rota import ConfigError
from scripts.tree import ROOT


def test_nothing_can_be_reached_without_settings() -> None:
    settings = JobSettings.read({})

    with pytest.raises(JobRefused, match=r"no folder 'etc'.*JOBS_FOLDERS"):
        settings.folder("etc")
    with pytest.raises(JobRefused, match="no command 'ls'"):
        settings.command("ls")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("JOBS_FOLDER", "{}", "no setting JOBS_FOLDER. Did you mean 'JOBS_FOLDERS'"),
        ("JOBS_FOLDERS", '{"logs": ', "JOBS_FOLDERS is not valid JSON"),
        ("JOBS_FOLDERS", '{"a/b": "/tmp"}', "JOBS_FOLDERS at a/b"),
        ("JOBS_IMAGE_PIXELS", "many", "JOBS_IMAGE_PIXELS: Input should be a valid integer"),
        ("JOBS_COMMANDS", '{"df": {"argv": []}}', "JOBS_COMMANDS at df.argv"),
        ("JOBS_COMMANDS", '{"df": {"argv": ["df"], "arguments": {"x": "("}}}', "JOBS_COMMANDS at df.arguments.x"),
        ("JOBS_HTTP_NETWORKS", '["10.0.0.1/8"]', "JOBS_HTTP_NETWORKS at 0"),
    ],
)
def test_wrong_setting_is_refused_by_its_name(name: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        JobSettings.read({name: text})


def test_link_that_leads_out_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "out").symlink_to("/etc")
    settings = JobSettings(folders={"logs": tmp_path / "logs"})

    assert settings.folder("logs/sub") == tmp_path / "logs" / "sub"
    for path in ("logs/out", "logs/..", "logs//etc", "logs/../logs2"):
        with pytest.raises(JobRefused, match="leads out"):
            settings.folder(path)


@pytest.mark.slow
def test_worker_with_wrong_settings_does_not_start(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rota.cli", "worker", "examples.jobs:app"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "JOBS_FOLDERS": "[]", "ROTA_URL": "redis://127.0.0.1:1"},
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert done.returncode != 0
    assert "JOBS_FOLDERS: Input should be a valid dictionary" in done.stdout + done.stderr
