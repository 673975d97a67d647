"""Reads cron expressions, and says which days and times they have.

`CronExpression.parse` reads five fields (minute, hour, day of month, month, day of week), or six with the second first.
It does not read time zones, `@daily` and words; `rota.schedule.spec` does. There are two dialects:

- `rota`: the standard parser of robfig/cron, and beyond it the seconds field, `7` for Sunday, ranges that wrap around
  (`FRI-MON`), `L`, `L-3`, `LW`, `15W`, `MON#2`, `FRIL` and `H`.
- `asynq`: what robfig/cron v3.0.1 reads, as Asynq uses it, with its oddities (`*-5` is `*`, `,` is nothing).

The fields stand in `fields` (`rota.schedule.cron_field`): their parts as written, and the values that they select.
"""

import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Literal, TypeAlias

from rota.core.text import printable
from rota.errors import OptionError, ScheduleError
from rota.schedule.cron_field import DAY, MINUTE, RANGES, SECOND, WEEKDAY, ZERO, CronField, FieldFault, read_field
from rota.schedule.robfig_field import read_robfig_field

Dialect: TypeAlias = Literal["rota", "asynq"]
LONGEST = 256
_WORD = re.compile(r"\S+")
_FOREIGN = re.compile("[^ -~\t\n\r\v\f\u00b5\u03bc]")  # the last two are the signs of microseconds in Go's durations
_SHOWN = 60
_EVERY_WEEKDAY = 127
_WEEKS = 0x10204081  # a bit for each of five weeks: times a mask of weekdays, it is a mask of days
_LENGTHS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_STARS = tuple(read_field(number, "*") for number in range(6))


@dataclass(frozen=True, slots=True)
class CronExpression:
    """A parsed cron expression. `fields` are second, minute, hour, day of month, month and day of week."""

    text: str
    dialect: Dialect
    fields: tuple[CronField, ...]
    has_seconds: bool
    seconds: int
    minutes: int
    hours: int
    months: int

    @classmethod
    def parse(cls, text: str, dialect: Dialect = "rota", seed: str = "", start: int = 0) -> "CronExpression":
        """Parse the expression that starts at `start` of a text.

        `seed` decides the values of `H`. Raises ScheduleError with the position of a fault.
        """
        check_text(text)
        words = [(match.start(), match[0]) for match in _WORD.finditer(text, start)]
        has_seconds = len(words) == 6 and dialect == "rota"
        if len(words) != 5 and not has_seconds:
            raise error(text, _where_to_add(text, words), _wrong_count(len(words), dialect))
        fields = [] if has_seconds else [ZERO]
        for number, (position, word) in enumerate(words, SECOND if has_seconds else MINUTE):
            try:
                fields.append(
                    _STARS[number] if word == "*" else _read(number, word, dialect, seed if "H" in word else "")
                )
            except FieldFault as fault:
                raise error(text, position + fault.position, str(fault)) from None
        second, minute, hour, _day, month, _weekday = fields
        months = month.mask if minute.mask and hour.mask else 0  # Asynq's dialect reads `,` as no value
        return cls(text[start:], dialect, tuple(fields), has_seconds, second.mask, minute.mask, hour.mask, months)

    @property
    def elapsed(self) -> bool:
        """Whether the expression follows elapsed time through a clock change: it has `*`, a range or a step of hours,
        minutes or (if written) seconds. Any other expression names times of the wall clock."""
        second, minute, hour, *_ = self.fields
        return hour.repeats or minute.repeats or second.repeats

    def days(self, year: int, month: int) -> int:
        """Return the matching days of a month as a mask, bit 1 for the first. Does not look at the month field."""
        day, weekday = self.fields[DAY], self.fields[WEEKDAY]
        first = date(year, month, 1).toordinal() % 7  # 0 for Sunday
        length = month_length(year, month)
        whole = (2 << length) - 2
        if weekday.star:
            return whole if day.star else _days_of_month(day, first, length) & whole
        weekdays = _days_of_week(weekday, first, length) & whole
        return weekdays if day.star else weekdays | (_days_of_month(day, first, length) & whole)

    def time_from(self, time: int) -> int:
        """Return the first matching time of day that is not before this one, both in seconds; -1 if there is none."""
        hour, rest = divmod(time, 3600)
        minute, second = divmod(rest, 60)
        later = self.seconds >> second
        if later:
            second += _lowest(later)
        else:
            minute, second = minute + 1, _lowest(self.seconds)
        later = self.minutes >> minute
        if not later:
            hour, minute, second = hour + 1, _lowest(self.minutes), _lowest(self.seconds)
        elif not later & 1:
            minute, second = minute + _lowest(later), _lowest(self.seconds)
        later = self.hours >> hour
        if not later & 1:
            if not later:
                return -1
            hour, minute, second = hour + _lowest(later), _lowest(self.minutes), _lowest(self.seconds)
        return hour * 3600 + minute * 60 + second

    def time_until(self, time: int) -> int:
        """Return the last matching time of day that is not after this one, both in seconds; -1 if there is none."""
        hour, rest = divmod(time, 3600)
        minute, second = divmod(rest, 60)
        second = _highest(self.seconds & ((2 << second) - 1))
        if second < 0:
            minute, second = minute - 1, _highest(self.seconds)
        found = _highest(self.minutes & ((2 << minute) - 1)) if minute >= 0 else -1
        if found < 0:
            hour, found, second = hour - 1, _highest(self.minutes), _highest(self.seconds)
        elif found != minute:
            second = _highest(self.seconds)
        minute = found
        found = _highest(self.hours & ((2 << hour) - 1)) if hour >= 0 else -1
        if found != hour:
            minute, second = _highest(self.minutes), _highest(self.seconds)
        return found * 3600 + minute * 60 + second if found >= 0 else -1


