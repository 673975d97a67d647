"""Compares what a command shows with a file: at 80 and 200 columns, in English and Chinese.

    @in_each_terminal(show_stats, show_queue)
    def test_output_is_as_in_its_file(show: Show, width: int, language: str, monkeypatch: MonkeyPatch) -> None:
        compare(show, width, language, monkeypatch)

`WRITE_SNAPSHOTS=write` writes the files anew. Look at the difference before you commit it. The outputs stand on fixed
values with fixed times, so that no server is needed; `show_...` prints one of them, and its name is that of the files.
"""

import io
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest
import typer
from rich import _wrap

from rota.cli.language import WORD

FOLDER = Path(__file__).with_name("snapshots")
NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
WIDTHS, LANGUAGES = (80, 200), ("en", "zh")
RICH_WORD = re.compile(r"\s*\S+\s*")
"""The pattern of a word in Rich."""
Show = Callable[[], None]
TestT = TypeVar("TestT", bound=Callable[..., object])


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


class Keyboard(Terminal):
    """A terminal on which a user types yes to each question, and which shows what is typed."""

    def readline(self, size: int | None = -1, /) -> str:
        sys.stdout.write("y\n")
        return "y\n"


def in_each_terminal(*shows: Show) -> Callable[[TestT], TestT]:
    """Run a test for each output, width and language."""

    def decorate(test: TestT) -> TestT:
        for name, values in (("language", LANGUAGES), ("width", WIDTHS), ("show", shows)):
            test = pytest.mark.parametrize(name, values)(test)
        return test

    return decorate


def compare(show: Show, width: int, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare what a terminal gets with the file of the output."""
    text = printed(show, width, language, monkeypatch)
    file = FOLDER / f"{show.__name__}.{width}.{language}.txt"
    if os.environ.get("WRITE_SNAPSHOTS") == "write":
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def printed(show: Show, width: int, language: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what a terminal gets, without the bold and dim letters."""
    stream = Terminal()
    for name, value in {
        "COLUMNS": str(width),
        "LINES": "50",
        "NO_COLOR": "1",
        "TERM": "dumb",
        "ROTA_LANG": language,
    }.items():
        monkeypatch.setenv(name, value)
    # A command in Chinese does this for its whole process, so a test before this one may have left it behind.
    monkeypatch.setattr(_wrap, "re_word", RICH_WORD if language == "en" else WORD)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr("sys.stdin", Keyboard())
    with suppress(typer.Exit):  # the code is not a part of the output
        show()
    return "".join(line.rstrip() + "\n" for line in stream.getvalue().splitlines())
