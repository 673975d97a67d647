"""Reads schedules in plain words: `every ...` and `at ...`.

    every 10 minutes | every 1h30m                          an interval
    every 10m after end                                     a delay after the end of the last run
    every 5m from 09:30 to 17:45 [on mon-fri]               a window of each day
    every day at 02:30 | every 3 days at 06:00              days
    every 2 weeks on mon,thu at 09:00 | every mon at 09:00  weeks
    every month on 1 and 15 at 08:00                        months
    at 2026-12-24T18:00                                     once

Words may have capital letters. Lists are separated by commas or `and`. The days after `on` have the forms of the cron
fields; days of the week may be written in full, and `last` is the last day of a month.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple, NoReturn, cast

from rota.core.text import nearest
from rota.schedule.cron import CronExpression, error
from rota.schedule.cron_field import DAY, WEEKDAY, FieldFault, read_field
from rota.schedule.cycle import Cycle, CycleUnit, DailyWindow
from rota.schedule.interval import is_interval, read_interval
from rota.schedule.search import local_instant
from rota.schedule.trigger import DelayTrigger, IntervalTrigger, OnceTrigger, Trigger, WallTrigger, union

_WORD = re.compile(r"[^\s,]+|,")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?")
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_MOMENT = re.compile(rf"{_DATE}[T ][0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}(\.[0-9]{{1,3}})?)?(Z|[+-][0-9]{{2}}:?[0-9]{{2}})?")
_SHORT_UNITS = {"second": "s", "minute": "m", "hour": "h"}
_LONGEST_CYCLE = {"day": 1826, "week": 260, "month": 60}  # five years, so that the search of eight years finds the next
_UNITS = {*_SHORT_UNITS, *_LONGEST_CYCLE}
_FULL_NAMES = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_GROUPS = {"weekday": "mon-fri", "weekdays": "mon-fri", "weekend": "sat,sun", "weekends": "sat,sun"}
_KEYWORDS = {"on", "at", "from", "to", "after", "end"}
_PLAIN_DAYS = {"value", "range"}
_DAY = 86_400
_SECOND = timedelta(seconds=1)


class Word(NamedTuple):
    """A word, and where it stands in the text."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Clock:
    """The time zone of a text, and what its times do at a clock change."""

    zone: tzinfo
    through_gap: bool
    both_passes: bool


def read_words(text: str, start: int, clock: Clock) -> Trigger:
    """Read a text that has `every` at `start`."""
    return _Sentence(text, start, clock).read()


def read_once(text: str, start: int, clock: Clock) -> Trigger:
    """Read a text that has `at` at `start`."""
    word = text[start + 2 :].strip()
    position = text.index(word, start + 2) if word else len(text)
    if not _MOMENT.fullmatch(word):
        if _TIME.fullmatch(word):
            raise error(text, position, f"'at' takes a date and a time. For each day write 'every day at {word}'.")
        raise error(text, position, "'at' takes a date and a time, as in 'at 2026-12-24T18:00' or '...T18:00+01:00'.")
    try:
        moment = datetime.fromisoformat(word)
        if not 1970 <= moment.year <= 9000:  # as for the other moments of a schedule: see `fields`
            raise ValueError("its year is outside of 1970 to 9000")
        if moment.tzinfo is not None:
            return OnceTrigger(text, moment.astimezone(UTC))
        found = local_instant(moment, clock.zone, through_gap=clock.through_gap)
    except (ValueError, OverflowError) as fault:
        raise error(text, position, f"'{word}' is not a date and time: {fault}.") from None
    if found is None:
        raise error(text, position, f"the clocks of {clock.zone} skip this time. Write another one, or its offset.")
    return OnceTrigger(text, found)


