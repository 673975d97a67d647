"""The page on the texts of schedules: its examples are read, and fire as it says."""

import contextlib
import io
import re

import pytest

from rota.errors import ScheduleError
from rota.schedule.cron import CronExpression
from rota.schedule.cron_field import RANGES
from rota.schedule.spec import DESCRIPTORS, parse_spec
from scripts.tree import ROOT
from tests.unit.schedule.firing import noted

PAGE = (ROOT / "docs" / "reference" / "cron.md").read_text(encoding="utf-8")
NEW_YORK = "America/New_York"


def table(header: str) -> list[list[str]]:
    """The rows of the table that has this header."""
    lines = PAGE.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {header}")) + 2
    rows: list[list[str]] = []
    while lines[start].startswith("|"):
        rows.append([cell.strip() for cell in lines[start].strip("|").split(" | ")])
        start += 1
    return rows


def spans(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


TEXTS = [row[1].strip("`") for row in table("Form |")] + [
    text for row in table("Text | Fires") for text in spans(row[0])
]
PARTS = [(part, row[1]) for row in table("Part |") for part in spans(row[0])]


@pytest.mark.parametrize("text", TEXTS)
def test_example_of_a_text_is_read(text: str) -> None:
    parse_spec(text, timezone="Europe/Berlin")


@pytest.mark.parametrize(("part", "where"), PARTS)
def test_part_of_a_field_is_read_in_its_fields(part: str, where: str) -> None:
    fields = [item.name for item in RANGES] if where.startswith("all") else [where]
    read = [name for name in fields if _is_read(part, name)]
    assert read, f"{part} is not read in {where}"


def _is_read(part: str, name: str) -> bool:
    words = [part if item.name == name else "*" for item in RANGES]
    try:
        CronExpression.parse(" ".join(words))
    except ScheduleError:
        return False
    return True


def test_nicknames_are_those_of_the_page() -> None:
    assert {name: row[1].strip("`") for row in table("Nickname") for name in spans(row[0])} == DESCRIPTORS


def test_clock_changes_of_the_page_are_right() -> None:
    spring, autumn = "2026-03-08T00:00-05:00", "2026-11-01T00:00-04:00"
    for row in table("Text | Spring"):
        text, first, second = row[0].strip("`"), *(re.findall(r"\d\d:\d\d", cell) for cell in row[1:])
        for start, times in ((spring, first), (autumn, second)):
            fires = {each[11:16] for each in noted(text, NEW_YORK, start, 60) if each[:10] == start[:10]}
            assert set(times) <= fires | {"00:00"}, (text, start)
        if "does not fire" in row[1]:
            assert not [each for each in noted(text, NEW_YORK, spring, 5) if each[:10] == spring[:10]]


def test_program_of_the_page_prints_what_it_says() -> None:
    program = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(program, {})
    expected = re.findall(r"  # (\d{4}-.*)", program)
    assert printed.getvalue().splitlines()[: len(expected)] == expected
    assert "2026-11-30 02:30:00+01:00 normal" in printed.getvalue()
