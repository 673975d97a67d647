"""The table of scenarios in the docs: every scenario has a row and a scene, and every test that a row names exists."""

import ast
import re
from collections.abc import Iterator

from tests.crash import page
from tests.crash.workers import ROOT

SCENARIOS = {*range(1, 39), *range(51, 55)}
SCENELESS = {54}
"""What the checker says at the end of every scene."""
WITH_GO = {1, 6, 10, 15, 16, 21, 30, 31}
_TITLE = re.compile(r"(\d+(?:, \d+)*)(?: \(M\))?:(?: |$)")
_FILE = re.compile(r"`((?:tests/\S+/)?test_\w+\.py)`")
_TEST = re.compile(r"`(\w+)(…?)`(?: \(([^)]*)\))?")


def rows() -> list[tuple[str, str]]:
    """The first and the last column of each row."""
    text = page.PAGE.read_text().split("\n## Scenarios\n")[1].split("\n### ")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return [(row[0], row[-1]) for row in cells[2:]]


def numbers(cell: str) -> Iterator[tuple[int, bool]]:
    """The scenarios of a row, and whether Go belongs to it: of `10–12 (M)` to the first."""
    for first, last, mixed in re.findall(r"(\d+)(?:–(\d+))?( \(M\))?", cell):
        yield from ((n, bool(mixed) and n == int(first)) for n in range(int(first), int(last or first) + 1))


def titled() -> Iterator[int]:
    """The scenarios that a scene has in its title, those of the long ones left out, which CI does not run."""
    for path in (ROOT / "tests" / "crash").glob("test_[!l]*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and (title := _TITLE.match(str(node.value))) is not None:
                yield from map(int, title[1].split(", "))


def wanted(tests: str) -> Iterator[tuple[str, list[str]]]:
    """The files that a row names, and what has to be in each: tests, and cases of them in parentheses."""
    for part in tests.split("; "):
        if (file := _FILE.search(part)) is not None:
            texts = []
            for name, more, cases in _TEST.findall(part[file.end() :]):
                texts += [f"def test_{name}" + ("" if more else "("), *re.findall(r"`([^`]+)`", cases)]
            yield file[1] if "/" in file[1] else f"tests/crash/{file[1]}", texts


def test_every_scenario_has_a_row_and_those_of_mixed_fleets_a_test_with_go() -> None:
    found = [each for cell, _ in rows() for each in numbers(cell)]
    assert {number for number, _ in found} == SCENARIOS
    assert {number for number, mixed in found if mixed} == WITH_GO
    assert [cell for cell, tests in rows() if "(M)" in cell and "(M)" not in tests] == []


def test_every_scenario_is_in_the_title_of_a_scene() -> None:
    assert set(titled()) == SCENARIOS - SCENELESS


def test_every_row_names_tests_and_each_of_them_exists() -> None:
    named = [(cell, file, texts) for cell, tests in rows() for file, texts in wanted(tests)]
    assert {cell for cell, _, texts in named if texts} == {cell for cell, _ in rows()}
    assert [(cell, file) for cell, file, texts in named if not texts] == []
    assert [(file, text) for _, file, texts in named for text in texts if text not in (ROOT / file).read_text()] == []
