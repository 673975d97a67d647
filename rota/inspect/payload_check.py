"""Checks a payload that a person wrote against the JSON Schema that the workers of its task type publish."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from rota.core.text import unstopped
from rota.errors import ConfigError, PayloadError
from rota.inspect.task_type import TypeList

_MOST_NAMED = 3


def check_payload(types: TypeList, type: str, payload: bytes) -> None:
    """Raise PayloadError if a payload does not fit its type.

    During a deploy a type may have several schemas; one that it fits is enough. A payload of a type that no worker
    describes is not checked.
    """
    known = types.find(type)
    schemas = [each.schema for each in known.versions if each.schema is not None] if known else []
    if not schemas:
        return
    try:
        value = json.loads(payload)
    except ValueError as error:
        raise PayloadError(
            f"The payload for {type} is not JSON ({unstopped(error)}), but its workers expect JSON. Correct it, or "
            "leave out the check."
        ) from error
    faults = [_faults(schema, value) for schema in schemas]
    if all(faults):
        raise PayloadError(
            f"The payload does not fit the task type {type}: {'; '.join(faults[0][:_MOST_NAMED])}. Correct it, or "
            "leave out the check."
        )


def _faults(schema: Mapping[str, Any], value: Any) -> list[str]:
    try:
        from jsonschema import Draft202012Validator  # imported late, because it is an extra
    except ImportError as error:
        raise ConfigError(
            "A payload is checked with the package jsonschema, which is not installed. Install rota[schema], or leave "
            "out the check."
        ) from error
    faults: Iterable[Any] = Draft202012Validator(schema).iter_errors(value)  # pyright: ignore[reportUnknownMemberType]
    found = sorted(faults, key=lambda fault: list(map(str, fault.path)))
    return [f"{_place(fault.path)}{fault.message}" for fault in found]


def _place(path: Any) -> str:
    place = ".".join(map(str, path))
    return f"{place}: " if place else ""
