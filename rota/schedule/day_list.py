"""A list of days: days of the week, days of every year, dates and ranges of dates, with a label each if wanted.

`DayList.read` reads the forms that people write in a calendar, and `to_list` writes them: `sat`, `mon..fri`, `12-25`,
`2026-10-01`, `2026-10-01..2026-10-07`, and each of these with a label as `{2026-10-01: National Day}`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import groupby
from typing import Literal, TypeAlias

from rota.core.canonical import is_array, is_mapping
from rota.core.text import did_you_mean

Precision: TypeAlias = Literal["date", "year", "week"]

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FULL_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MOST_DAYS = 10_000
"""The most dates of a list, so that a range of centuries is refused and not expanded."""
_LONGEST_LABEL = 200
_DAY = timedelta(days=1)
_OF_YEAR = re.compile(r"([0-9]{2})-([0-9]{2})")


class DayFault(Exception):
    """Items of a list are wrong. `problems` has the number of each item, and a sentence."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(text for _, text in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class DayList:
    """Days with their labels; an empty label if a day has none. Monday is 0; `of_year` has month and day."""

    weekdays: Mapping[int, str] = field(default_factory=dict[int, str])
    of_year: Mapping[tuple[int, int], str] = field(default_factory=dict[tuple[int, int], str])
    dates: Mapping[date, str] = field(default_factory=dict[date, str])

    @classmethod
    def read(cls, value: object) -> "DayList":
        """Read a list of items, or an object of items with their labels. Raises DayFault with every problem."""
        reader = _DayReader()
        problems: list[tuple[str, str]] = []
        for path, item, label in _items(value):
            try:
                reader.add(item, _checked_label(label))
            except ValueError as error:
                problems.append((path, str(error)))
        if problems:
            raise DayFault(problems)
        return cls(reader.weekdays, reader.of_year, reader.dates)

    def label(self, day: date, precision: Precision) -> str | None:
        """Return the label of a day that stands in the list with this precision; None if it does not."""
        if precision == "date":
            return self.dates.get(day)
        if precision == "year":
            return self.of_year.get((day.month, day.day))
        label = self.weekdays.get(day.weekday())
        return FULL_WEEKDAYS[day.weekday()].capitalize() if label == "" else label

    def items(self) -> set[str]:
        """Return each single day as it is written."""
        return {
            *(WEEKDAYS[each] for each in self.weekdays),
            *(f"{month:02}-{day:02}" for month, day in self.of_year),
            *(day.isoformat() for day in self.dates),
        }

    def without(self, others: "DayList") -> "DayList":
        """Return this list without the days that stand in another one with the same precision."""
        return DayList(
            {day: label for day, label in self.weekdays.items() if day not in others.weekdays},
            {day: label for day, label in self.of_year.items() if day not in others.of_year},
            {day: label for day, label in self.dates.items() if day not in others.dates},
        )

    def labelled(self, label: str) -> "DayList":
        """Return the same days, all with one label."""
        return DayList(
            dict.fromkeys(self.weekdays, label), dict.fromkeys(self.of_year, label), dict.fromkeys(self.dates, label)
        )

    def joined(self, others: "DayList") -> "DayList":
        """Return the days of both lists. The labels of the other list win."""
        return DayList(
            {**self.weekdays, **others.weekdays}, {**self.of_year, **others.of_year}, {**self.dates, **others.dates}
        )

    def ranges(self) -> Iterator[tuple[date, date, str]]:
        """Yield first day, last day and label of each range of dates with the same label."""
        numbered = enumerate(sorted(self.dates.items()))
        for _, group in groupby(numbered, lambda each: (each[1][0].toordinal() - each[0], each[1][1])):
            found = [pair for _, pair in group]
            yield found[0][0], found[-1][0], found[0][1]

    def to_list(self) -> list[str | dict[str, str]]:
        """Return the short form of the list: neighbours with the same label are a range."""
        written = [
            *((WEEKDAYS[each], self.weekdays[each]) for each in sorted(self.weekdays)),
            *((f"{month:02}-{day:02}", self.of_year[month, day]) for month, day in sorted(self.of_year)),
            *((_range_text(first, last), label) for first, last, label in self.ranges()),
        ]
        return [{text: label} if label else text for text, label in written]