def check_text(text: str) -> None:
    """Refuse a text that is empty, too long, or has characters that no schedule has."""
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError(f"The schedule is {text!r}, which is not a text. Write for example '30 2 * * *'.")
    if len(text) > LONGEST:
        raise error(text, LONGEST, f"the text has {len(text)} characters, but at most {LONGEST} are read.")
    if wrong := _FOREIGN.search(text):
        char = wrong[0]
        reason = f"the character {printable(char)} (U+{ord(char):04X}) is not allowed. {_instead_of(char)}"
        raise error(text, wrong.start(), reason)
    if not text.strip():
        raise error(text, 0, "the text is empty. Write for example '30 2 * * *', '@every 10m' or 'every day at 02:30'.")


def error(text: str, position: int, reason: str) -> ScheduleError:
    """Return the error for a text that is wrong at a position, counted from 0."""
    shown = printable(text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}...")
    message = f"Schedule '{shown}', character {position + 1}: {reason}"
    return ScheduleError(message, text=text, position=position)


def month_length(year: int, month: int) -> int:
    """Return how many days a month has."""
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return _LENGTHS[month] + leap


@lru_cache(maxsize=1024)  # most schedules of a program have the same few fields
def _read(number: int, text: str, dialect: Dialect, seed: str) -> CronField:
    return read_robfig_field(RANGES[number], text) if dialect == "asynq" else read_field(number, text, seed)


def _instead_of(char: str) -> str:
    if char.isspace():
        return "Separate the fields with plain spaces."
    if char.isdigit():
        return "Write numbers with the digits 0 to 9."
    return "Write plain ASCII text."


def _where_to_add(text: str, words: list[tuple[int, str]]) -> int:
    return words[5][0] if len(words) > 5 else len(text.rstrip())


def _wrong_count(count: int, dialect: Dialect) -> str:
    there = "there is 1 field" if count == 1 else f"there are {count} fields"
    if dialect == "asynq":
        return f"{there}, but Asynq's dialect has 5: minute, hour, day of month, month, day of week."
    if count == 7:
        return "there are 7 fields, but a year field does not exist. Leave it out, and set ends_at instead."
    return f"{there}, but 5 are needed (minute, hour, day of month, month, day of week), or 6 with the second first."


def _lowest(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


def _highest(mask: int) -> int:
    return mask.bit_length() - 1


# --- the days of one month ---


def _days_of_month(field: CronField, first: int, length: int) -> int:
    days = field.mask
    for part in field.parts:
        if part.kind == "last":
            days |= 1 << (length - part.start) if part.start < length else 0
        elif part.kind == "nearest_weekday":
            days |= _nearest_weekday(part.start if part.start > 0 else length + part.start, first, length)
    return days


def _nearest_weekday(day: int, first: int, length: int) -> int:
    """Return the working day nearest to a day of the month, as a mask. It does not leave the month."""
    if not 1 <= day <= length:
        return 0
    weekday = (first + day - 1) % 7
    if weekday == 6:
        day += -1 if day > 1 else 2
    elif weekday == 0:
        day += 1 if day < length else -2
    return 1 << day


def _days_of_week(field: CronField, first: int, length: int) -> int:
    mask = field.mask
    days = ((mask >> first | mask << (7 - first)) & _EVERY_WEEKDAY) * _WEEKS << 1
    for part in field.parts:
        if part.kind == "nth":
            days |= 1 << (1 + (part.start - first) % 7 + 7 * (part.end - 1))
        elif part.kind == "last_of_weekday":
            days |= 1 << (length - (first + length - 1 - part.start) % 7)
    return days
