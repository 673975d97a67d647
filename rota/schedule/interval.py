"""Reads the durations in schedules: `90s`, `1h30m`, `2w`."""

import re
from datetime import timedelta

from rota.core.go_text import parse_duration
from rota.schedule.cron import error

LONGEST = timedelta(days=36_525)
"""A century. Go's own limit is 292 years."""

_PIECE = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h|d|w)")
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3_600 * 10**9,
    "d": 86_400 * 10**9,
    "w": 604_800 * 10**9,
}
_SECOND = timedelta(seconds=1)
_GO_LONGEST = timedelta(microseconds=(2**63 - 1) // 1000)


def is_interval(word: str) -> bool:
    """Whether a word has the form of a duration."""
    return "".join(match[0] for match in _PIECE.finditer(word)) == word != ""


def read_interval(text: str, position: int, word: str) -> timedelta:
    """Read a duration of a second or longer, in whole milliseconds, that stands at a position of a text."""
    if word.startswith("-"):
        raise error(text, position, "an interval cannot be negative.")
    if not is_interval(word):
        raise error(text, position, f"'{word[:20]}' is not a duration. Write for example '90s', '1h30m' or '2w'.")
    nanoseconds = sum(_scaled(number, _NANOSECONDS[unit]) for number, unit in _PIECE.findall(word))
    if nanoseconds > LONGEST // _SECOND * 10**9:
        raise error(text, position, f"the interval {word[:20]} is longer than a hundred years.")
    found = timedelta(microseconds=nanoseconds // 1000)
    if found < _SECOND:
        raise error(text, position, f"the interval {word[:20]} is too short: a schedule fires once a second at most.")
    if nanoseconds % 10**6:
        raise error(text, position, f"the interval {word[:20]} is not a whole number of milliseconds.")
    return found


def read_go_interval(text: str, position: int, word: str) -> timedelta:
    """Read the duration of `@every` as robfig/cron does: at least a second, without the fraction of a second."""
    try:
        found = parse_duration(word)
    except ValueError:
        raise error(text, position, f"'{word[:20]}' is not a duration of Go. Write for example '1h30m'.") from None
    except OverflowError:
        found = timedelta.max
    if abs(found) > _GO_LONGEST:
        raise error(text, position, f"the interval {word[:20]} is longer than Go's limit of 292 years.")
    return max(found // _SECOND, 1) * _SECOND


def _scaled(number: str, unit: int) -> int:
    whole, _, fraction = number.partition(".")
    return int(whole or 0) * unit + int(fraction or 0) * unit // int("1" + "0" * len(fraction))
