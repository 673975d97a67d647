"""Fixtures of the tests of outputs."""

import time
from collections.abc import Iterator

import pytest
from rich import _wrap


@pytest.fixture(autouse=True)
def lines_break_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take back how a command in Chinese lets lines break, for its whole process."""
    monkeypatch.setattr(_wrap, "re_word", _wrap.re_word)


@pytest.fixture
def in_utc() -> Iterator[None]:
    """Let local times be those of UTC."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()
