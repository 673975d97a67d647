"""One outage at a time, each with an end."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from tests.crash.soak.agenda import Agenda


class Spell:
    """Bad weather: while it lasts no other begins, but processes are killed and frozen as ever."""

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda
        self.lasts = False

    def begin(self, outage: Callable[[], AbstractContextManager[None]], seconds: float) -> bool:
        """Begin an outage and end it after so long, unless there is one already."""
        if self.lasts:
            return False
        within = ExitStack()
        within.enter_context(outage())
        self.lasts = True

        def end() -> None:
            within.close()
            self.lasts = False

        self._agenda.add(seconds, end)
        return True
