"""Reads and writes JSON values as Go does: null for nil, `time.Duration` as nanoseconds, `[]byte` as base64.

Go writes a nil slice, map or pointer in a struct as null, where Python leaves the field out. If the type of a parameter
or field refuses null, and it has a default, a null counts as "not given". The steps run only after a payload was
refused, so a payload that fits does not pay for them:

1. Remove every refused null from the object that holds it.
2. To find out whether that object is a dict whose keys are data, put a null under a key that no field has into it and
   validate. A model ignores or forbids the unknown key. A dict refuses the null like the first one: removing the first
   one would lose a value, so the payload stays refused.
3. Validate the rest. If the field does not have a default, it is now missing and the payload stays refused.

`GoDuration` and `GoBytes` are types for the annotations of parameters.
"""

import base64
import binascii
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, PlainSerializer, ValidationError, WithJsonSchema
from pydantic_core import from_json, to_json

from rota.core.canonical import is_mapping, is_sequence
from rota.core.go_text import parse_duration

_NO_FIELD = "\0not a field"
_NO_REFUSAL = ("missing", "extra_forbidden")
_MOST_ROUNDS = 10

Holder = dict[str, Any]


def read_without_nulls(payload: bytes, validate: Callable[[bytes], Any], error: ValidationError) -> Any:
    """Validate a payload again without the nulls that were refused with `error`. Otherwise raises `error`."""
    if not _refused_nulls(error):
        raise error
    tree, last = from_json(payload), error
    for _ in range(_MOST_ROUNDS):
        holders = [holder for loc in _refused_nulls(last) if (holder := _leave_out(tree, loc)) is not None]
        if not holders or _is_data(tree, holders, validate):
            break
        try:
            return validate(_written(tree))
        except ValidationError as next_error:  # perhaps for another null that the first error did not name
            last = next_error
    raise error


def _refused_nulls(error: ValidationError) -> list[tuple[int | str, ...]]:
    items = error.errors(include_url=False, include_context=False)
    return [item["loc"] for item in items if item["input"] is None and item["type"] not in _NO_REFUSAL]


def _leave_out(tree: Any, loc: tuple[int | str, ...]) -> Holder | None:
    """Remove the null at a location and return the object that held it, or None if there is no null there."""
    found, holder, name = tree, None, ""
    for step in loc:
        # A step that is neither a key nor an index names a member of a union.
        if is_mapping(found) and step in found:
            holder, name, found = found, str(step), found[step]
        elif is_sequence(found) and isinstance(step, int) and step < len(found):
            holder, found = None, found[step]
    if not isinstance(holder, dict) or found is not None:
        return None
    del holder[name]
    return holder


def _is_data(tree: Any, holders: list[Holder], validate: Callable[[bytes], Any]) -> bool:
    """Whether one of the objects is a dict whose keys are data and not fields."""
    for holder in holders:
        holder[_NO_FIELD] = None
    try:
        validate(_written(tree))
    except ValidationError as error:
        items = error.errors(include_url=False, include_context=False, include_input=False)
        return any(_NO_FIELD in item["loc"] and item["type"] != "extra_forbidden" for item in items)
    finally:
        for holder in holders:
            holder.pop(_NO_FIELD, None)
    return False


def _written(tree: Any) -> bytes:
    return to_json(tree, inf_nan_mode="constants")


_MICROSECOND = timedelta(microseconds=1)
_MOST_NANOSECONDS = 2**63 - 1  # int64: about 292 years


def _read_duration(value: Any) -> Any:
    if isinstance(value, str):
        value = parse_duration(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        _check_range(value)
        value = timedelta(microseconds=value // 1000 if value >= 0 else -(-value // 1000))
    if not isinstance(value, timedelta):
        raise ValueError("must be a timedelta, whole nanoseconds, or a text like '1h30m'")
    _check_range(_write_duration(value))
    return value


def _check_range(nanoseconds: int) -> None:
    if abs(nanoseconds) > _MOST_NANOSECONDS:
        raise ValueError("is longer than the 292 years that a time.Duration can hold")


def _write_duration(value: timedelta) -> int:
    return value // _MICROSECOND * 1000


def _read_bytes(value: Any) -> Any:
    if value is None:
        return b""  # a nil slice
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"is not base64 as encoding/json writes it ({error})") from None


def _write_bytes(value: bytes) -> str:
    return base64.b64encode(value).decode()


GoDuration: TypeAlias = Annotated[
    timedelta,
    BeforeValidator(_read_duration),
    PlainSerializer(_write_duration, return_type=int, when_used="json"),
    WithJsonSchema({"type": "integer", "description": "nanoseconds"}),
]
"""A timedelta that is sent like Go's `time.Duration`, in whole nanoseconds. Reading truncates to microseconds."""

GoBytes: TypeAlias = Annotated[
    bytes,
    BeforeValidator(_read_bytes),
    PlainSerializer(_write_bytes, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]
"""Bytes that are sent like Go's `[]byte`, as base64. Null, Go's nil slice, is read as empty bytes."""
