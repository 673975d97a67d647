"""Reads and writes one type as JSON. `Codec.write` writes only JSON that `Codec.validate` reads back as an equal value.

Writing takes four steps:

1. The value is validated, as the worker will validate it.
2. It is written as JSON, with pydantic's `round_trip`: fields that are computed from others are left out.
3. Unless the type makes a wrong reading impossible, the JSON is read again and compared with the value. Most pydantic
   types can lose something: a secret is masked, NaN becomes null, a subclass loses its own fields, a validator may
   change its own output. No list of such types would be complete, so the comparison decides.
4. For a key that must be equal in every process, dicts and sets are put into a fixed order.

Step 3 costs one reading. `is_exact` leaves it out for arguments of plain texts, numbers, and lists and dicts of them.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Protocol, cast, get_args, get_origin

from pydantic import (
    PlainSerializer,
    Secret,
    SecretBytes,
    SecretStr,
    TypeAdapter,
    ValidationError,
    WrapSerializer,
)
from pydantic_core import PydanticSerializationError

from rota.core.canonical import Difference, difference, in_fixed_order, is_mapping, is_sequence
from rota.errors import OptionError, PayloadError
from rota.tasks.go_values import read_without_nulls

_EXACT_BYTES = 4000
"""JSON of at most this length cannot contain an integer longer than the 4300 digits that JSON parsers read."""

_COMMON = {"type", "metadata", "strict"}
_LENGTH = {"min_length", "max_length"}
_EXACT_TYPES: Mapping[str, set[str]] = {
    "none": _COMMON,
    "bool": _COMMON,
    "int": _COMMON | {"gt", "ge", "lt", "le", "multiple_of"},
    "float": _COMMON | {"gt", "ge", "lt", "le", "multiple_of", "allow_inf_nan"},
    "str": _COMMON | _LENGTH | {"pattern", "strip_whitespace"},
    "nullable": _COMMON | {"schema"},
    "list": _COMMON | _LENGTH | {"items_schema"},
    "dict": _COMMON | _LENGTH | {"keys_schema", "values_schema"},
}
"""Core schemas that read back what they write, each with the keys that do not change this."""
_EXACT_FIELD = {"type", "metadata", "schema", "required", "validation_alias", "serialization_alias"}
_EXACT_CONFIG = {"title", "extra_fields_behavior"}

_SECRETS = (Secret, SecretStr, SecretBytes)
_SERIALIZERS = (PlainSerializer, WrapSerializer)

_SEQUENCE = "serialize_sequence_via_list"
"""How pydantic writes an abstract Sequence: a tuple is accepted for it, and a list is read."""


class Write(Protocol):
    """Writes a value as JSON; `fixed_order` gives dicts and sets the same order in every process."""

    def __call__(self, value: Any, *, fixed_order: bool = False) -> bytes: ...  # noqa: D102


class Codec:
    """Reads and writes values of one type. `owner` and `noun` are for error texts: "the result of welcome"."""

    def __init__(self, owner: str, annotation: Any, noun: str) -> None:
        self._owner = owner
        self._noun = noun
        self.adapter = _adapter(owner, annotation)
        schema = cast("dict[str, Any]", self.adapter.core_schema)
        self.validate: Callable[[bytes], Any] = self.adapter.validator.validate_json
        """The fast path of `read`, which does not try again without Go's nulls. Raises pydantic's ValidationError."""
        self._validate = self.adapter.validator.validate_python
        self._to_json = self.adapter.serializer.to_json
        parts = set(_parts(schema))
        self._exact = is_exact(schema)
        self._has_order = self._exact and "dict" not in parts
        self._is_object = schema.get("schema", schema)["type"] == "typed-dict"
        self._has_floats = "float" in parts
        self._is_lazy = "generator" in parts
        self._any_sequence = _SEQUENCE in parts
        self.write: Write = self._write_exact if self._exact else self._write
        """Return the JSON of a value. Raises PayloadError if it does not fit the type or would not read back equal."""

    def _write_exact(self, value: Any, *, fixed_order: bool = False) -> bytes:
        # The hot path: most tasks run this with every enqueue.
        try:
            checked = self._validate(value)
            written = self._to_json(checked, by_alias=True)
        except (ValidationError, PydanticSerializationError, RecursionError) as error:
            raise self._refusal(error) from error
        if len(written) > _EXACT_BYTES or (self._has_floats and b"null" in written):
            self._prove(checked, written)
        return written if not fixed_order or self._has_order else self._ordered(checked, written)

    def _write(self, value: Any, *, fixed_order: bool = False) -> bytes:
        try:
            checked = self._validate(value)
            written = self._dump(checked)
        except (ValidationError, PydanticSerializationError, RecursionError) as error:
            raise self._refusal(error) from error
        self._prove(checked, written)
        return self._ordered(checked, written) if fixed_order else written

    def _dump(self, checked: Any) -> bytes:
        return self._to_json(checked, by_alias=True, round_trip=True, warnings=False)

    def _ordered(self, checked: Any, written: bytes) -> bytes:
        return in_fixed_order(checked, written, keep_keys=self._is_object)

    def read(self, payload: bytes) -> Any:
        """Return the value that JSON holds. Raises pydantic's ValidationError."""
        try:
            return self.validate(payload)
        except ValidationError as error:
            return self.read_again(payload, error)

    def read_again(self, payload: bytes, error: ValidationError) -> Any:
        """Read refused JSON again, without the nulls that Go writes for "not given". Otherwise raises `error`."""
        return read_without_nulls(payload, self.validate, error)

    def check(self, value: Any) -> Any:
        """Return the value as the worker will have it. Raises PayloadError for one that does not fit."""
        try:
            return self._validate(value)
        except ValidationError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> PayloadError:
        if not isinstance(error, ValidationError):
            return PayloadError(f"The {self._noun} of {self._owner} cannot be written as JSON: {_reason(error)}.")
        if self._noun.endswith("s"):
            return PayloadError(f"The {self._noun} do not fit {self._owner}: {reasons(error)}.")
        return PayloadError(f"The {self._noun} does not fit {self._owner}: {reasons(error)}.")

    def _prove(self, checked: Any, written: bytes) -> None:
        """Raise PayloadError unless the JSON reads back to the value that was written."""
        try:
            read = self.validate(written)
            # An Iterable is read lazily, and writing has exhausted the one that was passed. So the JSON is compared.
            again = self._dump(read) if self._is_lazy else written
        except Exception as error:  # a user's validator may raise any error for its own output
            said = reasons(error) if isinstance(error, ValidationError) else _reason(error)
            raise PayloadError(
                f"The {self._noun} of {self._owner} would be refused by the worker: what is written as JSON does not "
                f"read back ({said}). Use types whose JSON can be read by the same types."
            ) from error
        found = difference(checked, read, any_sequence=self._any_sequence)
        if found is not None or again != written:
            raise PayloadError(f"The {self._noun} of {self._owner} would arrive changed: {_cause(found)}")


