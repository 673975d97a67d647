"""The types of the fields of a schedule: each reads one form of text, and refuses everything else in words.

A definition is written by people, in a form, in a YAML file or in code. So a value of the wrong kind is never converted
by guess: `30` is not a duration, because it does not say of what, and `"yes"` is not a boolean. The message of an error
is a whole sentence with the name of the field, because a form shows it beside the field and a command in a list.
"""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeAlias, cast
from zoneinfo import available_timezones

from pydantic import BeforeValidator, PlainSerializer, StrictBool, ValidationInfo

from rota.core.canonical import is_array, is_mapping
from rota.core.duration import display, parse
from rota.core.text import did_you_mean, unstopped
from rota.errors import OptionError
from rota.schedule.spec import open_zone

DEEPEST = 100
"""Levels of lists and objects in a payload. Deeper ones would break the readers of JSON in other languages."""
LONGEST_NAME = 200
LONGEST_TEXT = 10_000
MOST_ITEMS = 100
"""Items of a list, such as the specs: the scheduler looks at each of them whenever the schedule is due."""
LONGEST_TIME = timedelta(days=36_500)
_FIRST_YEAR, _LAST_YEAR = 1970, 9000
"""Python's dates end with the year 9999. Moves by a calendar, delays and searches must not pass it."""
LARGEST_NUMBER = 10**308
"""Readers of JSON in other languages take a number for a float of 64 bits."""
MAX_INT32 = 2**31 - 1

Check: TypeAlias = Callable[[Any, ValidationInfo], Any]


def brief(value: object) -> str:
    """Return the `repr` of a value, cut after 100 characters."""
    try:
        shown = repr(value)
    except (RecursionError, ValueError):  # lists in lists without end; an int with more digits than Python writes
        return f"a value of the type {type(value).__name__} that is too large to show"
    return shown if len(shown) <= 100 else f"{shown[:100]}..."


def text(value: Any, info: ValidationInfo) -> str:
    """Read a text with more than white space."""
    if not isinstance(value, str):
        raise ValueError(f"{info.field_name} is {brief(value)}, but must be a text.")
    if not value.strip():
        raise ValueError(f"{info.field_name} is blank: write a text, or leave it out.")
    if len(value) > LONGEST_TEXT:
        raise ValueError(f"{info.field_name} has {len(value)} characters, but may have {LONGEST_TEXT}.")
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"{info.field_name} holds a NUL or half of a character, which databases refuse.")
    return value


def name(value: Any, info: ValidationInfo) -> str:
    """Read a text of one line that names something."""
    found = text(value, info)
    if found != found.strip() or not found.isprintable():
        raise ValueError(f"{info.field_name} is {brief(found)}, but must be one line without white space at its ends.")
    if len(found) > LONGEST_NAME:
        raise ValueError(f"{info.field_name} has {len(found)} characters, but may have {LONGEST_NAME}.")
    return found


def queue_name(value: Any, info: ValidationInfo) -> str:
    """Read the name of a queue."""
    found = name(value, info)
    if found.startswith("}"):
        raise ValueError(
            f"{info.field_name} is {brief(found)}: its keys would spread over a Cluster, so no queue has a '}}' first."
        )
    return found


def zone(value: Any, info: ValidationInfo) -> str:
    """Read the name of a time zone."""
    found = name(value, info)
    try:
        open_zone(found)
    except (LookupError, ValueError, OSError):  # not found; a path; a folder of zones, such as America
        raise ValueError(
            f"{info.field_name} is {brief(found)}, which is not a time zone. {_near_zone(found)}"
        ) from None
    return found


def moment(value: Any, info: ValidationInfo) -> datetime:
    """Read a datetime with a time zone, or its text in ISO 8601, into an instant in UTC in whole milliseconds."""
    example = "such as '2026-03-01T09:00+01:00'"
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(
                f"{info.field_name} is {brief(value)}, which is not a date with a time, {example}."
            ) from None
    if not isinstance(value, datetime):
        raise ValueError(f"{info.field_name} is {brief(value)}, but must be a date with a time and a zone, {example}.")
    if value.utcoffset() is None:
        raise ValueError(f"{info.field_name} is {value.isoformat()}, which has no time zone: add one, {example}.")
    try:
        instant = value.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{info.field_name} is {value.isoformat()}, which is too far away.") from None
    if not _FIRST_YEAR <= instant.year <= _LAST_YEAR:
        raise ValueError(
            f"{info.field_name} is {value.isoformat()}, but must be in the years {_FIRST_YEAR} to {_LAST_YEAR}: leave "
            "it out for no limit."
        )
    # Redis holds planned times in milliseconds.
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def length_of(least: str) -> Check:
    """Return a reader of durations of at least this length."""
    shortest = parse(least)

    def length(value: Any, info: ValidationInfo) -> timedelta:
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise ValueError(
                f"{info.field_name} is {brief(value)}, which has no unit: write '{brief(value)}s' for seconds."
            )
        if not isinstance(value, str | timedelta):
            raise ValueError(f"{info.field_name} is {brief(value)}, which is not a duration: write a text like '30s'.")
        try:
            found = parse(value, str(info.field_name))
        except OptionError as error:
            raise ValueError(str(error)) from None
        if found < shortest:
            raise ValueError(f"{info.field_name} is {display(found)}, but must be at least {display(shortest)}.")
        if found > LONGEST_TIME:
            raise ValueError(f"{info.field_name} is {display(found)}, but may be a hundred years at most.")
        return found

    return length


