"""Pages of the docs, followed from their first line to their last, each with its own embedded server."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rota.broker.embedded import Embedded
from scripts.tree import ROOT
from tests.docs.walkthrough import FOLLOWED, Walk, blocks

TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
TESTING = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """The path of a unix socket has at most 104 bytes, and the folders of pytest are longer than a reader's."""
    folder = Path(tempfile.mkdtemp(prefix="rota-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("page", [TUTORIAL, TESTING])
def test_each_snippet_of_a_page_of_programs_names_its_file(page: str) -> None:
    snippets = [block for block in blocks(page) if block.language == "python"]

    assert len(snippets) > 10
    assert [block.content for block in snippets if block.file is None] == []


def test_each_test_of_the_programs_is_shown_whole() -> None:
    tests = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "examples/tutorial/testing").glob("*.py")}
    shown = {block.file: block.content for block in blocks(TESTING) if block.language == "python"}

    assert tests.items() <= shown.items()


def test_each_program_of_the_tutorial_is_shown_whole() -> None:
    programs = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "examples/tutorial").glob("*.py")}

    assert {block.file: block.content for block in blocks(TUTORIAL) if block.language == "python"} == programs


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", FOLLOWED)
def test_a_reader_who_follows_a_page_sees_the_output_it_shows(page: str, short_folder: Path) -> None:
    with Embedded(short_folder / "production") as server:
        walk = Walk(short_folder, server.url)
        try:
            walk.follow((ROOT / page).read_text(encoding="utf-8"))
        finally:
            walk.leave()
