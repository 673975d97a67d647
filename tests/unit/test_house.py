"""The tools that hold the house in order, and what they say of it."""

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name as canonical

from scripts import check_links, write_docs
from scripts.check_size import Piece, judge, measure, read_exceptions
from scripts.tree import ROOT, project_files
from tests.docs.walkthrough import FOLLOWED

BANNED_MODULES = {"utils", "util", "helpers", "helper", "common", "manager", "misc", "base"}


def test_a_piece_over_its_limit_is_a_fault_unless_listed() -> None:
    long = Piece("rota/x.py::run", "function", 60)

    assert len(judge([long], {})) == 1
    assert judge([long], {"rota/x.py::run": 60}) == []


@pytest.mark.parametrize(
    ("lines", "word"),
    [(61, "grew"), (59, "shrank"), (50, "within the limit again")],
)
def test_the_list_of_exceptions_may_only_shrink(lines: int, word: str) -> None:
    faults = judge([Piece("rota/x.py::run", "function", lines)], {"rota/x.py::run": 60})

    assert len(faults) == 1
    assert word in faults[0]


def test_an_exception_for_something_that_is_gone_is_a_fault() -> None:
    assert "does not exist" in judge([], {"rota/gone.py": 600})[0]


def test_nested_functions_and_methods_are_measured_by_their_full_name() -> None:
    source = "class A:\n    def b(self):\n        def c():\n            pass\n        return c\n"

    found = {piece.name: piece.lines for piece in measure("x.py", source)}

    assert found == {"x.py": 5, "x.py::A": 5, "x.py::A.b": 4, "x.py::A.b.c": 2}


def test_comments_in_the_list_of_exceptions_are_skipped() -> None:
    assert read_exceptions("# why\n\nrota/x.py 510 # soon\n") == {"rota/x.py": 510}


def test_a_link_to_a_missing_file_or_heading_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Here it is\n")
    page = tmp_path / "page.md"
    page.write_text("[a](other.md#here-it-is) [b](other.md#not) [c](gone.md) `[d](code.md)` [e](https://example.org)\n")

    faults = list(check_links.broken(page))

    assert faults == ["other.md#not: other.md has no such heading", "gone.md: there is no such file"]


def test_the_docs_are_in_step_with_the_code() -> None:
    stale = [page.relative_to(ROOT).as_posix() for page in write_docs.stale(project_files(".md"))]

    assert not stale, f"{', '.join(stale)}: not in step with the code; run `make docs`"


def test_each_part_of_a_worker_is_in_the_table_of_parts() -> None:
    source = (ROOT / "rota" / "worker" / "parts.py").read_text(encoding="utf-8")
    parts = set(re.findall(r"self\.(?:\w+\.)*(\w+)\.run\b", source))
    page = (ROOT / "docs" / "internals.md").read_text(encoding="utf-8")
    missing = sorted(part for part in parts if f"| `{part}` |" not in page)

    assert {"sweeper", "loop_watchdog"} <= parts
    assert not missing, f"The table of parts in docs/internals.md has no line for these: {missing}"


def test_a_snippet_holds_a_definition_with_its_decorators() -> None:
    text = "import x\n\n\n@x.task('a')\nasync def a() -> None:\n    pass\n\n\nb = 1\n"

    assert write_docs.definition(text, "a") == "@x.task('a')\nasync def a() -> None:\n    pass"
    assert write_docs.definition(text, "b") == "b = 1"


def test_python_in_the_docs_comes_from_files_that_are_tested_or_is_run_by_a_test() -> None:
    loose = [
        page.relative_to(ROOT).as_posix()
        for page in project_files(".md")
        if page.parent == ROOT or page.is_relative_to(ROOT / "docs")
        if "```python" in write_docs._BLOCK.sub("", page.read_text(encoding="utf-8"))
    ]

    assert set(loose) <= set(FOLLOWED)


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [path for path in project_files(".py") if path.stem in BANNED_MODULES] == []


def _sleeps_of_tests() -> Iterator[tuple[str, str]]:
    """Yield each call of `sleep` that a test makes itself: not in a loop, and not in a function inside it."""
    for path in project_files(".py"):
        source = path.read_text(encoding="utf-8") if path.is_relative_to(ROOT / "tests") else ""
        if ".sleep(" in source:
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                    test = f"{path.relative_to(ROOT)}::{node.name}"
                    yield from ((test, ast.unparse(call)) for call in _calls(node.body))


def _calls(nodes: Iterable[ast.AST]) -> Iterator[ast.Call]:
    inner = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.For | ast.AsyncFor | ast.While
    for node in nodes:
        if isinstance(node, ast.Call):
            yield node
        if not isinstance(node, inner):
            yield from _calls(ast.iter_child_nodes(node))


def test_no_test_waits_by_sleeping() -> None:
    """A test waits for a condition, with a deadline. `asyncio.sleep(0)` only lets others run."""
    sleeps = [test for test, call in _sleeps_of_tests() if re.match(r"(time|asyncio)\.sleep\((?!0\))", call)]

    assert sleeps == []


def test_no_test_is_skipped_or_expected_to_fail() -> None:
    """But for what needs servers that a machine may lack: `tests/conftest.py` says so, and fails for it in CI."""
    pattern = re.compile(r"pytest\.(mark\.)?(skip|skipif|xfail|importorskip)\b")
    found = [
        path.relative_to(ROOT).as_posix()
        for path in project_files(".py")
        if path.is_relative_to(ROOT / "tests") and path not in (Path(__file__), ROOT / "tests" / "conftest.py")
        if pattern.search(path.read_text(encoding="utf-8"))
    ]

    assert found == []


def test_everything_that_setup_installs_is_pinned() -> None:
    pins = {canonical(line.split("==")[0]) for line in (ROOT / "constraints.txt").read_text().splitlines()}

    needed: set[str] = set()
    _add_needed("rota", {"metrics", "dev"}, needed)
    for requirement in _contributors_need("contribute"):
        needed.add(canonical(requirement.name))
        _add_needed(requirement.name, set(requirement.extras), needed)
    assert needed - pins == set()


def _contributors_need(group: str) -> Iterator[Requirement]:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    for item in groups[group]:
        if isinstance(item, dict):
            yield from _contributors_need(item["include-group"])
        else:
            yield Requirement(item)


def _add_needed(name: str, extras: set[str], found: set[str]) -> None:
    """Add the names of all packages that a package needs here, directly or not."""
    for requirement in map(Requirement, requires(name) or []):
        environments = ({"extra": extra} for extra in extras | {""})
        wanted = requirement.marker is None or any(map(requirement.marker.evaluate, environments))
        needed = canonical(requirement.name)
        if wanted and needed not in found:
            found.add(needed)
            _add_needed(requirement.name, set(requirement.extras), found)
