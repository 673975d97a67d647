"""Lists of instants for tests, as texts of a time zone."""

from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

from rota.schedule.spec import parse_spec
from rota.schedule.trigger import Trigger


def fires(trigger: Trigger, after: datetime, count: int) -> list[datetime]:
    """The next instants of a trigger, at most `count`."""
    found: list[datetime] = []
    while len(found) < count and (at := trigger.next(found[-1] if found else after)) is not None:
        found.append(at)
    return found


def shown(trigger: Trigger, after: str, count: int, zone: str) -> list[str]:
    """The next instants of a trigger as `2024-03-10T03:00-04:00`."""
    return [minute(at, ZoneInfo(zone)) for at in fires(trigger, datetime.fromisoformat(after), count)]


def minute(at: datetime, zone: tzinfo) -> str:
    text = at.astimezone(zone).isoformat()
    return text[:16] + text[19:] if text[16:19] == ":00" else text


def noted(text: str, zone: str, after: str, count: int, **options: str) -> list[str]:
    """The next instants of a text with their notes: `2024-03-10T03:00-04:00 shifted`."""
    trigger = parse_spec(text, timezone=zone, **options)  # type: ignore[arg-type]
    at, found = datetime.fromisoformat(after), list[str]()
    for _ in range(count):
        occurrence = trigger.occurrence(at)
        if occurrence is None:
            break
        at = occurrence.at
        note = "" if occurrence.note == "normal" else f" {occurrence.note}"
        found.append(minute(at, ZoneInfo(zone)) + note)
    return found
