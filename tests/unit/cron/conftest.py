"""A clock that the test moves, and a record of events."""

import pytest

from rota import events
from tests.unit.cron.moved_clock import MovedClock, Told


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    found = Told()
    emit = events.emit

    def note(event: events.Event) -> None:
        found.append(event)
        emit(event)

    monkeypatch.setattr(events, "emit", note)
    return found
