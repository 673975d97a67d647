"""Parses and prints durations: `"30s"`, `"1h30m"`, a number of seconds, or a timedelta.

`parse` reads the durations in options, settings and calls, and `Duration` those in pydantic models. Negative durations
are refused. Go's form of durations is not read here, but in `rota.core.go_text`.
"""

import re
from datetime import timedelta
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, PlainSerializer

from rota.errors import OptionError

DurationLike: TypeAlias = str | int | float | timedelta

_LARGE = 10**30
_UNITS = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
    "us": timedelta(microseconds=1),
}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|us|[wdhms])")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+|[0-9]+(?:\.[0-9]*)?")


def parse(value: DurationLike, name: str = "duration") -> timedelta:
    """Parse a duration that is zero or longer.

    A number is in seconds. A string needs a unit (`w d h m s ms us`), and may join several: `"1h30m"`.
    `name` is the name of the value in the text of an OptionError.
    """
    if isinstance(value, timedelta):
        found = value
    elif isinstance(value, str):
        found = _from_text(value, name)
    elif isinstance(value, bool) or not isinstance(value, int | float):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError(
            f"{name} is {value!r}, which is not a duration: write a string like '30s', seconds, or a timedelta."
        )
    else:
        found = _from_seconds(value, name)
    if found < timedelta(0):
        raise OptionError(f"{name} is {value!r}, but a duration cannot be negative.")
    return found


def at_least(value: DurationLike, least: timedelta, name: str, why: str) -> timedelta:
    """Parse a duration. Raises OptionError with the reason `why` if it is shorter than `least`."""
    found = parse(value, name)
    if found < least:
        raise OptionError(f"{name} is {display(found)}, but must be at least {display(least)}: {why}.")
    return found


def display(value: timedelta) -> str:
    """Format a duration in the form that `parse` reads, from the largest unit to the smallest: `1h30m`."""
    if value < timedelta(0):
        return f"-{display(-value)}"
    parts: list[str] = []
    for unit, size in _UNITS.items():
        if unit == "w":
            continue
        count, value = divmod(value, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _from_seconds(value: float, name: str) -> timedelta:
    try:
        return timedelta(seconds=value)
    except (OverflowError, ValueError):
        if value != value:
            raise OptionError(f"{name} is {value!r} seconds, which is not a number.") from None
        # Python refuses to convert a very large int to a string.
        shown = repr(value) if abs(value) < _LARGE else "a huge number of"
        raise OptionError(f"{name} is {shown} seconds, which is too long.") from None


def _from_text(text: str, name: str) -> timedelta:
    word = text.strip()
    if word.startswith("-") and _is_length(word[1:]):
        raise OptionError(f"{name} is {text!r}, but a duration cannot be negative.")
    parts = _PART.findall(word)
    if not parts or "".join(number + unit for number, unit in parts) != word:
        try:
            float(word)
        except ValueError:
            advice = "write numbers with the units w, d, h, m, s, ms or us, as in '1h30m'"
        else:
            advice = f"a string needs a unit: write '{word}s' for seconds, or pass a number"
        raise OptionError(f"{name} is {text!r}, which is not a duration: {advice}.")
    try:
        return sum((_UNITS[unit] * float(number) for number, unit in parts), timedelta(0))
    except OverflowError:
        raise OptionError(f"{name} is {text!r}, which is too long.") from None


def _is_length(word: str) -> bool:
    """Whether a string is a duration with units, or a number without a sign."""
    return _WHOLE.fullmatch(word.strip()) is not None


Duration = Annotated[
    timedelta,
    BeforeValidator(lambda value: parse(value, "it")),
    PlainSerializer(display, return_type=str, when_used="json"),
]
"""The type of a pydantic field that holds a timedelta and accepts every form that `parse` accepts."""