def is_exact(schema: Mapping[str, Any]) -> bool:
    """Whether every value of this core schema reads back equal from its JSON, except NaN and infinity as floats."""
    kind = schema["type"]
    if kind == "typed-dict":
        return _is_exact_object(schema)
    if not schema.keys() <= _EXACT_TYPES.get(kind, set()):
        return False
    if kind == "list" and "items_schema" not in schema:
        return False
    if kind == "dict" and ("values_schema" not in schema or schema.get("keys_schema", {}).get("type") != "str"):
        return False
    return all(is_exact(inner) for name, inner in schema.items() if name.endswith("schema"))


def _is_exact_object(schema: Mapping[str, Any]) -> bool:
    if schema.get("extra_behavior") != "ignore" or schema.get("computed_fields") or "serialization" in schema:
        return False
    if not schema.get("config", {}).keys() <= _EXACT_CONFIG:
        return False
    return all(
        field.keys() <= _EXACT_FIELD
        and field.get("validation_alias") == field.get("serialization_alias")
        and is_exact(field["schema"])
        for field in schema["fields"].values()
    )


def reasons(error: ValidationError) -> str:
    """Return at most five of a validator's reasons as text."""
    parts = [
        f"{'.'.join(map(str, item['loc'])) or 'it'}: {item['msg']}"
        for item in error.errors(include_url=False, include_context=False, include_input=False)[:5]
    ]
    more = error.error_count() - len(parts)
    return "; ".join(parts) + (f"; and {more} more" if more > 0 else "")


def _parts(schema: Any) -> Iterator[str]:
    """Yield the types of all parts of a core schema, and the names of the functions that write them."""
    if is_mapping(schema):
        for key, value in schema.items():
            if key == "type" and isinstance(value, str):
                yield value
            elif key == "function":
                yield getattr(value, "__name__", "")
            if key != "metadata":
                yield from _parts(value)
    elif is_sequence(schema):
        for each in schema:
            yield from _parts(each)


def _adapter(owner: str, annotation: Any) -> TypeAdapter[Any]:
    if _is_secret(annotation):
        raise OptionError(
            f"{owner} takes or returns a pydantic secret, which is written as asterisks: pass the name under which the "
            "worker finds the secret, or say how to write it with Annotated[SecretStr, PlainSerializer(...)]."
        )
    try:
        return TypeAdapter(annotation)
    except Exception as error:  # also an error raised by the type's own code
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise OptionError(
            f"{owner} has a type that JSON cannot carry: {said} "
            "Use what pydantic knows; inject connections and the like with Annotated[..., Depends(...)]."
        ) from error


def _is_secret(annotation: Any) -> bool:
    if annotation in (SecretStr, SecretBytes) or get_origin(annotation) is Secret:
        return True
    if get_origin(annotation) is Annotated and any(isinstance(mark, _SERIALIZERS) for mark in get_args(annotation)):
        return False
    return any(_is_secret(part) for part in get_args(annotation))


def _cause(found: Difference | None) -> str:
    if found is None:
        return "an iterable is written otherwise when it is read again. Annotate it as a list."
    path = f"{found.path}: " if found.path else ""
    sent, read = type(found.sent).__name__, type(found.read).__name__
    if isinstance(found.sent, _SECRETS):
        return f"{path}a {sent} is written as asterisks. Pass the name under which the worker finds the secret."
    if isinstance(found.sent, float) and not math.isfinite(found.sent):
        return f"{path}JSON has no {found.sent}. Use None, or a text."
    if (said := _lost_key(found)) is not None:
        return f"{path}{said}"
    if sent != read:
        return f"{path}{sent} is read back as {read}. Annotate it with the type that it has."
    return (
        f"{path}the {sent} that is read back is not equal to it. Look for fields that are not written (exclude=True, "
        "private attributes) and for validators and serializers that do not undo each other."
    )


def _lost_key(found: Difference) -> str | None:
    """Name the first key of a dict that is not a string and is missing in the dict that was read back."""
    if not (is_mapping(found.sent) and is_mapping(found.read)):
        return None
    for key in found.sent:
        if not isinstance(key, str) and key not in found.read:
            kind = type(key).__name__
            keyed = "" if key is None else f", or annotate the keys: dict[{kind}, ...]"
            return f"the key {key!r} is read back as a text, because all keys of JSON are texts. Use texts{keyed}."
    return None


def _reason(error: Exception) -> str:
    if isinstance(error, PydanticSerializationError):
        return str(error).removeprefix("Error serializing to JSON: ")
    return f"{type(error).__name__}: {error}"
