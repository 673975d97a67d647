"""The example of schedules in code, and the page that shows it."""

import pytest

from examples import schedules
from rota.schedule.definition import FIELDS, ScheduleDefinition
from rota.schedule.due import ON_TIME
from rota.schedule.run import SKIP_REASONS
from rota.schedule.timetable import LATEST_MOMENT
from rota.schedule.variables import VARIABLES
from scripts.tree import ROOT

PAGE = (ROOT / "docs" / "schedules.md").read_text(encoding="utf-8")


def test_example_lists_its_schedules_with_their_next_time(capsys: pytest.CaptureFixture[str]) -> None:
    schedules.main()

    lines = capsys.readouterr().out.splitlines()
    assert [line[:15].strip() for line in lines] == ["backup", "cache:warm", "email:digest", "report:build", "stock"]
    assert all(line.endswith("+00:00") for line in lines)


async def test_provider_of_the_example_returns_schedules() -> None:
    found = [ScheduleDefinition.read(each) for each in await schedules.of_customers()]

    assert [each.name for each in found] == ["invoice ada", "invoice bob"]


def test_page_names_every_field_variable_and_reason() -> None:
    for word in (*FIELDS, *VARIABLES, *SKIP_REASONS):
        assert f"`{word}`" in PAGE or f"`{{{{{word}}}}}`" in PAGE, word


def test_page_gives_the_limits_of_the_code() -> None:
    assert f"{ON_TIME.seconds} s late" in PAGE
    assert LATEST_MOMENT.days == 1
    assert "a day before the save" in PAGE
