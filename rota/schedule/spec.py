"""Reads the text of a schedule: `parse_spec` is the one entry for all forms.

- cron: `30 2 * * *`, with the second first: `0 30 2 * * *`, and `@daily` and its like
- interval: `@every 1h30m`, `every 10 minutes`
- words: `every day at 02:30`, `every 2 weeks on mon at 09:00`, `every month on 1 and 15 at 08:00`
- window: `every 5m from 09:30 to 17:45 on mon-fri`
- delay: `every 10m after end`
- once: `at 2026-12-24T18:00`

`TZ=Europe/Berlin ` or `CRON_TZ=Europe/Berlin ` before any of them sets its time zone. The dialect `asynq` has cron with
five fields, `@daily` and its like, and `@every`, as Asynq reads them.

A text that cannot be read, or that never fires, is refused with a ScheduleError that names the position.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo, available_timezones

from rota.core.text import did_you_mean, nearest
from rota.errors import OptionError
from rota.schedule.cron import CronExpression, Dialect, check_text, error
from rota.schedule.cron_field import DAY, WEEKDAY
from rota.schedule.interval import read_go_interval, read_interval
from rota.schedule.trigger import DelayTrigger, IntervalTrigger, RobfigTrigger, Trigger, WallTrigger
from rota.schedule.words import Clock, read_once, read_words

SkippedHour: TypeAlias = Literal["after", "skip"]
RepeatedHour: TypeAlias = Literal["once", "twice"]

DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_ZONE = re.compile(r"(?:CRON_)?TZ=")
_SPACE, _ANY_SPACE = re.compile(" "), re.compile(r"\s")
_CHOICES = {"dialect": ("rota", "asynq"), "skipped_hour": ("after", "skip"), "repeated_hour": ("once", "twice")}
_AFTER_NAME = ("nothing", "one space and an interval, as in '@every 10m'")
_LIKELY = {"daily": "@daily", "hourly": "@hourly", "weekly": "@weekly", "monthly": "@monthly", "yearly": "@yearly"}
# A text that does not fire within eight years from each of these moments never does, or once in a generation: after the
# first one comes the longest time without a 29 February, and in between it falls on other days of the week.
_PROBES = (datetime(2096, 3, 1, tzinfo=UTC), datetime(2104, 3, 1, tzinfo=UTC))
_ASYNQ_PROBES = (datetime(2092, 3, 1, tzinfo=UTC),)  # Asynq looks ahead for five years only
_IN_EACH_MONTH = (2 << 28) - 2


@dataclass(frozen=True, slots=True)
class _Reading:
    """A text while it is read: `start` is where the part after the time zone starts."""

    text: str
    start: int
    dialect: Dialect
    seed: str
    clock: Clock


def parse_spec(
    text: str,
    *,
    timezone: str | tzinfo,
    dialect: Dialect = "rota",
    seed: str = "",
    skipped_hour: SkippedHour = "after",
    repeated_hour: RepeatedHour = "once",
) -> Trigger:
    """Read the text of a schedule in any form.

    `timezone` applies where the text has none. `seed`, the schedule's ID, decides the values of `H`. `skipped_hour` and
    `repeated_hour` say what times of the wall clock do when the clocks change; Asynq's dialect always skips the hour
    that does not exist, and fires twice in the one that comes twice. Raises ScheduleError.
    """
    given = {"dialect": dialect, "skipped_hour": skipped_hour, "repeated_hour": repeated_hour}
    for name, value in given.items():
        if value not in _CHOICES[name]:
            raise OptionError(f"{name} is {value!r}. {did_you_mean(str(value), _CHOICES[name])}")
    check_text(text)
    start, zone = _zone_prefix(text, dialect)
    clock = Clock(zone or _option_zone(timezone), skipped_hour == "after", repeated_hour == "twice")
    trigger = _read(_Reading(text, start, dialect, seed, clock))
    if _never_fires(trigger, dialect):
        raise error(text, start, _why_never(trigger))
    return trigger


_NOT_IANA = ("localtime", "posixrules", "Factory")
"""Files beside those of the zones."""


def open_zone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name. Raises LookupError, ValueError or OSError.

    `localtime` is the zone of the machine, which differs within a fleet, and the clocks of `right/` count leap seconds.
    """
    if name in _NOT_IANA or name.startswith(("right/", "posix/")):
        raise LookupError(name)
    return ZoneInfo(name)


