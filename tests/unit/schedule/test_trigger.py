"""Triggers that a user writes, and what the class refuses of them."""

from datetime import UTC, datetime

import pytest

from rota.errors import OptionError
from rota.schedule.search import Occurrence
from rota.schedule.trigger import Trigger

NOW = datetime(2026, 3, 2, tzinfo=UTC)


class Standing(Trigger):
    """Returns the moment that it is given, so that a search for its times would not end."""

    text = "standing"

    def _occurrence(self, after: datetime) -> Occurrence | None:
        return Occurrence(after)

    def _previous(self, before: datetime) -> datetime | None:
        return before


def test_trigger_that_does_not_move_on_is_refused() -> None:
    with pytest.raises(OptionError, match=r"'standing' returned .* its time has to be later"):
        Standing().next(NOW)
    with pytest.raises(OptionError, match=r"'standing' returned .* its time has to be earlier"):
        Standing().previous(NOW)
