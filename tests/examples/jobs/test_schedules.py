"""The schedules of the jobs: what the settings name gets its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from examples.jobs.settings import JobSettings
from rota.schedule.crontab import read_crontab
from rota.schedule.definition import ScheduleDefinition
from scripts.tree import ROOT

Configure = Callable[..., dict[str, str]]
LIST = """
import json
from examples.jobs.schedules import app
print(json.dumps([each.definition.to_mapping() for each in app.schedules]))
"""


def schedules(settings: dict[str, str], folder: Path) -> dict[str, dict[str, Any]]:
    environment = {**os.environ, **settings, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", LIST], env=environment, cwd=folder, capture_output=True, text=True, check=True
    )
    return {each["name"]: each for each in json.loads(done.stdout)}


def test_what_the_settings_name_gets_a_schedule(configure: Configure, tmp_path: Path) -> None:
    settings = configure(
        databases={"shop": "sqlite:////tmp/shop", "stock": "sqlite:////tmp/stock"},
        folders={"backups": "/tmp/a", "logs": "/tmp/b", "archive": "/tmp/c"},
        purge={"shop.events": "at"},
        checks={"front page": "https://shop.example.org/"},
        alert=["ops@example.org"],
        http_hosts=["shop.example.org", "*.example.net"],
    )

    found = schedules(settings, tmp_path)

    assert {name: each["task_type"] for name, each in found.items()} == {
        "archive of logs": "archive:logs",
        "backup of shop": "backup:database",
        "backup of stock": "backup:database",
        "check of front page": "heartbeat:check",
        "clean-up of shop.events": "cleanup:rows",
        "inspection of certificates": "inspection:certificates",
        "inspection of the machine": "inspection:machine",
    }
    assert found["inspection of certificates"]["payload"] == {
        "hosts": ["shop.example.org"],
        "alert": ["ops@example.org"],
    }
    assert found["check of front page"]["payload"]["alert"] == ["ops@example.org"]
    for each in found.values():
        definition = ScheduleDefinition.read(each)
        assert definition.read_spec(definition.specs[0], seed=definition.name)


def test_without_settings_there_is_no_schedule(configure: Configure, tmp_path: Path) -> None:
    assert schedules(configure(), tmp_path) == {}
    assert schedules(configure(databases={"shop": "sqlite:////tmp/shop"}), tmp_path) == {}


def test_schedules_of_a_crontab_run_with_the_commands_of_the_settings() -> None:
    """The import gives a schedule the payload that `command:run` takes, and a name that JOBS_COMMANDS allows."""
    imported = read_crontab("15 2 * * * pg_dump shop | gzip > /backup/shop.gz\n", "crontab")

    [definition] = imported.definitions
    [(name, text)] = imported.commands.items()
    settings = JobSettings.read({"JOBS_COMMANDS": json.dumps({name: {"argv": ["/bin/sh", "-c", text]}})})
    assert definition.task_type == "command:run"
    assert definition.payload == {"command": name}
    assert settings.command(name).argv == ("/bin/sh", "-c", "pg_dump shop | gzip > /backup/shop.gz")
