"""Warns of calendars that end soon, because their schedules then fire on holidays.

The leader looks once a day at the calendars of the schedules that it holds.
"""

import time
from collections import Counter
from collections.abc import Mapping

from rota import events
from rota.schedule.calendar import Calendar
from rota.scheduler.agenda import Agenda
from rota.scheduler.server_time import ServerTime

EVERY_SECONDS = 86_400.0
AFTER_SECONDS = 2.0
"""How long after an edit of a calendar, and after the start, so that the schedules are known."""


class CalendarWatch:
    """The warnings of one term."""

    def __init__(self, agenda: Agenda, calendars: Mapping[str, Calendar], clock: ServerTime) -> None:
        self._agenda = agenda
        self._calendars = calendars
        self._clock = clock
        self._look_at = time.monotonic() + AFTER_SECONDS

    def edited(self) -> None:
        """Note that a calendar was edited."""
        self._look_at = time.monotonic() + AFTER_SECONDS

    def look(self) -> None:
        """Report the calendars that end soon, if it is time."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + EVERY_SECONDS
        entries = [entry for entry in self._agenda.entries.values() if entry.definition.calendar is not None]
        numbers = Counter(entry.definition.calendar for entry in entries)
        names = {entry.definition.calendar: entry.name for entry in reversed(entries)}
        for calendar, number in numbers.items():
            known = self._calendars.get(calendar or "")
            warning = None if known is None else known.warning(self._clock.moment().date())
            if known is not None and warning is not None:
                events.emit(
                    events.CalendarEndsSoon(
                        calendar=known.name, warning=warning, schedules=number, schedule=names[calendar]
                    )
                )
