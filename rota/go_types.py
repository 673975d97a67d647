"""Types for what Go writes as JSON in its own way: `time.Duration` and `[]byte`."""

import base64
import binascii
from datetime import timedelta
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from rota.wire.go_text import parse_duration

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
"""A timedelta that travels as Go's `time.Duration` does: whole nanoseconds. Below a microsecond it is cut off."""

GoBytes: TypeAlias = Annotated[
    bytes,
    BeforeValidator(_read_bytes),
    PlainSerializer(_write_bytes, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]
"""Bytes that travel as Go's `[]byte` does: base64. Null, Go's nil slice, is read as empty."""
