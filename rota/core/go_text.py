"""Formats and parses durations, strings and times as Go's standard library does.

Used for the options in Asynq's scheduler entries (`rota.wire.option_text`) and for durations in payloads of Go programs
(`rota.tasks.go_values`). A text in any other form raises ValueError. Python's times and durations have a resolution of
microseconds, so smaller fractions are lost.
"""

import re
from datetime import UTC, datetime, timedelta, timezone

_MICROSECOND = timedelta(microseconds=1)
_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # micro sign, U+00B5
    "μs": 1_000,  # Greek mu, U+03BC
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")

_ESCAPES = {"\a": "a", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t", "\v": "v", "\\": "\\", '"': '"'}
_UNESCAPES = {letter: char for char, letter in _ESCAPES.items()}
_ESCAPED = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)

# strftime is not used because its names depend on the locale.
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MOMENT = re.compile(r"\w{3} (\w{3}) {1,2}(\d{1,2}) (\d\d):(\d\d):(\d\d) (\S+) (-?\d{4,})")
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)?")


def duration(value: timedelta) -> str:
    """Format a duration as Go's `time.Duration.String` does: `1h30m0s`, `1.5s`, `20µs`."""
    micros = value // _MICROSECOND
    sign, micros = ("-", -micros) if micros < 0 else ("", micros)
    if micros < 1_000_000:
        return sign + _below_a_second(micros)
    minutes, micros = divmod(micros, 60_000_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_decimal(micros, 1_000_000)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    return f"{sign}{minutes}m{seconds}" if minutes else sign + seconds


def parse_duration(text: str) -> timedelta:
    """Parse a duration as Go's `time.ParseDuration` does. Fractions of a microsecond are cut off."""
    body = text.lstrip("+-")
    if len(text) - len(body) > 1 or not body:
        raise ValueError(f"{text!r} is no duration")
    negative = text.startswith("-")
    if body == "0":
        return timedelta(0)
    nanos, end = 0, 0
    while end < len(body):
        part = _PART.match(body, end)
        if part is None:
            raise ValueError(f"{text!r} is no duration: write for example 1h30m")
        nanos += _scaled(part[1], _UNITS_NS[part[2]])
        end = part.end()
    return timedelta(microseconds=(-1 if negative else 1) * (nanos // 1000))


def quote(text: str) -> str:
    """Format a string literal as Go's `strconv.Quote` does."""
    return '"' + "".join(map(_quoted, text)) + '"'


def unquote(literal: str) -> str:
    """Parse a string literal that Go's `strconv.Quote` wrote. Bytes that are not UTF-8 become U+FFFD."""
    body = literal[1:-1]
    if len(literal) < 2 or literal[0] != '"' or literal[-1] != '"' or '"' in _ESCAPED.sub("", body):
        raise ValueError(f"{literal} is no quoted text")
    data, end = b"", 0
    for match in _ESCAPED.finditer(body):
        data += body[end : match.start()].encode() + _unescaped(match)
        end = match.end()
    if "\\" in body[end:]:
        raise ValueError(f"{literal} ends in the middle of an escape")
    return (data + body[end:].encode()).decode("utf-8", "replace")


def moment(value: datetime) -> str:
    """Format a time in Go's `time.UnixDate` layout, in UTC and whole seconds."""
    if value.tzinfo is None:
        raise ValueError(f"the time {value} has no time zone")
    utc = value.astimezone(UTC)
    day = f"{_DAYS[utc.weekday()]} {_MONTHS[utc.month - 1]} {utc.day:2d}"
    return f"{day} {utc:%H:%M:%S} UTC {utc.year:04d}"


def parse_moment(text: str) -> datetime:
    """Parse a time in Go's `time.UnixDate` layout.

    Go assumes offset 0 for a time zone abbreviation that it does not know. Here this is an error: CET is not UTC.
    """
    match = _MOMENT.fullmatch(text)
    if match is None or match[1] not in _MONTHS:
        raise ValueError(f"{text!r} is no time: expected a form like Tue Mar  5 06:07:08 UTC 2024")
    month = _MONTHS.index(match[1]) + 1
    clock = int(match[3]), int(match[4]), int(match[5])
    return datetime(int(match[7]), month, int(match[2]), *clock, tzinfo=_zone(match[6]))


def _below_a_second(micros: int) -> str:
    if micros == 0:
        return "0s"
    return f"{micros}µs" if micros < 1000 else f"{_decimal(micros, 1000)}ms"


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    if not rest:
        return str(whole)
    digits = len(str(unit)) - 1
    return f"{whole}.{rest:0{digits}d}".rstrip("0")


def _scaled(number: str, unit_ns: int) -> int:
    whole, _, fraction = number.partition(".")
    return int(whole or 0) * unit_ns + int(fraction or 0) * unit_ns // int("1" + "0" * len(fraction))


def _quoted(char: str) -> str:
    if char in _ESCAPES:
        return "\\" + _ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    if 0xD800 <= code < 0xE000:  # a Go string cannot hold half a surrogate pair
        return "\ufffd"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _unescaped(match: re.Match[str]) -> bytes:
    byte, short, long, letter = match.groups()
    if byte:
        return bytes.fromhex(byte)
    if letter is None:
        return _rune(int(short or long, 16)).encode()
    if letter not in _UNESCAPES:
        raise ValueError(f"\\{letter} is no escape")
    return _UNESCAPES[letter].encode()


def _rune(code: int) -> str:
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        raise ValueError(f"U+{code:04X} is no character")
    return chr(code)


def _zone(name: str) -> timezone:
    if name in ("UTC", "GMT"):
        return UTC
    match = _OFFSET.fullmatch(name)
    if match is None:
        raise ValueError(f"the zone {name!r} says no offset from UTC")
    offset = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
    return timezone(-offset if match[1] == "-" else offset)