def read_zone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name. Raises OptionError with a suggestion."""
    try:
        return open_zone(name)
    except (ValueError, OSError, LookupError):
        return _refuse_zone(name)


def _refuse_zone(name: str) -> ZoneInfo:
    known = available_timezones()
    if not known:
        raise OptionError(f"The time zone {name[:60]!r} is not known, nor any other. Install the package tzdata.")
    close = nearest(name, known)
    advice = f"Did you mean {close!r}?" if close else "Write an IANA name, as 'Europe/Berlin' or 'UTC'."
    raise OptionError(f"The time zone {name[:60]!r} is not known. {advice}")


def _option_zone(timezone: str | tzinfo) -> tzinfo:
    if isinstance(timezone, str):
        return read_zone(timezone)
    if not isinstance(timezone, tzinfo):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError(f"timezone is {timezone!r}: write an IANA name, as 'Europe/Berlin', or pass a ZoneInfo.")
    return timezone


def _zone_prefix(text: str, dialect: Dialect) -> tuple[int, tzinfo | None]:
    """Return where the text after the time zone starts, and the zone; None if the text has none."""
    start = 0 if dialect == "asynq" else len(text) - len(text.lstrip())
    match = _ZONE.match(text, start)
    if match is None:
        return start, None
    end = (_SPACE if dialect == "asynq" else _ANY_SPACE).search(text, match.end())
    if end is None:
        raise error(text, len(text) - 1, "after the time zone come a space and the expression, as in 'TZ=UTC @daily'.")
    name = text[match.end() : end.start()]
    rest = end.end() + len(text[end.end() :]) - len(text[end.end() :].lstrip())
    if dialect == "asynq" and name in ("", "Local"):
        return rest, None if name else UTC
    try:
        return rest, read_zone(name)
    except OptionError as fault:
        raise error(text, match.end(), str(fault)) from None


def _read(reading: _Reading) -> Trigger:
    body = reading.text[reading.start :]
    first = body.split(maxsplit=1)[0] if body.strip() else ""
    if not first:
        raise error(reading.text, reading.start, "the expression is missing.")
    if first.startswith("@"):
        return _read_descriptor(reading, body)
    if reading.dialect == "rota":
        if first.lower() == "every":
            return read_words(reading.text, reading.start, reading.clock)
        if first.lower() == "at":
            return read_once(reading.text, reading.start, reading.clock)
        if first.isalpha() and len(first) > 1 and len(body.split()) != 5:
            raise error(reading.text, reading.start, _unknown_word(first.lower()))
    return _cron_trigger(reading, CronExpression.parse(reading.text, reading.dialect, reading.seed, reading.start))


def _cron_trigger(reading: _Reading, rule: CronExpression) -> Trigger:
    clock = reading.clock
    if reading.dialect == "asynq":
        return RobfigTrigger(reading.text, rule, clock.zone)
    if rule.elapsed:
        return WallTrigger(reading.text, rule, clock.zone, False, True)
    return WallTrigger(reading.text, rule, clock.zone, clock.through_gap, clock.both_passes)


def _read_descriptor(reading: _Reading, body: str) -> Trigger:
    exact = reading.dialect == "asynq"
    # robfig/cron removes the spaces at the end only where a time zone stands before.
    text = body if exact and not reading.start else body.rstrip()
    word = text.split(maxsplit=1)[0]
    name = word if exact else word.lower()
    if name in DESCRIPTORS and word == text:
        return _cron_trigger(reading, CronExpression.parse(DESCRIPTORS[name], reading.dialect))
    if name == "@every" and (text.startswith("@every ") or not exact):
        return _read_every(reading, text)
    if name == "@reboot":
        raise error(reading.text, reading.start, "'@reboot' does not exist: schedules fire at times, not at a start.")
    if name in (*DESCRIPTORS, "@every"):
        raise error(reading.text, reading.start + len(word), f"after '{word}' comes {_AFTER_NAME[name == '@every']}.")
    advice = did_you_mean(name, {*DESCRIPTORS, "@every"})
    raise error(reading.text, reading.start, f"'{word[:20]}' is not known. {advice}")


def _read_every(reading: _Reading, text: str) -> Trigger:
    length = text[len("@every") :]
    if not length:
        raise error(reading.text, reading.start + len(text), "an interval is missing, as in '@every 10m'.")
    start = reading.start + len("@every")
    if reading.dialect == "asynq":
        return DelayTrigger(reading.text, read_go_interval(reading.text, start + 1, length[1:]), from_end=False)
    position = start + len(length) - len(length.lstrip())
    return IntervalTrigger(reading.text, read_interval(reading.text, position, length.strip()))


def _unknown_word(word: str) -> str:
    if word in _LIKELY:
        return f"'{word}' is not known. Did you mean '{_LIKELY[word]}'?"
    close = nearest(word, ("every", "at"))
    advice = f"Did you mean '{close}'?" if close else "Write for example 'every day at 02:30' or '30 2 * * *'."
    return f"'{word[:20]}' is not known. {advice}"


def _never_fires(trigger: Trigger, dialect: Dialect) -> bool:
    if not isinstance(trigger, WallTrigger | RobfigTrigger):
        return False
    rule = trigger.rule
    no_gap = dialect == "asynq" or (isinstance(trigger, WallTrigger) and trigger.through_gap)
    if isinstance(rule, CronExpression) and rule.months and (no_gap or rule.elapsed) and _fires_each_month(rule):
        return False
    return any(trigger.next(probe) is None for probe in (_PROBES if dialect == "rota" else _ASYNQ_PROBES))


def _fires_each_month(rule: CronExpression) -> bool:
    """Whether every month has one of the days. This is true of most expressions, and saves the search."""
    day, weekday = rule.fields[DAY], rule.fields[WEEKDAY]
    if not weekday.star and (weekday.mask or any(part.kind != "nth" or part.end <= 4 for part in weekday.parts)):
        return True
    if day.star:
        return weekday.star
    return bool(day.mask & _IN_EACH_MONTH) or any(part.kind != "value" and abs(part.start) < 28 for part in day.parts)


def _why_never(trigger: Trigger) -> str:
    if isinstance(trigger, WallTrigger) and not trigger.through_gap and not trigger.both_passes:
        return "this never fires: such a day does not exist, or its time is always in the hour that the clocks skip."
    return "this never fires: such a day does not exist, or not within eight years. Check the day and the month."
