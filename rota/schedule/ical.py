"""Reads and writes calendars as iCalendar (RFC 5545), with the library `icalendar` (the extra `icalendar`).

`read_ical` takes the all-day events of a file as days off. An event is a working day if its file says so: with
`X-ROTA-DAY:WORKING`, with `X-APPLE-SPECIAL-DAY:ALTERNATE-WORKDAY`, or with a summary that ends in 班 or （班）, as the
public Chinese calendars write it. Rules of repetition become days of the week or days of every year where they can,
and dates up to a given day otherwise. An event with a time of day is left out, because it is not a whole day. So are
events with a rule that Rota does not read. The function returns what it left out, so that the user can be told.

`write_ical` makes a file that calendar programs show, and from which `read_ical` makes an equal calendar.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from rota.core.text import unstopped
from rota.errors import ConfigError, ScheduleInvalid
from rota.schedule.calendar import Calendar, OtherDays
from rota.schedule.day_list import MOST_DAYS, DayList

if TYPE_CHECKING:
    import icalendar
    from icalendar import Event

LARGEST = 5_000_000
"""The most characters of a file."""
_DAY = timedelta(days=1)
_WORKING, _OFF = "WORKING", "OFF"
_DEFAULT_LABELS = {_WORKING: "Working day", _OFF: "Day off"}
_CHINESE_WORKDAY = re.compile(r"班[)）\]】]?$")
_MOST_DAYS_OF_EVENT = 366
_RULE_PARTS = {
    "YEARLY": {"INTERVAL", "COUNT", "UNTIL", "WKST", "BYMONTH", "BYMONTHDAY", "BYDAY", "BYSETPOS", "BYEASTER"},
    "MONTHLY": {"INTERVAL", "COUNT", "UNTIL", "WKST", "BYMONTH", "BYMONTHDAY", "BYDAY", "BYSETPOS"},
    "WEEKLY": {"INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY"},
    "DAILY": {"INTERVAL", "COUNT", "UNTIL", "WKST"},
}
"""The parts of a rule for each frequency. Other combinations could search for years without finding a day."""
_CODES = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_FIRST_MONDAY = date(2024, 1, 1)  # a leap year, so that an event of 29 February can start in it
_STAMP = datetime(2000, 1, 1, tzinfo=UTC)  # fixed, so that equal calendars make equal files


def read_ical(text: str, *, until: date, name: str = "") -> tuple[Calendar, list[str]]:
    """Return the calendar of an iCalendar file, and a sentence for each event that was left out.

    Rules of repetition that become dates do so up to `until`. The name is that of the file (X-WR-CALNAME) unless one is
    given. `ends` is that of a file that Rota wrote, or the last date of the file. Raises ScheduleInvalid.
    """
    parsed = _parsed(text)
    days = _EventDays(until)
    left_out: list[str] = []
    for event in parsed.events:
        try:
            days.add(event)
        except ValueError as error:
            left_out.append(f"Event {_label(event)!r} was left out: {unstopped(error)}.")
    other: OtherDays = "off" if _text(parsed, "X-ROTA-OTHER-DAYS") == "OFF" else "working"
    calendar = Calendar(
        name or _line(_unescaped(parsed, "X-WR-CALNAME")) or "imported",
        days_off=days.off.without(days.working),  # a festival may fall on a make-up working day
        working_days=days.working,
        other_days=other,
        ends=_ends(parsed, days),
        remark=_unescaped(parsed, "X-WR-CALDESC"),
    )
    return calendar, left_out


def write_ical(calendar: Calendar) -> str:
    """Return a calendar as an iCalendar file."""
    library = _library()
    written = library.Calendar()
    written.add("VERSION", "2.0")
    written.add("PRODID", "-//Rota//Calendar//EN")
    written.add("X-WR-CALNAME", library.vText(calendar.name))
    written.add("X-ROTA-OTHER-DAYS", calendar.other_days.upper())
    if calendar.remark:
        written.add("X-WR-CALDESC", library.vText(calendar.remark))
    if calendar.ends:
        written.add("X-ROTA-ENDS", calendar.ends.isoformat())
    for kind, days in ((_OFF, calendar.days_off), (_WORKING, calendar.working_days)):
        for first, last, label, rule in _spans(days):
            event = library.Event()
            event.add("UID", f"{first.isoformat()}-{'-'.join(rule.values())}{kind}@{calendar.name}".lower())
            event.add("DTSTAMP", _STAMP)
            event.add("DTSTART", first)
            event.add("DTEND", last + _DAY)
            event.add("SUMMARY", label or _DEFAULT_LABELS[kind])
            event.add("TRANSP", "TRANSPARENT")
            event.add("X-ROTA-DAY", kind)
            if rule:
                event.add("RRULE", rule)
            written.add_component(event)
    return str(written.to_ical().decode())


@dataclass
class _EventDays:
    """The days of the events so far."""

    until: date
    off: DayList = field(default_factory=DayList)
    working: DayList = field(default_factory=DayList)

    def add(self, event: "Event") -> None:
        """Add the days of an event. Raises ValueError if it has days that a calendar cannot have."""
        if _text(event, "STATUS") == "CANCELLED":
            return
        found = self._days(event).labelled(_label(event))
        if _kind(event) == _WORKING:
            self.working = self.working.joined(found)
        else:
            self.off = self.off.joined(found)

    def _days(self, event: "Event") -> DayList:
        first, length = _first_and_length(event)
        rules = event.rrules
        if len(rules) > 1:
            raise ValueError("it has several rules of repetition")
        rule = dict(rules[0]) if rules else {}
        exceptions = {_day(each) for each in event.exdates}
        if rule and length == 1 and not exceptions and (found := _endless(rule, first)):
            return found
        starts = set(_starts(rule, first, self.until)) if rule else {first}
        starts |= {_day(each) for each, *_ in event.rdates}
        dates = {start + _DAY * number for start in starts - exceptions for number in range(length)}
        if len(dates) + len(self.off.dates) + len(self.working.dates) > MOST_DAYS:
            raise ValueError(f"the file has more than {MOST_DAYS} days")
        return DayList(dates=dict.fromkeys(sorted(dates), ""))


def _parsed(text: str) -> "icalendar.Calendar":
    library = _library()
    if len(text) > LARGEST:
        raise _refusal(f"the file has {len(text)} characters, but at most {LARGEST} are read")
    try:
        found = library.Calendar.from_ical(text)
    except (ValueError, IndexError, KeyError) as error:
        raise _refusal(unstopped(error)) from error
    if not isinstance(found, library.Calendar):
        raise _refusal("the file has no VCALENDAR")
    return cast("icalendar.Calendar", found)


def _library() -> Any:
    try:
        import icalendar
    except ImportError as error:
        raise ConfigError(
            "iCalendar files need the library icalendar, which is not installed: pip install 'rota[icalendar]'."
        ) from error
    return icalendar


def _refusal(reason: str) -> ScheduleInvalid:
    text = f"This is not an iCalendar file that can be read: {reason}."
    return ScheduleInvalid(text, problems=[("", text)])


def _kind(event: "Event") -> str:
    if own := _text(event, "X-ROTA-DAY"):
        return _WORKING if own == _WORKING else _OFF
    if apple := _text(event, "X-APPLE-SPECIAL-DAY"):
        return _WORKING if apple == "ALTERNATE-WORKDAY" else _OFF
    return _WORKING if _CHINESE_WORKDAY.search(_line(_text(event, "SUMMARY"))) else _OFF


def _label(event: "Event") -> str:
    label = _line(_text(event, "SUMMARY"))
    return "" if label == _DEFAULT_LABELS.get(_text(event, "X-ROTA-DAY")) else label


def _text(component: Mapping[str, Any], name: str) -> str:
    value: object = component.get(name, "")
    return str(value[0] if isinstance(value, list) and value else value)  # pyright: ignore[reportUnknownArgumentType]


def _unescaped(component: Mapping[str, Any], name: str) -> str:
    """Return the text of a property that the library does not know, and therefore leaves escaped."""
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] in "nN" else match[1], _text(component, name))


def _line(text: str) -> str:
    """Return a text as one line that can be printed."""
    return "".join(char if char.isprintable() else " " for char in text).strip()[:200]


def _first_and_length(event: "Event") -> tuple[date, int]:
    start, end = event.start, event.end
    if isinstance(start, datetime) or isinstance(end, datetime):
        raise ValueError("it has a time of day, and a calendar has whole days")
    length = max((end - start).days, 1)
    if length > _MOST_DAYS_OF_EVENT:
        raise ValueError(f"it lasts {length} days, and an event may last {_MOST_DAYS_OF_EVENT}")
    return start, length


def _day(value: object) -> date:
    if isinstance(value, datetime) or not isinstance(value, date):
        raise ValueError("it has a date with a time of day, and a calendar has whole days")
    return value


def _endless(rule: Mapping[str, Any], first: date) -> DayList | None:
    """Return the days of a rule for one day of every year, or for days of every week; None for any other rule."""
    names = rule.keys() - {"WKST"}
    if rule.get("INTERVAL", [1]) == [1]:
        names -= {"INTERVAL"}
    if rule["FREQ"] == ["YEARLY"] and names <= {"FREQ", "BYMONTH", "BYMONTHDAY"}:
        month_and_day = rule.get("BYMONTH", [first.month]), rule.get("BYMONTHDAY", [first.day])
        return (
            DayList(of_year={(first.month, first.day): ""}) if month_and_day == ([first.month], [first.day]) else None
        )
    if rule["FREQ"] == ["WEEKLY"] and names <= {"FREQ", "BYDAY"}:
        codes = [str(code) for code in rule.get("BYDAY", [_CODES[first.weekday()]])]
        return DayList(weekdays={_CODES.index(code): "" for code in codes if code in _CODES})
    return None


def _starts(rule: Mapping[str, Any], first: date, until: date) -> Iterator[date]:
    """Yield the first days of a repeated event, up to `until`."""
    from dateutil.rrule import rrulestr

    frequency = str(rule["FREQ"][0])
    if unread := rule.keys() - {"FREQ"} - _RULE_PARTS.get(frequency, set()):
        raise ValueError(f"its rule repeats {frequency} with {', '.join(sorted(unread))}, which is not read")
    if frequency not in _RULE_PARTS:
        raise ValueError(f"its rule repeats {frequency}, and a calendar has whole days")
    last = min(until, *(end.date() if isinstance(end, datetime) else end for end in rule.get("UNTIL", [until])))
    bounded = {name: value for name, value in rule.items() if name != "UNTIL"}
    text = ";".join(f"{name}={','.join(map(_value_text, value))}" for name, value in bounded.items())
    if "COUNT" not in bounded:
        text += f";UNTIL={last:%Y%m%d}"
    try:
        for start in islice(rrulestr(text, dtstart=datetime.combine(first, time())), MOST_DAYS + 1):
            if start.date() > last:
                return
            yield start.date()
    except (IndexError, OverflowError) as error:  # dateutil on a rule such as the 99th Monday of a month
        raise ValueError(f"its rule cannot be computed ({error})") from None


def _value_text(value: Any) -> str:
    written = getattr(value, "to_ical", None)
    return written().decode() if written else str(value)


def _ends(parsed: "icalendar.Calendar", days: _EventDays) -> date | None:
    if own := _text(parsed, "X-ROTA-ENDS"):
        try:
            return date.fromisoformat(own)
        except ValueError:
            raise _refusal(f"X-ROTA-ENDS is {own!r}, which is not a date") from None
    if _text(parsed, "X-ROTA-OTHER-DAYS"):
        return None
    return max((*days.off.dates, *days.working.dates), default=None)


def _spans(days: DayList) -> Iterator[tuple[date, date, str, dict[str, str]]]:
    """Yield first day, last day, label and rule of each event."""
    for weekday in sorted(days.weekdays):
        day = _FIRST_MONDAY + _DAY * weekday
        yield day, day, days.weekdays[weekday], {"FREQ": "WEEKLY"}
    for month, number in sorted(days.of_year):
        day = _FIRST_MONDAY.replace(month=month, day=number)
        yield day, day, days.of_year[month, number], {"FREQ": "YEARLY"}
    yield from ((first, last, label, {}) for first, last, label in days.ranges())