def whole(least: int, most: int = MAX_INT32) -> Check:
    """Return a reader of whole numbers from `least` to `most`."""

    def number(value: Any, info: ValidationInfo) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"{info.field_name} is {brief(value)}, but must be a whole number from {least} to {most}.")
        return value

    return number


def texts(value: Any, info: ValidationInfo) -> tuple[str, ...]:
    """Read a list of texts. One text alone is a list of one."""
    return tuple(text(item, info) for item in _items(value, info))


def tags(value: Any, info: ValidationInfo) -> tuple[str, ...]:
    """Read a list of texts of one line each. One text alone is a list of one."""
    return tuple(name(item, info) for item in _items(value, info))


def _items(value: Any, info: ValidationInfo) -> list[Any]:
    items: list[Any] = list(value) if is_array(value) else [value]
    if len(items) > MOST_ITEMS:
        raise ValueError(f"{info.field_name} has {len(items)} items, but may have {MOST_ITEMS}.")
    return items


def headers(value: Any, info: ValidationInfo) -> dict[str, str]:
    """Read an object of texts."""
    if not is_mapping(value):
        raise ValueError(f"{info.field_name} is {brief(value)}, but must be an object of texts.")
    for key, item in value.items():
        if not (isinstance(key, str) and isinstance(item, str)):
            raise ValueError(f"{info.field_name} holds {brief(key)}: {brief(item)}, but headers travel as texts.")
        for each in (key, item):
            _check_encodable(each, str(info.field_name))
    return dict(cast("Mapping[str, str]", value))


def json_object(value: Any, info: ValidationInfo) -> dict[str, Any]:
    """Read an object of values that JSON can express."""
    if not is_mapping(value):
        raise ValueError(f"{info.field_name} is {brief(value)}, but must be a JSON object, such as {{'user_id': 7}}.")
    return cast("dict[str, Any]", _json(value, str(info.field_name), 0))


def inner_path(path: str, key: object) -> str:
    """Return the path of an item of a payload, cut so that a long key is not copied for each item below it."""
    return f"{path}.{key}"[:LONGEST_NAME]


def _json(value: Any, path: str, depth: int) -> Any:
    if depth > DEEPEST:
        raise ValueError(f"{path} is nested more than {DEEPEST} levels deep.")
    if is_mapping(value):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"{path} has the key {brief(key)}, but the keys of a JSON object are texts.")
            _check_encodable(key, path)
        return {key: _json(item, inner_path(path, key), depth + 1) for key, item in value.items()}
    if is_array(value):
        return [_json(item, inner_path(path, index), depth + 1) for index, item in enumerate(value)]
    if isinstance(value, str):
        _check_encodable(value, path)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{path} is {brief(value)}, which JSON cannot express.")
    elif isinstance(value, int) and abs(value) > LARGEST_NUMBER:
        raise ValueError(f"{path} is {brief(value)}, which is too large for readers of JSON: write it as a text.")
    elif not isinstance(value, int | float | None):
        raise ValueError(
            f"{path} is {brief(value)}, which JSON cannot express: write a text, a number, a list or an object."
        )
    return value


def _check_encodable(value: str, path: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{path} cannot be written as UTF-8: {unstopped(error)}.") from None


def _near_zone(found: str) -> str:
    zones = available_timezones()
    known = {each.lower(): each for each in zones} | {each.rpartition("/")[2].lower(): each for each in zones}
    asked = found.lower().replace(" ", "_")
    if asked in known:
        return f"Did you mean {known[asked]!r}?"
    advice = did_you_mean(found, zones)
    return advice if advice.startswith("Did") else "Write a name such as 'Europe/Berlin' or 'Asia/Shanghai'."


Text = Annotated[str, BeforeValidator(text)]
Name = Annotated[str, BeforeValidator(name)]
QueueName = Annotated[str, BeforeValidator(queue_name)]
Zone = Annotated[str, BeforeValidator(zone)]
Moment = Annotated[datetime, BeforeValidator(moment)]
Texts = Annotated[tuple[str, ...], BeforeValidator(texts)]
Tags = Annotated[tuple[str, ...], BeforeValidator(tags)]
Headers = Annotated[dict[str, str], BeforeValidator(headers)]
JsonObject = Annotated[dict[str, Any], BeforeValidator(json_object)]
YesNo = StrictBool

_SHOWN = PlainSerializer(display, return_type=str, when_used="json")
Length = Annotated[timedelta, BeforeValidator(length_of("1ms")), _SHOWN]
Seconds = Annotated[timedelta, BeforeValidator(length_of("1s")), _SHOWN]
Retention = Annotated[timedelta, BeforeValidator(length_of("10m")), _SHOWN]
"""The outcome of a run is read from its task, so a task that is gone earlier would count as lost."""
