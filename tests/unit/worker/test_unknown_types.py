"""What is counted and logged of types that have no handler."""

from collections.abc import Callable

import pytest

from rota.health.process_status import MOST_TYPES, OTHER_TYPES
from rota.worker.consume.unknown_types import EVERY_SECONDS, FIRST_SECONDS, UnknownTypes


class Timer:
    """Calls of `later`, to be made by the test."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self._act: Callable[[], None] | None = None

    def __call__(self, seconds: float, act: Callable[[], None]) -> None:
        assert self._act is None, "one timer at a time"
        self.waits.append(seconds)
        self._act = act

    def fire(self) -> None:
        act, self._act = self._act, None
        assert act is not None
        act()


def test_unknown_types_are_logged_once_with_their_count_and_the_likely_name(caplog: pytest.LogCaptureFixture) -> None:
    timer = Timer()
    unknown = UnknownTypes(lambda: ["email:welcome", "report:build"], timer)
    for _ in range(4990):
        unknown.note("email:welcom")
    for _ in range(10):
        unknown.note("zzz")
    assert caplog.messages == []
    timer.fire()
    [text] = caplog.messages
    assert "Handed back 5,000 tasks" in text
    assert "'email:welcom' (4990; did you mean 'email:welcome'?), 'zzz' (10)" in text
    assert "not imported" in text


def test_unknown_types_are_logged_at_most_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    timer = Timer()
    unknown = UnknownTypes(lambda: ["a"], timer, lambda: 1000.0)
    for _ in range(3):
        unknown.note("b")
        unknown.note("b")
        timer.fire()
    assert timer.waits == [FIRST_SECONDS, EVERY_SECONDS, EVERY_SECONDS]
    assert [text.split(",")[0] for text in caplog.messages] == ["Handed back 2 tasks"] * 3


def test_worker_without_any_type_is_told_to_import_its_module(caplog: pytest.LogCaptureFixture) -> None:
    timer = Timer()
    UnknownTypes(tuple, timer).note("a")
    timer.fire()
    assert "no task types at all" in caplog.text


def test_unknown_types_are_bounded_and_their_names_stay() -> None:
    unknown = UnknownTypes(later=lambda seconds, act: None)
    for number in range(1000):
        unknown.note(f"type-{number}")
    for _ in range(5):
        unknown.note("type-999")
    assert len(unknown.counts) == MOST_TYPES + 1
    assert unknown.counts["type-0"] == 1
    assert unknown.counts[OTHER_TYPES] == 1000 - MOST_TYPES + 5
