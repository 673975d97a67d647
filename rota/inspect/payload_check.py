"""Checks a payload that a person wrote against the JSON Schema that the workers of its task type publish."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from rota.core.text import unstopped
from rota.errors import ConfigError, PayloadError
from rota.inspect.task_type import TypeList

_MOST_NAMED = 3
_CLIPPED = 300
"""The letters of a fault that are shown: it may quote the whole payload, or the whole schema."""


class PayloadCheck:
    """Checks payloads of any task types.

    During a deploy a type may have several schemas; one that a payload fits is enough. A payload of a type that no
    worker describes is not checked.
    """

    def __init__(self, types: TypeList) -> None:
        """Raises ConfigError if a type has a schema, and the package that reads schemas is not installed."""
        self._types = types
        self._validators: dict[str, list[Any]] = {}
        if any(version.schema is not None for each in types.types for version in each.versions):
            _validator_class()

    def check(self, type: str, payload: bytes) -> None:
        """Raise PayloadError if a payload does not fit its type, or if the type has a schema that is not valid."""
        validators = self._validators_of(type)
        if not validators:
            return
        try:
            value = _value(type, payload)
            faults = [_faults(validator, value) for validator in validators]
        except RecursionError:
            raise PayloadError(
                f"The payload for {type} cannot be compared with the schema that its workers publish: one of the two "
                "is nested too deeply. Correct it, or leave out the check."
            ) from None
        except PayloadError:
            raise
        except Exception as error:  # such as a reference to nothing: jsonschema raises what happens to occur
            raise _invalid(type, error) from error
        if all(faults):
            raise PayloadError(
                f"The payload does not fit the task type {type}: {'; '.join(faults[0][:_MOST_NAMED])}. Correct it, or "
                "leave out the check."
            )

    def _validators_of(self, type: str) -> list[Any]:
        known = self._types.find(type)
        if known is None:
            return []
        if known.type not in self._validators:
            schemas = [each.schema for each in known.versions if each.schema is not None]
            self._validators[known.type] = [_validator(type, schema) for schema in schemas]
        return self._validators[known.type]


def _validator_class() -> Any:
    try:
        from jsonschema import Draft202012Validator  # imported late, because it is an extra
    except ImportError as error:
        raise ConfigError(
            "A payload is checked with the package jsonschema, which is not installed. Install rota[schema], or leave "
            "out the check."
        ) from error
    return Draft202012Validator


def _validator(type: str, schema: Mapping[str, Any]) -> Any:
    from referencing.jsonschema import EMPTY_REGISTRY

    validator = _validator_class()
    try:
        validator.check_schema(schema)
    except Exception as error:  # SchemaError, or RecursionError for a deep schema
        raise _invalid(type, error) from error
    return validator(schema, registry=EMPTY_REGISTRY)  # follows no reference into the network


def _value(type: str, payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError as error:
        raise PayloadError(
            f"The payload for {type} is not JSON ({unstopped(error)}), but its workers expect JSON. Correct it, or "
            "leave out the check."
        ) from error


def _invalid(type: str, error: Exception) -> PayloadError:
    text = _clipped(unstopped(getattr(error, "message", error)))
    return PayloadError(
        f"The payload for {type} cannot be checked: its workers publish a schema that is not valid ({text}). Correct "
        "the schema in their code, or leave out the check."
    )


def _faults(validator: Any, value: Any) -> list[str]:
    faults: Iterable[Any] = validator.iter_errors(value)
    found = sorted(faults, key=lambda fault: list(map(str, fault.path)))
    return [f"{_path(fault.path)}{_clipped(fault.message)}" for fault in found]


def _path(path: Any) -> str:
    written = ".".join(map(str, path))
    return f"{written}: " if written else ""


def _clipped(text: str) -> str:
    return text if len(text) <= _CLIPPED else f"{text[: _CLIPPED - 1]}…"
