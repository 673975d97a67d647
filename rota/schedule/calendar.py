"""Calendars: on which days a schedule does not fire, such as holidays and weekends.

A calendar has two lists with the same forms, `days_off` and `working_days`. An item of a list is a day of the week
(`sat`, `mon..fri`), a day of every year (`12-25`), a date (`2026-10-01`) or a range of dates
(`2026-10-01..2026-10-07`), each with a label if wanted. A date beats a day of the year, and a day of the year beats a
day of the week. A day in neither list is a working day, or a day off with `other_days: off`. So these are the holidays
of a company that makes up for them on a Saturday (调休):

    name: china
    days_off: [sat, sun, {2026-10-01..2026-10-07: National Day}]
    working_days: [{2026-10-10: make-up working day}]
    ends: 2026-12-31

and a calendar whose schedules fire on few days only has `other_days: off`. Dates are published a year ahead at most,
and a calendar without dates for the new year lets schedules fire on its holidays. So `ends` names the last day that the
calendar knows, and `warning` says when that day comes near.

`Calendar.read` reads the form above from JSON or YAML, and `to_mapping` writes it. `rota.schedule.day_off` moves what
falls on a day off, `rota.schedule.ical` reads and writes iCalendar, `rota.schedule.public_holidays` makes calendars.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Literal, TypeAlias

from rota.core.canonical import is_mapping
from rota.core.text import counted, did_you_mean
from rota.errors import ScheduleInvalid
from rota.schedule.day_list import WEEKDAYS, DayFault, DayList, brief

OtherDays: TypeAlias = Literal["working", "off"]

FIELDS = ("name", "days_off", "working_days", "other_days", "ends", "remark")
WARNING_DAYS = 60
"""How many days before its last day a calendar is said to end."""
_DAY = timedelta(days=1)
_LONGEST_NAME = 200
_LONGEST_TEXT = 10_000


@dataclass(frozen=True, slots=True)
class Calendar:
    """Says which days are days off. `ends` is the last day for which its dates are known; None if it needs none."""

    name: str
    days_off: DayList = field(default_factory=DayList)
    working_days: DayList = field(default_factory=DayList)
    other_days: OtherDays = "working"
    ends: date | None = None
    remark: str = ""

    def __post_init__(self) -> None:
        if problems := [*_clashes(self.days_off, self.working_days), *_without_work(self)]:
            raise _refusal(self.name, problems)

    @classmethod
    def read(cls, mapping: Mapping[str, Any]) -> "Calendar":
        """Read a calendar from a form, a file or the database. Raises ScheduleInvalid with every problem."""
        given: object = mapping
        if not is_mapping(given):
            raise _refusal(None, [("", f"{brief(given)} is not a calendar: write an object with name and days_off.")])
        return _CalendarReader({str(name): value for name, value in given.items() if value is not None}).calendar()

    def to_mapping(self) -> dict[str, Any]:
        """Return the form that `read` reads, as JSON can express it: what differs from the defaults."""
        written: dict[str, Any] = {
            "name": self.name,
            "days_off": self.days_off.to_list(),
            "working_days": self.working_days.to_list(),
            "other_days": "" if self.other_days == "working" else self.other_days,
            "ends": self.ends.isoformat() if self.ends else "",
            "remark": self.remark,
        }
        return {name: value for name, value in written.items() if value}

    def is_off(self, day: date) -> bool:
        """Whether a day is a day off."""
        for kind in ("date", "year", "week"):
            for days, off in ((self.days_off, True), (self.working_days, False)):
                if days.label(day, kind) is not None:
                    return off
        return self.other_days == "off"

    def reason(self, day: date) -> str:
        """Return in words why a day is a day off or a working day, for the history of a schedule."""
        for kind in ("date", "year", "week"):
            for days, word in ((self.days_off, "a day off"), (self.working_days, "a working day")):
                if (label := days.label(day, kind)) is not None:
                    return f"{day.isoformat()} is {word} in calendar {self.name}" + (f": {label}" if label else "")
        return f"{day.isoformat()} is {'a day off' if self.is_off(day) else 'a working day'} in calendar {self.name}"

    def warning(self, today: date, within: int = WARNING_DAYS) -> str | None:
        """Return a sentence if the calendar knows no dates after the next `within` days; None otherwise."""
        if self.ends is None or self.ends > today + _DAY * within:
            return None
        if self.ends < today:
            return (
                f"The dates of calendar {self.name} ended on {self.ends.isoformat()}: schedules now fire on holidays "
                "that it does not know. Add the dates of the next year, and set ends."
            )
        left = counted((self.ends - today).days, "day")
        return (
            f"The dates of calendar {self.name} end in {left}, on {self.ends.isoformat()}. Add the dates of the next "
            "year, and set ends."
        )


class _CalendarReader:
    """Reads the fields of one mapping, and collects the problems."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = given
        self.problems: list[tuple[str, str]] = []

    def calendar(self) -> Calendar:
        name, remark, other, ends = self._name(), self._remark(), self._other_days(), self._ends()
        off, working = self._days("days_off"), self._days("working_days")
        for each in self.given.keys() - set(FIELDS):
            self.problems.append((each, f"There is no field {each!r}. {did_you_mean(each, FIELDS)}"))
        if self.problems:
            raise _refusal(self.given.get("name"), self.problems)
        return Calendar(name, off, working, other, ends, remark)

    def _name(self) -> str:
        value = self.given.get("name")
        if isinstance(value, str) and value.strip() and value == value.strip() and value.isprintable():
            if len(value) <= _LONGEST_NAME:
                return value
            self.problems.append(("name", f"name has {len(value)} characters, but may have {_LONGEST_NAME}."))
        elif value is None:
            self.problems.append(("name", "name is missing."))
        else:
            text = f"name is {brief(value)}, but must be one line of text without white space at its ends."
            self.problems.append(("name", text))
        return ""

    def _remark(self) -> str:
        value = self.given.get("remark", "")
        if isinstance(value, str) and len(value) <= _LONGEST_TEXT and "\0" not in value:
            return value
        self.problems.append(("remark", f"remark must be a text of at most {_LONGEST_TEXT} characters."))
        return ""

    def _days(self, name: str) -> DayList:
        try:
            return DayList.read(self.given.get(name, ()))
        except DayFault as fault:
            self.problems += [(f"{name}.{path}" if path else name, f"{name}: {text}") for path, text in fault.problems]
            return DayList()

    def _other_days(self) -> OtherDays:
        value = self.given.get("other_days", "working")
        if value is False:  # YAML reads a bare `off` as false
            return "off"
        if value in ("working", "off"):
            return value  # type: ignore[no-any-return]
        self.problems.append(("other_days", f"other_days is {brief(value)}, but must be working or off."))
        return "working"

    def _ends(self) -> date | None:
        value = self.given.get("ends")
        if isinstance(value, str):
            with suppress(ValueError):
                value = date.fromisoformat(value)
        if value is None or type(value) is date:
            return value
        self.problems.append(("ends", f"ends is {brief(value)}, but must be a date such as 2026-12-31."))
        return None


