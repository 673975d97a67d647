"""Sets single values in a JSON payload. The rest of it stays as it is, byte by byte: also long numbers and blanks."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rota.core.text import unstopped
from rota.errors import OptionError, PayloadError
from rota.inspect.query_parser import payload_keys

_DECODER = json.JSONDecoder()
_BLANKS = re.compile(r"[ \t\n\r]*")


class _Member(NamedTuple):
    """A value of an object or a list: its key or number, and where its text begins and ends."""

    key: str
    start: int
    end: int


def read_fields(fields: Mapping[str, Any]) -> dict[tuple[str, ...], str]:
    """Return the keys of each path and the JSON text of its value. Raises OptionError if one cannot be written."""
    read: dict[tuple[str, ...], str] = {}
    for path, value in fields.items():
        keys = payload_keys(path)
        if not keys:
            raise OptionError(
                f"{path!r} does not name a value in a payload. Write the keys as in a query: user.name, items.0 or "
                '"first name".'
            )
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False)
            text.encode()
        except (TypeError, ValueError) as error:
            raise OptionError(f"The value for {path} cannot be written as JSON: {error}.") from error
        except RecursionError:
            raise OptionError(f"The value for {path} cannot be written as JSON: it is nested too deeply.") from None
        read[keys] = text
    return read


def with_fields(payload: bytes, fields: Mapping[tuple[str, ...], str]) -> bytes:
    """Return a payload in which the values at some paths are these JSON texts; what is missing on the way is added.

    Raises PayloadError if it is not JSON, or has something else than an object or a list on the way.
    """
    try:
        text = payload.decode()
        _DECODER.decode(text)
        for keys, value in fields.items():
            text = _with_value(text, keys, value)
    except RecursionError:
        raise PayloadError("it is nested too deeply to set values in it") from None
    except ValueError as error:
        raise PayloadError(f"it is not JSON ({unstopped(error)}), so no value can be set in it") from error
    return text.encode()


def _with_value(text: str, keys: Sequence[str], value: str) -> str:
    at = _after_blanks(text, 0)
    for depth, key in enumerate(keys):
        if text[at] not in "{[":
            subject = f"its value at {'.'.join(keys[:depth])}" if depth else "it"
            raise PayloadError(f"{subject} is neither an object nor a list, so {'.'.join(keys)} cannot be set")
        members = list(_members(text, at))
        found = [each for each in members if each.key == key]
        if not found:
            if text[at] == "[":
                raise PayloadError(f"its list has no element {'.'.join(keys[: depth + 1])}")
            return _with_member(text, members[-1].end if members else at + 1, keys[depth:], value, is_first=not members)
        at = found[-1].start  # if a key occurs twice, the last one counts, in Go too
    return text[:at] + value + text[_DECODER.raw_decode(text, at)[1] :]


def _with_member(text: str, at: int, keys: Sequence[str], value: str, *, is_first: bool) -> str:
    for key in reversed(keys[1:]):
        value = f"{{{json.dumps(key, ensure_ascii=False)}: {value}}}"
    comma = "" if is_first else ", "
    return f"{text[:at]}{comma}{json.dumps(keys[0], ensure_ascii=False)}: {value}{text[at:]}"


def _members(text: str, at: int) -> Iterator[_Member]:
    """Yield the values of the object or the list that begins at a position of valid JSON."""
    is_object, number = text[at] == "{", 0
    at = _after_blanks(text, at + 1)
    while text[at] not in "}]":
        key = str(number)
        if is_object:
            key, at = _DECODER.raw_decode(text, at)
            at = _after_blanks(text, _after_blanks(text, at) + 1)
        end = _DECODER.raw_decode(text, at)[1]
        yield _Member(key, at, end)
        number += 1
        at = _after_blanks(text, end)
        if text[at] == ",":
            at = _after_blanks(text, at + 1)


def _after_blanks(text: str, at: int) -> int:
    match = _BLANKS.match(text, at)
    return match.end() if match else at
