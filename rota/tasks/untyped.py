"""Writes payloads and results whose type is not known here: of raw handlers, and of tasks that another program handles.

Values that JSON cannot express are refused. Values that are written as strings (a date, a UUID, the value of an enum)
stay strings for the reader. A model or dataclass must read back equal with its own class.
"""

from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from functools import lru_cache
from typing import Any, cast

from pydantic import BaseModel, Secret, SecretBytes, SecretStr
from pydantic_core import PydanticSerializationError, from_json, to_json

from rota.core.canonical import in_fixed_order, is_array, is_mapping
from rota.errors import OptionError, PayloadError
from rota.tasks.codec import Codec
from rota.tasks.job import Plan
from rota.tasks.options import Options

_SECRETS = (Secret, SecretStr, SecretBytes)


def loose_payload(owner: str, payload: object, *, noun: str = "payload", fixed_order: bool = False) -> bytes:
    """Write a payload without a known type: bytes as they are, None as an empty payload, everything else as JSON."""
    if payload is None:
        return b""
    if isinstance(payload, bytes | bytearray):
        return bytes(payload)
    try:
        written = to_json(payload, by_alias=True, round_trip=True, inf_nan_mode="constants")
        read = from_json(written, allow_inf_nan=False)
    except (PydanticSerializationError, ValueError) as error:
        raise PayloadError(f"The {noun} of {owner} cannot be written as JSON: {_reason(error)}.") from error
    if read != payload and (fault := _fault(payload, "")):
        raise PayloadError(f"The {noun} of {owner} cannot be written as JSON: {fault}.")
    return in_fixed_order(payload, written, keep_keys=True) if fixed_order else written


def loose_plan(type: str, payload: object, options: Options) -> Plan[Any]:
    """Return the plan of a task that is not registered here. Keys are filled from the written JSON object."""
    written = loose_payload(type, payload, fixed_order=options.locks_payload)
    return Plan(type, written, options.bound(_named(type, written)) if options.names_arguments else options)


def _named(type: str, written: bytes) -> Mapping[str, Any]:
    try:
        read = from_json(written or b"{}")
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise OptionError(f"A key of {type} names arguments, but its payload is not a JSON object: give a plain key.")
    return cast("dict[str, Any]", read)


def _fault(value: Any, path: str) -> str | None:
    """Return what JSON would change in a value, or None."""
    if isinstance(value, _SECRETS):
        return f"{path or 'it'} is a secret, which is written as asterisks; pass a name by which the worker finds it"
    if is_mapping(value):
        return _fault_of_keys(value, path) or _first_fault(value.items(), path)
    if isinstance(value, BaseModel) or is_dataclass(value):
        return _fault_of_object(value, path)
    return _first_fault(enumerate(value), path) if is_array(value) else None


def _first_fault(items: Iterable[tuple[Any, Any]], path: str) -> str | None:
    faults = (_fault(item, f"{path}.{key}" if path else str(key)) for key, item in items)
    return next((fault for fault in faults if fault), None)


def _fault_of_keys(entries: Mapping[Any, Any], path: str) -> str | None:
    for key in entries:
        if key is None or isinstance(key, tuple | frozenset):
            return f"{path or 'it'} has the key {key!r}, and JSON's keys are texts"
    if len(from_json(to_json(dict.fromkeys(entries)))) != len(entries):
        return f"{path or 'it'} has two keys that are one text"
    return None


def _fault_of_object(value: Any, path: str) -> str | None:
    try:
        _codec(cast("Any", type(value))).write(value)
    except PayloadError as error:
        return f"{path or 'it'}: {str(error).removesuffix('.')}"
    except OptionError:  # a dataclass with field types that pydantic cannot validate, but can write
        return None
    return None


@lru_cache(256)
def _codec(cls: Any) -> Codec:
    return Codec(cls.__name__, cls, "fields")


def _reason(error: Exception) -> str:
    return str(error).removeprefix("Error serializing to JSON: ")
