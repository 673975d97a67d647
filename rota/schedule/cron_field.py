"""Reads one field of a cron expression: its parts as written, and the values that they select.

A field is a list of parts. Its `mask` has bit n for the value n. The days that no mask can hold, because they depend on
the month (`L`, `15W`, `MON#2`), stand in the parts only.

A part is never expanded before its numbers are checked, so that the time to read it depends on its length only.
"""

import re
from collections.abc import Iterator
from hashlib import blake2b
from typing import Literal, NamedTuple, TypeAlias

from rota.core.text import nearest, printable

PartKind: TypeAlias = Literal["any", "value", "range", "hash", "last", "nearest_weekday", "nth", "last_of_weekday"]

_MONTH_NAMES = "jan feb mar apr may jun jul aug sep oct nov dec"
_MONTHS: dict[str, int] = {name: number for number, name in enumerate(_MONTH_NAMES.split(), 1)}
_WEEKDAYS: dict[str, int] = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
_LAST_HASHED_DAY = 28  # each month has it, so that `H` fires in each month


class Range(NamedTuple):
    """The values of a field. `wrap` is how many values there are before the first one comes again."""

    name: str
    low: int
    high: int
    names: dict[str, int]
    wrap: int


RANGES = (
    Range("second", 0, 59, {}, 60),
    Range("minute", 0, 59, {}, 60),
    Range("hour", 0, 23, {}, 24),
    Range("day of month", 1, 31, {}, 31),
    Range("month", 1, 12, _MONTHS, 12),
    Range("day of week", 0, 6, _WEEKDAYS, 7),
)
SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY = range(6)


class CronPart(NamedTuple):
    """One item of a field's list.

    kind: `start` and `end` hold
    any: the whole range (`*`, `?`, `*/2`)
    value: the value, twice
    range: first and last value; `start` is larger if the range wraps around. `5/15` is a range up to the highest value.
    hash: the lowest and highest value that `H` may choose
    last: `L-3`: the distance from the last day of the month, twice
    nearest_weekday: `15W`: the day, twice; 0 for `LW`, and -3 for `L-3W`
    nth: `MON#2`: the day of the week, and which one of the month
    last_of_weekday: `FRIL` or `FRI#L`: the day of the week, twice
    """

    text: str
    kind: PartKind
    start: int
    end: int
    step: int = 0
    """The number after the slash; 0 if there is none."""


class CronField(NamedTuple):
    """One field: its parts as written, the values that they select, and whether a star selects all of them.

    `star` is robfig's star bit. It decides how the two day fields combine; a step above 1 clears it.
    """

    text: str
    parts: tuple[CronPart, ...]
    mask: int
    star: bool
    repeats: bool
    """Whether a part is a star or a range, or has a step. At a clock change, such a field follows elapsed time."""