def _clashes(off: DayList, working: DayList) -> list[tuple[str, str]]:
    """Return a problem if a day stands in both lists with the same precision, so that neither beats the other."""
    both = off.items() & working.items()
    if not both:
        return []
    shown = ", ".join(sorted(both)[:5]) + (" and others" if len(both) > 5 else "")
    return [("working_days", f"{shown} cannot be in days_off and in working_days: leave it out of one of them.")]


def _without_work(calendar: Calendar) -> list[tuple[str, str]]:
    """Return a problem if no day can be a working day, so that no schedule would fire."""
    working, off = calendar.working_days, calendar.days_off
    if working.dates or working.of_year or working.weekdays:
        return []
    if calendar.other_days == "off":
        return [("other_days", "other_days is off and working_days is empty, so that no schedule would ever fire.")]
    if len(off.weekdays) == len(WEEKDAYS):
        return [("days_off", "days_off has all days of the week, so that no schedule would ever fire.")]
    return []


def _refusal(name: object, problems: list[tuple[str, str]]) -> ScheduleInvalid:
    what = f"The calendar {name!r}" if isinstance(name, str) and name.strip() else "The calendar"
    if len(problems) == 1:
        return ScheduleInvalid(f"{what} is wrong: {problems[0][1]}", problems=problems)
    lines = "".join(f"\n- {text}" for _, text in problems)
    return ScheduleInvalid(f"{what} has {counted(len(problems), 'problem')}:{lines}", problems=problems)
