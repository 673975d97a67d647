"""`rota calendar` in this process, on an SQLite store of its own for each test."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from rota.cli.output import explain
from rota.cli.program import program
from rota.errors import RotaError

CHINA = """\
name: china
days_off: [sat, sun, {2099-10-01..2099-10-07: National Day}]
working_days: [{2099-10-10: make-up working day}]
ends: 2099-12-31
"""


class Done(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def rota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("ROTA_STORE", f"sqlite:///{tmp_path / 'store.db'}")
    monkeypatch.chdir(tmp_path)

    def run(*words: str, typed: str = "") -> Done:
        result = CliRunner().invoke(program, list(words), input=typed)
        if isinstance(result.exception, RotaError):
            capsys.readouterr()
            return Done(explain(result.exception), result.stdout, result.stderr + capsys.readouterr().err)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Done(result.exit_code, result.stdout, result.stderr)

    return run


def test_calendar_goes_in_and_out_in_each_form(rota: Run) -> None:
    Path("china.yaml").write_text(CHINA)
    assert rota("calendar", "import", "china.yaml").out == "Saved the calendar 'china' with 7 dates.\n"
    assert "as it was" in rota("calendar", "import", "china.yaml").out
    shown = rota("calendar", "show", "china", "--json").out
    for name in ("out.yaml", "out.json", "out.ics"):
        assert rota("calendar", "export", "china", "-o", name).code == 0
        assert "as it was" in rota("calendar", "import", name).out, name
    assert rota("calendar", "show", "china", "--json").out == shown
    assert rota("calendar", "export", "china", "--format", "ical").out.startswith("BEGIN:VCALENDAR")
    assert rota("calendar", "import", "-", "--name", "copy", typed=rota("calendar", "export", "china").out).code == 0


def test_day_is_explained(rota: Run) -> None:
    Path("china.yaml").write_text(CHINA)
    rota("calendar", "import", "china.yaml")
    assert "day off in calendar china: National Day" in rota("calendar", "show", "china", "--day", "2099-10-02").out
    found = json.loads(rota("calendar", "show", "china", "--day", "2099-10-10", "--json").out)
    assert (found["off"], "make-up" in found["reason"]) == (False, True)


def test_public_holidays_are_imported_and_warn_when_they_end(rota: Run) -> None:
    made = rota("calendar", "import", "--country", "DE", "--subdivision", "BY", "--years", "2019,2020", "--name", "by")
    assert "Saved the calendar 'by' with 24 dates." in made.out
    assert "ended on 2020-12-31" in made.err
    assert "ended on 2020-12-31" in rota("calendar", "list").err
    assert "Epiphany" in rota("calendar", "show", "by", "--day", "2020-01-06").out


def test_calendar_in_use_is_listed_and_not_deleted(rota: Run) -> None:
    Path("china.yaml").write_text(CHINA)
    rota("calendar", "import", "china.yaml")
    rota("schedule", "add", "backup", "t", "--spec", "@daily", "--set", "calendar=china")
    [listed] = json.loads(rota("calendar", "list", "--json").out)
    assert (listed["schedules"], listed["warning"], listed["version"]) == (["backup"], None, 1)
    assert "backup" in rota("calendar", "list").out
    assert "is used by 1 schedule" in rota("calendar", "delete", "china", "--yes").err
    rota("schedule", "delete", "backup", "--yes")
    assert rota("calendar", "delete", "china").code == 1  # without a terminal nobody agrees
    assert rota("calendar", "delete", "china", "--yes").out == "Deleted the calendar 'china'.\n"
    assert "no calendars" in rota("calendar", "list").err


def test_calendar_is_replaced_only_with_consent(rota: Run) -> None:
    Path("china.yaml").write_text(CHINA)
    rota("calendar", "import", "china.yaml")
    Path("china.yaml").write_text(CHINA.replace("sat, ", ""))
    assert rota("calendar", "import", "china.yaml").code == 1
    assert "Replaced" in rota("calendar", "import", "china.yaml", typed="y\n").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("import",), "Where does the calendar come from?"),
        (("import", "x.yaml", "--years", "2026"), "belong to --country"),
        (("import", "x.txt"), "form is not known"),
        (("import", "nowhere.yaml"), "cannot be read"),
        (("import", "--country", "DE", "--years", "soon"), "write the years"),
        (("import", "--country", "Germany", "--years", "2026"), "no country"),
        (("show", "x"), "There is no calendar"),
        (("export", "x", "--format", "xls"), "--format"),
    ],
)
def test_mistake_is_refused(rota: Run, words: tuple[str, ...], said: str) -> None:
    Path("x.txt").write_text("")
    rota("store", "upgrade")
    refused = rota("calendar", *words)
    assert refused.code in (1, 2)
    assert said in refused.err.replace("\n", " ")
