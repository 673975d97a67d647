"""Commands of schedules and calendars print what their files hold, at 80 and 200 columns, in English and Chinese."""

from itertools import count
from pathlib import Path

import pytest

from rota.cli import calendar_command, output
from rota.cli.output import explain
from rota.cli.schedule import editing, files, planning, reading, run_history, steering
from rota.errors import RotaError
from tests.unit.cli.snapshot import NOW, Show, compare, in_each_terminal
from tests.unit.cli.stored_schedules import fixed_id, make_store

REPORT = "019bb000-0000-7000-8000-000000000001"
FAILED = f"{REPORT}-1769736600000"
FILE = """\
schedules:
  - {name: nightly-report, task_type: report:daily, specs: ["45 2 * * *"], timezone: Europe/Berlin}
  - {name: 清理临时文件, task_type: clean, specs: ["@daily"]}
"""
WRONG_FILE = """\
schedules:
  - {name: nightly-report, task_type: report:daily, specs: ["99 2 * * *"]}
  - {name: clean, task_type: clean, specs: ["@daily"], colour: red}
"""


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("store") / "store.db"
    make_store(file)
    return file


@pytest.fixture(autouse=True)
def in_folder(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_utc: None) -> None:
    """A copy of the store for each test, because some outputs are those of changes."""
    (tmp_path / "store.db").write_bytes(stored.read_bytes())
    (tmp_path / "plan.yaml").write_text(FILE, encoding="utf-8")
    (tmp_path / "wrong.yaml").write_text(WRONG_FILE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROTA_STORE", "sqlite:///store.db")
    monkeypatch.setenv("ROTA_URL", "redis://127.0.0.1:1")
    monkeypatch.setattr(output, "now", lambda: NOW)
    ids = map(fixed_id, count(100))
    monkeypatch.setattr("rota.store.schedule_edits.uuid7", lambda: next(ids))
    for module in (editing, steering):
        monkeypatch.setattr(module, "actor", lambda: "anna@web-01")


def show_schedules() -> None:
    reading.list_schedules()


def show_schedule() -> None:
    reading.show("nightly-report")


def show_versions() -> None:
    reading.versions("nightly-report")


def show_runs() -> None:
    run_history.runs()


def show_runs_of_one() -> None:
    run_history.runs("nightly-report")


def show_run() -> None:
    run_history.run_show(FAILED)


def show_preview() -> None:
    planning.preview(["30 2 * * *"], timezone="America/New_York", start="2026-03-06T12:00-05:00", number=3)


def show_description() -> None:
    planning.describe_spec(["30 2 * * mon-fri", "@every 1h"])


def show_simulation() -> None:
    planning.simulate_schedules(
        ["nightly-report", "每日备份数据库"], start="2026-02-12T00:00Z", end="2026-02-26T00:00Z"
    )


def show_forecast() -> None:
    planning.forecast(days=3, limit=1)


def show_check() -> None:
    files.check(["plan.yaml"])


def show_faults_of_a_file() -> None:
    try:
        files.check(["wrong.yaml"])
    except RotaError as error:
        explain(error)


def show_plan() -> None:
    files.apply(["plan.yaml"], dry_run=True)


def show_new_schedule() -> None:
    editing.add("weekly", "report:weekly", spec=["0 8 * * mon"], timezone="Asia/Shanghai")
    editing.add("once", "mail:campaign", at="2026-03-01T09:00Z")


def show_schedule_that_is_stopped() -> None:
    reading.show("stock")


def show_edit_of_a_schedule() -> None:
    editing.edit("nightly-report", spec=["0 4 * * *"], unset=["calendar"])


def show_stop_of_schedules() -> None:
    steering.stop(tag="net")


def show_hold() -> None:
    steering.hold(until="2026-02-02T08:00Z", note="move to the new machine")
    reading.list_schedules(tag="net")


def show_deletion_of_schedules() -> None:
    editing.delete(["nightly-report", "每日备份数据库"])


def show_calendars() -> None:
    calendar_command.list_calendars()


def show_day() -> None:
    calendar_command.show("china", day="2026-02-17")


@in_each_terminal(
    show_schedules, show_schedule, show_schedule_that_is_stopped, show_versions, show_runs, show_runs_of_one, show_run,
    show_preview, show_description, show_simulation, show_forecast, show_check, show_faults_of_a_file, show_plan,
    show_new_schedule, show_edit_of_a_schedule, show_stop_of_schedules, show_hold, show_deletion_of_schedules,
    show_calendars, show_day,
)  # fmt: skip
def test_output_is_as_in_its_file(show: Show, width: int, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compare(show, width, language, monkeypatch)
