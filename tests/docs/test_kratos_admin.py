"""Each row of the page on Kratos Admin names a test that exists, or says that its part is missing."""

import ast
import re
from functools import cache

import pytest

from scripts.tree import ROOT

PAGE = (ROOT / "docs" / "kratos-admin.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
ROWS = [
    line.strip("|").split("|")
    for table in re.split(r"\n\n", PAGE)
    if "Shown by" in table
    for line in table.splitlines()[2:]
    if line.startswith("|")
]


@cache
def names_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_test_that_the_page_names_exists(path: str, name: str) -> None:
    assert name in names_in(path)


def test_each_row_has_its_test_or_says_that_it_is_missing() -> None:
    assert len(ROWS) > 40
    for row in ROWS:
        assert "::" in row[-1] or "**not yet**" in "".join(row), row