class _Sentence:
    """Reads the words of one text from left to right. `_at` is the number of the next word."""

    def __init__(self, text: str, start: int, clock: Clock) -> None:
        self._text = text
        self._clock = clock
        self._words = [Word(match[0], match.start()) for match in _WORD.finditer(text.lower(), start)]
        self._at = 1  # after "every"

    def read(self) -> Trigger:
        trigger = self._rule()
        if self._at < len(self._words):
            self._fail(f"'{self._next}' does not belong here.")
        return trigger

    def _rule(self) -> Trigger:
        word = self._next
        if is_interval(word):
            return self._interval(read_interval(self._text, self._position, self._take()))
        if word.isdigit() or word.removesuffix("s") in _UNITS:
            return self._counted()
        if word.startswith("-"):
            self._fail("an interval cannot be negative.")
        if word in _KEYWORDS or word in ("", ","):
            self._fail("a number, a unit or a day is missing here, as in 'every 10m' or 'every day at 02:30'.")
        return self._cycle("week", 1, self._weekdays())

    def _counted(self) -> Trigger:
        count_at, count = self._position, 1
        if self._next.isdigit():
            digits = self._take()
            count = int(digits) if len(digits) < 7 else 10**6
        if count < 1:
            raise self._error(count_at, "the number must be 1 or more.")
        unit = self._next.removesuffix("s")
        if unit not in _UNITS:
            self._fail(f"a unit is missing here: {', '.join(sorted(_UNITS))}.{_guess(unit)}")
        self._take()
        if unit in _SHORT_UNITS:
            return self._interval(read_interval(self._text, count_at, f"{count}{_SHORT_UNITS[unit]}"))
        if count > _LONGEST_CYCLE[unit]:
            raise self._error(count_at, f"at most {_LONGEST_CYCLE[unit]} {unit}s, five years, are allowed.")
        return self._days(cast("CycleUnit", unit), count)

    def _days(self, unit: CycleUnit, count: int) -> Trigger:
        if unit == "day":
            return self._cycle(unit, count, ("*", "*"))
        if self._next != "on":
            example = "mon" if unit == "week" else "1"
            self._fail(f"'on' and a day are missing here, as in 'every {unit} on {example} at 09:00'.")
        self._take()
        return self._cycle(unit, count, self._weekdays() if unit == "week" else self._month_days())

    # --- the days and times of a cycle ---

    def _cycle(self, unit: CycleUnit, count: int, days: tuple[str, str]) -> Trigger:
        if self._next == "on":
            self._fail("'on' does not belong here: 'every week' and 'every month' take the days on which they fire.")
        if self._next != "at":
            self._fail("'at' and a time are missing here, as in 'every day at 02:30'.")
        self._take()
        times = tuple(sorted({self._time(word) for word in self._list()}))
        rule = Cycle(unit, count, _on(*days), times)
        return WallTrigger(self._text, rule, self._clock.zone, self._clock.through_gap, self._clock.both_passes)

    def _weekdays(self) -> tuple[str, str]:
        """Read days of the week; return the two day fields of a cron expression."""
        items: list[str] = []
        for word in self._list():
            item = _GROUPS.get(word.text, "-".join(_short(part) for part in word.text.split("-")))
            for part in item.split(","):
                self._check(WEEKDAY, part, word, plain=True)
                items.append(part)
        return "*", ",".join(items)

    def _month_days(self) -> tuple[str, str]:
        """Read days of a month, `mon#2` and `fril` among them; return the two day fields of a cron expression."""
        fields: dict[int, list[str]] = {DAY: [], WEEKDAY: []}
        for word in self._list():
            item = "L" if word.text == "last" else word.text
            number = DAY if item[0].isdigit() or item[0] in "lL" else WEEKDAY
            if number == WEEKDAY and "#" not in item and not item.endswith("l"):
                raise self._error(word.start, f"'{item}' is not a day of a month. Write 1 to 31, 'last' or 'mon#2'.")
            self._check(number, item, word)
            fields[number].append(item)
        return ",".join(fields[DAY]) or "*", ",".join(fields[WEEKDAY]) or "*"

    def _check(self, number: int, item: str, word: Word, *, plain: bool = False) -> None:
        try:
            part = read_field(number, item).parts[0]
        except FieldFault as fault:
            raise self._error(word.start + min(fault.position, len(word.text) - 1), str(fault)) from None
        if plain and (part.kind not in _PLAIN_DAYS or part.step):
            raise self._error(word.start, f"'{word.text}' is not a day of the week. Write 'mon' or 'mon-fri'.")

    def _time(self, word: Word) -> int:
        match = _TIME.fullmatch(word.text)
        if match is None:
            raise self._error(word.start, f"'{word.text}' is not a time of day. Write it as '09:00' or '17:30:15'.")
        hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
        if hour > 23 or minute > 59 or second > 59:
            raise self._error(word.start, f"'{word.text}' is outside of 00:00 to 23:59.")
        return hour * 3600 + minute * 60 + second

    # --- what may follow an interval ---

    def _interval(self, every: timedelta) -> Trigger:
        if self._at == len(self._words):
            return IntervalTrigger(self._text, every)
        if self._next == "after":
            self._take()
            if self._take() != "end":
                raise self._error(
                    self._words[self._at - 1].start, "'end' is missing here, as in 'every 10m after end'."
                )
            return DelayTrigger(self._text, every, from_end=True)
        if self._next == "from":
            self._take()
            return self._window(every)
        more = " A time of day needs days: 'every 3 days at 06:00'." if self._next == "at" else ""
        return self._fail(f"after an interval come 'after end' or 'from 09:30 to 17:45', not '{self._next}'.{more}")

    def _window(self, every: timedelta) -> Trigger:
        start_at = self._position
        start = self._time(Word(self._take(), start_at))
        if self._take() != "to":
            raise self._error(self._words[self._at - 1].start, "'to' is missing here, as in 'from 09:30 to 17:45'.")
        end = self._time(Word(self._next, self._position))
        self._take()
        length = (end - start) % _DAY
        if not length:
            raise self._error(start_at, "the window starts and ends at the same time.")
        if every % _SECOND or every // _SECOND > length:
            raise self._error(self._words[1].start, "the interval must be whole seconds, and fit into the window.")
        days = ("*", "*")
        if self._next == "on":
            self._take()
            days = self._weekdays()
        window = DailyWindow(start, end, every // _SECOND, _on(*days))
        morning = replace(window, morning=True)
        parts = (window, morning) if window.overnight and morning.time_from(0) >= 0 else (window,)
        return union([WallTrigger(self._text, part, self._clock.zone, False, True) for part in parts], self._text)

    # --- words ---

    @property
    def _next(self) -> str:
        return self._words[self._at].text if self._at < len(self._words) else ""

    @property
    def _position(self) -> int:
        return self._words[self._at].start if self._at < len(self._words) else len(self._text.rstrip())

    def _take(self) -> str:
        if self._at == len(self._words):
            self._fail("the text ends here, but something is missing.")
        self._at += 1
        return self._words[self._at - 1].text

    def _list(self) -> list[Word]:
        """Take the items of a list, up to a keyword or the end."""
        items: list[Word] = []
        wanted = True
        while self._at < len(self._words) and self._next not in _KEYWORDS:
            if self._next in (",", "and"):
                if wanted and (self._next == "," or not items):
                    break
                wanted = True
            elif not wanted:
                self._fail(f"'{self._next}' does not belong here. Separate the items of a list with commas.")
            else:
                items.append(Word(self._next, self._position))
                wanted = False
            self._at += 1
        if wanted:
            self._fail("an item of the list is missing here.")
        return items

    def _fail(self, reason: str) -> NoReturn:
        raise self._error(self._position, reason)

    def _error(self, position: int, reason: str) -> Exception:
        return error(self._text, position, reason)


def _on(day: str, weekday: str) -> CronExpression:
    return CronExpression.parse(f"0 0 {day} * {weekday}")


def _short(name: str) -> str:
    return name[:3] if name in _FULL_NAMES or name.removesuffix("s") in _FULL_NAMES else name


def _guess(word: str) -> str:
    close = nearest(word, _UNITS) if word else None
    return f" Did you mean '{close}'?" if close else ""
