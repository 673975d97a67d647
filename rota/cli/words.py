"""Option values as people type them: `critical=6,default=3`, `trace=abc`, durations."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from rota.duration import parse
from rota.errors import OptionError


def queues(text: str) -> dict[str, int]:
    """Read `critical=6,default,low`. A queue without a number has priority 1."""
    found: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, priority = (word.strip() for word in part.partition("="))
        if priority and not priority.isdigit():
            raise OptionError(f"The priority of queue {name!r} is {priority!r}: write a whole number, such as {name}=5.")
        if name in found:
            raise OptionError(f"Queue {name!r} is named twice in {text!r}: keep one.")
        found[name] = int(priority or 1)
    if not found:
        raise OptionError("No queue is named: write for example critical=6,default=3.")
    return found


def headers(pairs: Iterable[str]) -> dict[str, str]:
    """Read `key=value` pairs."""
    found: dict[str, str] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not (separator and key):
            raise OptionError(f"The header {pair!r} is not of the form key=value.")
        found[key] = value
    return found


def duration(text: str | None, name: str) -> timedelta | None:
    """Read `30s`, `1h30m` or a bare number of seconds."""
    if text is None:
        return None
    return parse(float(text) if text.replace(".", "", 1).isdigit() else text, name)


def instant(text: str | None, name: str) -> datetime | None:
    """Read an ISO 8601 time; without an offset it is local time."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise OptionError(f"{name} is {text!r}: write a time such as 2026-01-31T18:00 or 2026-01-31T18:00+01:00.") from None