class FieldFault(Exception):
    """A part of a text is wrong. `position` counts from the start of that part."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(reason)
        self.position = position


_NUMBER = r"[0-9]{1,3}|[A-Za-z]{3}"
_PLAIN = re.compile(rf"(\*|\?|{_NUMBER})(?:-({_NUMBER}))?(?:/([0-9]{{1,3}}))?")
_LAST = re.compile(r"L(?:-([0-9]{1,2}))?(W)?", re.IGNORECASE)
_NEAREST = re.compile(r"([0-9]{1,2})W", re.IGNORECASE)
_NTH = re.compile(r"([0-9]|[A-Za-z]{3})#([0-9]{1,2})")
_LAST_OF = re.compile(r"([0-9]|[A-Za-z]{3})#?L", re.IGNORECASE)
_HASH = re.compile(r"H(?:\(([0-9]{1,3})-([0-9]{1,3})\))?(?:/([0-9]{1,3}))?")
ZERO = CronField("0", (CronPart("0", "value", 0, 0),), 1, False, False)
"""The field of the second, where an expression has none."""


def read_field(number: int, text: str, seed: str = "") -> CronField:
    """Read a field of the dialect `rota`. `number` is its index in RANGES. Raises FieldFault."""
    limits = RANGES[number]
    parts: list[CronPart] = []
    mask, star, repeats, position = 0, False, False, 0
    for item in text.split(","):
        if not item:
            raise FieldFault(min(position, len(text) - 1), f"the list of the {limits.name} field has an empty item.")
        try:
            part = _part(number, item)
        except FieldFault as fault:
            raise FieldFault(position + fault.position, str(fault)) from None
        parts.append(part)
        mask |= mask_of(part, limits, seed)
        star = star or (part.kind == "any" and part.step <= 1)
        repeats = repeats or part.kind in ("any", "range") or part.step > 0
        position += len(item) + 1
    return CronField(text, tuple(parts), mask, star, repeats)


def _part(number: int, item: str) -> CronPart:
    limits = RANGES[number]
    match = _PLAIN.fullmatch(item)
    if match is None:
        return _special(number, item)
    low, high, step_text = match.groups()
    step = _step(item, match.start(3), step_text, limits) if step_text else 0
    if low in ("*", "?"):
        if high:
            raise FieldFault(1, f"'{low}' already means all values: leave out '-{high}'.")
        return CronPart(item, "any", limits.low, limits.high, step)
    start = _value(low, 0, limits)
    if high:
        return CronPart(item, "range", start, _value(high, match.start(2), limits), step)
    if step_text:
        return CronPart(item, "range", start % 7 if number == WEEKDAY else start, limits.high, step)
    return CronPart(item, "value", start, start, 0)


def _value(word: str, position: int, limits: Range) -> int:
    if word.isdigit():
        value = int(word)
        if limits.low <= value <= limits.high or (limits.wrap == 7 and value == 7):
            return value
        highest = 7 if limits.wrap == 7 else limits.high  # 7 is Sunday too
        raise FieldFault(position, f"{limits.name} {word} is outside of {limits.low}-{highest}.")
    found = limits.names.get(word.lower())
    if found is None:
        raise FieldFault(position, unknown_name(word, limits))
    return found


def unknown_name(word: str, limits: Range) -> str:
    """Return what is wrong with a word that is neither a number nor a name of a field, with a suggestion."""
    if not limits.names:
        return f"'{printable(word)}' is not a number: the {limits.name} field takes {limits.low}-{limits.high}."
    close = nearest(word.lower()[:3], limits.names) or nearest(word.lower(), limits.names)
    advice = f"Did you mean '{close}'?" if close else f"Known: {', '.join(limits.names)}."
    return f"'{printable(word)}' is not a {limits.name}. {advice}"


def _step(item: str, position: int, text: str, limits: Range) -> int:
    step = int(text)
    if step == 0:
        raise FieldFault(position, "a step of 0 never moves on: write 1 or more.")
    if step >= limits.wrap and limits.name != "day of week":
        reason = f"a step of {step} is longer than the {limits.name} field, so only its first value would match. "
        unit = {"second": "s", "minute": "m", "hour": "h"}.get(limits.name)
        advice = f"Write that value, or '@every {step}{unit}' for an interval." if unit else "Write that value."
        raise FieldFault(position, reason + advice)
    return step


def _special(number: int, item: str) -> CronPart:
    limits = RANGES[number]
    if match := _HASH.fullmatch(item):
        return _hashed(number, item, match)
    if number == DAY:
        if match := _LAST.fullmatch(item):
            back = int(match[1] or 0)
            if back > 30:
                raise FieldFault(2, f"no month has {back} days before its last one: write L-1 to L-30.")
            kind: PartKind = "nearest_weekday" if match[2] else "last"
            return CronPart(item, kind, *((-back, -back) if match[2] else (back, back)))
        if match := _NEAREST.fullmatch(item):
            day = _value(match[1], 0, limits)
            return CronPart(item, "nearest_weekday", day, day)
    if number == WEEKDAY:
        if match := _NTH.fullmatch(item):
            if not 1 <= int(match[2]) <= 5:
                raise FieldFault(match.start(2), f"no month has a weekday number {int(match[2])}: write #1 to #5.")
            return CronPart(item, "nth", _value(match[1], 0, limits) % 7, int(match[2]))
        if match := _LAST_OF.fullmatch(item):
            day = _value(match[1], 0, limits) % 7
            return CronPart(item, "last_of_weekday", day, day)
    raise _explained(number, item)


def _hashed(number: int, item: str, match: re.Match[str]) -> CronPart:
    limits = RANGES[number]
    low, high = limits.low, _LAST_HASHED_DAY if number == DAY else limits.high
    if match[1]:
        low, high = _value(match[1], match.start(1), limits), _value(match[2], match.start(2), limits)
        if low > high:
            raise FieldFault(match.start(1), f"the range of H ends ({high}) before it starts ({low}).")
    step = _step(item, match.start(3), match[3], limits) if match[3] else 0
    return CronPart(item, "hash", low, high, step)


def _explained(number: int, item: str) -> FieldFault:
    """Say what is wrong with an item that no form fits."""
    limits = RANGES[number]
    upper = item.upper()
    if number == WEEKDAY and upper == "L":
        return FieldFault(0, "'L' alone is the last day of a month. In this field write 'SATL' or another weekday.")
    if upper.startswith("L") or upper.endswith(("L", "W")) or "#" in item:
        if "#" in item and number != WEEKDAY:
            return FieldFault(item.index("#"), "'#' belongs to the day of week field, as in 'MON#2'.")
        if upper == "WL":
            return FieldFault(0, "'WL' is not known. Did you mean 'LW', the last working day of the month?")
        if number not in (DAY, WEEKDAY) and not item.isalpha():
            return FieldFault(0, f"'{item}' is not allowed in the {limits.name} field, only in the day fields.")
        if upper in ("L", "LW") or (upper.endswith("W") and upper[:-1].isdigit()):
            return FieldFault(0, f"'{item}' is not allowed in the {limits.name} field, only in the day of month field.")
    if upper.startswith("H"):
        return FieldFault(0, f"'{item}' is not a form of H. Write 'H', 'H/15', 'H(0-29)' or 'H(0-29)/10'.")
    return _malformed(limits, item)


def _malformed(limits: Range, item: str) -> FieldFault:
    for sign, name in (("/", "slash"), ("-", "hyphen")):
        if item.count(sign) > 1:
            return FieldFault(item.rindex(sign), f"'{item}' has more than one {name}. Write it as 'first-last/step'.")
    if match := re.search(r"[0-9]{4,}", item):
        return FieldFault(match.start(), f"{match[0][:12]} is outside of {limits.low}-{limits.high}.")
    for match in re.finditer(r"[^-/]+", item):
        word, position = match[0], match.start()
        if position and item[position - 1] == "/" and not word.isdigit():
            return FieldFault(position, f"the step '{word}' is not a number.")
        if not word.isdigit() and word not in ("*", "?") and word.lower() not in limits.names:
            return FieldFault(position, unknown_name(word, limits))
    return FieldFault(len(item) - 1, f"'{item}' is not complete. Write a value, 'first-last', or 'first-last/step'.")


def mask_of(part: CronPart, limits: Range, seed: str) -> int:
    """Return the values that a part selects, as a mask; 0 if they depend on the month."""
    step = part.step or 1
    if part.kind == "hash":
        return sum(1 << value for value in _hash_values(part, limits, seed))
    if part.kind not in ("any", "value", "range"):
        return 0
    end = part.end if part.end >= part.start else part.end + limits.wrap
    if limits.wrap == 7 and (part.start, part.end) == (0, 7):
        end = 6
    if step == 1 and end <= limits.high:
        return (2 << end) - (1 << part.start)
    mask = 0
    for value in range(part.start, end + 1, step):
        mask |= 1 << ((value - limits.low) % limits.wrap + limits.low)
    return mask


def _hash_values(part: CronPart, limits: Range, seed: str) -> Iterator[int]:
    digest = blake2b(f"{seed}/{limits.name}".encode(), digest_size=8).digest()
    chosen = int.from_bytes(digest, "big")
    if not part.step:
        yield part.start + chosen % (part.end - part.start + 1)
        return
    first = part.start + chosen % min(part.step, part.end - part.start + 1)
    yield from range(first, part.end + 1, part.step)