def brief(value: object) -> str:
    """Return the `repr` of a value, cut after 100 characters."""
    shown = repr(value)
    return shown if len(shown) <= 100 else f"{shown[:100]}..."


_EXAMPLES = "Write for example sat, mon..fri, 12-25, 2026-10-01 or 2026-10-01..2026-10-07."


class _DayReader:
    """Collects the days of a list. Each `_add` method says whether the item has its form."""

    def __init__(self) -> None:
        self.weekdays: dict[int, str] = {}
        self.of_year: dict[tuple[int, int], str] = {}
        self.dates: dict[date, str] = {}

    def add(self, item: object, label: str) -> None:
        if type(item) is date:
            item = item.isoformat()
        if not isinstance(item, str):
            raise ValueError(f"{brief(item)} is not a day. {_EXAMPLES}")
        first, dots, last = item.strip().partition("..")
        for kind in (self._add_weekdays, self._add_of_year, self._add_dates):
            if kind(item, first.strip(), last.strip() if dots else first.strip(), label):
                return
        wrong = first if _weekday(first.strip()) is None else last
        raise ValueError(_unknown(item, wrong.strip()))

    def _add_weekdays(self, _item: str, first: str, last: str, label: str) -> bool:
        start, end = _weekday(first), _weekday(last)
        if start is None or end is None:
            return False
        for each in range(start, (end if end >= start else end + 7) + 1):
            self.weekdays[each % 7] = label
        return True

    def _add_of_year(self, item: str, first: str, last: str, label: str) -> bool:
        match = _OF_YEAR.fullmatch(first)
        if match is None:
            return False
        if first != last:
            raise ValueError(f"{item!r} is a range of days of every year: write each of its days.")
        try:
            found = date(2024, int(match[1]), int(match[2]))  # a leap year, so that 02-29 is a day
        except ValueError:
            raise ValueError(f"{item!r} is not a day of a year: write month and day, as in 12-25.") from None
        self.of_year[found.month, found.day] = label
        return True

    def _add_dates(self, item: str, first: str, last: str, label: str) -> bool:
        try:
            start, end = _date(first), _date(last)
        except ValueError:
            return False
        if end < start:
            raise ValueError(f"{item!r} ends before it starts.")
        if len(self.dates) + (end - start).days >= MOST_DAYS:
            raise ValueError(
                f"{item!r} makes more than {MOST_DAYS} dates: use days of the week, or days of every year."
            )
        for number in range((end - start).days + 1):
            self.dates[start + _DAY * number] = label
        return True


def _items(value: object) -> Iterator[tuple[str, object, object]]:
    """Yield number, item and label of each item."""
    if is_mapping(value):
        yield from ((str(key), key, label) for key, label in value.items())
    elif is_array(value):
        for number, item in enumerate(value):
            if is_mapping(item):
                yield from ((str(number), key, label) for key, label in item.items())
            else:
                yield str(number), item, ""
    else:
        yield "", value, ""


def _checked_label(label: object) -> str:
    if label is None:
        return ""
    if not isinstance(label, str) or len(label) > _LONGEST_LABEL or not label.isprintable():
        raise ValueError(f"the label {brief(label)} must be one line of at most {_LONGEST_LABEL} characters.")
    return label


def _weekday(word: str) -> int | None:
    for names in (WEEKDAYS, FULL_WEEKDAYS):
        if word.lower() in names:
            return names.index(word.lower())
    return None


def _date(text: str) -> date:
    if len(text) != 10:  # the short forms of ISO 8601 would read `20261001`, and weeks
        raise ValueError(text)
    return date.fromisoformat(text)


def _unknown(item: str, wrong: str) -> str:
    if re.match(r"[0-9]{4}-", wrong):
        return f"{brief(item)} is not a date, or not a range of dates. {_EXAMPLES}"
    advice = did_you_mean(wrong.lower(), (*WEEKDAYS, *FULL_WEEKDAYS))
    return f"{brief(item)} is not a day. {advice if advice.startswith('Did') else _EXAMPLES}"


def _range_text(first: date, last: date) -> str:
    return first.isoformat() if first == last else f"{first.isoformat()}..{last.isoformat()}"
