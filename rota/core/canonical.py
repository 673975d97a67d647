"""Serializes values in a fixed order, so that equal arguments make equal keys in every process, and compares values.

Python keeps a dict in insertion order, and a set in an order that differs between processes. A unique lock is derived
from the serialized payload, and a key like `"user-{user_id}"` from the text of an argument: both must be the same
wherever the task is enqueued. The functions `is_...` exist for the type checker, because `isinstance` alone leaves the
types of the items unknown.

`difference` checks whether a value that was read from JSON equals the value that was written. `==` decides. Three cases
in which `==` says "different" count as equal, because nothing is lost:

1. Two datetimes at the same instant. For Python a time in the repeated hour at the end of summer time never equals the
   same instant in another zone.
2. Two NaN, if the type writes NaN in a form that it can read.
3. Two objects of one class that does not define `==`, if their attributes are equal.
"""

import math
import string
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard, cast

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, from_json, to_json

from rota.errors import OptionError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


_TEXTS = (str, bytes, bytearray)


def is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    """Whether a value is a dict or another mapping."""
    return isinstance(value, Mapping)


def is_sequence(value: object) -> TypeGuard[Sequence[Any]]:
    """Whether a value is a list, a tuple or another sequence, but not a string or bytes."""
    return isinstance(value, Sequence) and not isinstance(value, _TEXTS)


def is_array(value: object) -> TypeGuard[Collection[Any]]:
    """Whether a value is an array in JSON: a sequence or a set."""
    return is_sequence(value) or isinstance(value, Set)


def is_count(value: object) -> TypeGuard[int]:
    """Whether a value is a whole number of at least 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


_PLAIN = (str, int, float, type(None))


def in_fixed_order(value: Any, written: bytes, *, keep_keys: bool = False) -> bytes:
    """Return the JSON `written` of a value with the keys of dicts (as in Go) and the members of sets sorted.

    The fields of models and dataclasses keep their order, as those of a Go struct do, and so does an OrderedDict.
    `keep_keys` keeps the order of the outermost object too.
    """
    tree = from_json(written)
    if keep_keys and is_mapping(value) and is_mapping(tree):
        # For the arguments of a call or a TypedDict, whose order is given by their type.
        return _dump(_arranged(OrderedDict[Any, Any](value), tree))
    return _dump(_arranged(value, tree))


def text_of(value: object) -> str:
    """Return the text of an argument for use in a key: `str` of strings, numbers and None, JSON of other values.

    Raises OptionError for an object that is not serializable and does not define its own `__str__`.
    """
    if type(value) in _PLAIN or isinstance(value, bool):
        return str(value)
    try:
        written = to_json(value, by_alias=True, round_trip=True)
    except PydanticSerializationError:
        return _own_text(value)
    plain = _arranged(value, from_json(written))
    return str(plain) if isinstance(plain, _PLAIN) else _dump(plain).decode()


class KeyFormatter(string.Formatter):
    """Fills the fields of a key. A field without a format specification is written by `text_of`."""

    def format_field(self, value: Any, format_spec: str) -> str:
        """Return the text of one field."""
        return format(value, format_spec) if format_spec else text_of(value)

    def convert_field(self, value: Any, conversion: str | None) -> Any:
        """Convert a field with `!r`, `!s` or `!a` after `text_of`, which makes the order the same in every process."""
        return value if conversion is None else super().convert_field(text_of(value), cast("Any", conversion))


def _arranged(value: Any, tree: Any) -> Any:
    """Sort those parts of a JSON tree whose original values (dicts and sets) have no fixed order."""
    if isinstance(value, BaseModel) and type(value).__pydantic_root_model__:
        return _arranged(cast("Any", value).root, tree)
    if isinstance(tree, str):
        return _arranged_text(value, tree)
    if is_mapping(tree):
        return _arranged_object(value, tree)
    # A custom serializer may write another number of items. Then their order is left unchanged.
    if not is_sequence(tree) or not is_array(value) or len(value) != len(tree):
        return tree
    arranged = [_arranged(one, each) for one, each in zip(value, tree, strict=True)]
    return sorted(arranged, key=_dump) if isinstance(value, Set) else arranged


def _arranged_text(value: Any, text: str) -> str:
    """Sort the JSON inside a string, for a container that was serialized into a string by pydantic's `Json`."""
    if not is_mapping(value) and not is_array(value) and not isinstance(value, BaseModel):
        return text
    try:
        tree = from_json(text)
    except ValueError:  # a custom serializer wrote a string that is not JSON
        return text
    return _dump(_arranged(value, tree)).decode()


def _arranged_object(value: Any, tree: Mapping[str, Any]) -> Mapping[str, Any]:
    if is_mapping(value):
        if len(value) != len(tree):
            return tree
        arranged = {key: _arranged(one, each) for one, (key, each) in zip(value.values(), tree.items(), strict=True)}
        return arranged if isinstance(value, OrderedDict) else dict(sorted(arranged.items()))
    inner = {key: _arranged(one, tree[key]) for key, one in _fields(value).items() if key in tree}
    return {**tree, **inner}


def _fields(value: object) -> dict[str, Any]:
    """Return the fields of a model or dataclass, keyed by their names in JSON."""
    known: Mapping[str, FieldInfo] | None = getattr(type(value), "__pydantic_fields__", None)
    if known is not None:
        named = {field.serialization_alias or name: getattr(value, name, None) for name, field in known.items()}
        return {**named, **(getattr(value, "__pydantic_extra__", None) or {})}
    if is_dataclass(value):
        return {field.name: getattr(value, field.name, None) for field in fields(value)}
    return {}


def _dump(tree: Any) -> bytes:
    return to_json(tree, inf_nan_mode="constants")


def _own_text(value: object) -> str:
    cls = type(value)
    if cls.__str__ is object.__str__ and cls.__repr__ is object.__repr__ and cls.__format__ is object.__format__:
        raise OptionError(
            f"An object of the type {cls.__name__} has no text of its own, so no key can hold it: name a field."
        )
    return format(value)


class Difference(NamedTuple):
    """The first path at which two values differ; `path` is empty for the values themselves."""

    path: str
    sent: Any
    read: Any


def difference(sent: Any, read: Any, *, any_sequence: bool = False, path: str = "") -> Difference | None:
    """Return the first difference of `read` from `sent`, or None if they are equal.

    With `any_sequence` a list equals a tuple with the same items, because the abstract type `Sequence` does not say
    which of them is read.
    """
    if _equal(sent, read):
        return None
    pairs = _parts(sent, read, any_sequence)
    if pairs is None:
        return Difference(path, sent, read)
    for step, one, other in pairs:
        found = difference(one, other, any_sequence=any_sequence, path=f"{path}.{step}" if path else step)
        if found is not None:
            return found
    return None


def _equal(sent: Any, read: Any) -> bool:
    try:
        if sent is read or bool(sent == read):
            return True
    except Exception:  # `==` raised, or returned an array of results (as in numpy)
        return False
    if isinstance(sent, datetime) and isinstance(read, datetime):
        return _same_instant(sent, read)
    return isinstance(sent, float) and isinstance(read, float) and math.isnan(sent) and math.isnan(read)


def _same_instant(sent: datetime, read: datetime) -> bool:
    one, other = sent.utcoffset(), read.utcoffset()
    if one is None or other is None:
        return False
    try:
        return sent.replace(tzinfo=None) - one == read.replace(tzinfo=None) - other
    except OverflowError:
        return False


def _parts(sent: Any, read: Any, any_sequence: bool) -> Iterator[tuple[str, Any, Any]] | None:
    """Return the pairs of parts to compare; None if the values cannot be compared part by part."""
    if any_sequence and is_sequence(sent) and is_sequence(read):
        return _items(sent, read)
    if type(sent) is not type(read):
        return None
    if isinstance(sent, BaseModel):
        return _entries(_model_state(sent), _model_state(read))
    if is_mapping(sent):
        return _entries(sent, read)
    if is_sequence(sent):
        return _items(sent, read)
    return _entries(_attributes(sent), _attributes(read)) if _is_record(sent) else None


def _is_record(value: Any) -> bool:
    """Whether values of this type are compared by attributes: a dataclass, or a class that does not define `==`."""
    equality: Any = type(value).__eq__
    return equality is object.__eq__ or is_dataclass(value)


def _items(sent: Sequence[Any], read: Sequence[Any]) -> Iterator[tuple[str, Any, Any]] | None:
    if len(sent) != len(read):
        return None
    return ((str(index), one, other) for index, (one, other) in enumerate(zip(sent, read, strict=True)))


def _entries(sent: Mapping[Any, Any], read: Mapping[Any, Any]) -> Iterator[tuple[str, Any, Any]] | None:
    if sent.keys() != read.keys():
        return None
    return ((str(key), value, read[key]) for key, value in sent.items())


def _model_state(model: BaseModel) -> dict[str, Any]:
    return {
        **{name: getattr(model, name, None) for name in type(model).model_fields},
        **(model.__pydantic_extra__ or {}),
        **(model.__pydantic_private__ or {}),
    }


def _attributes(value: Any) -> dict[str, Any]:
    slots = [name for cls in type(value).__mro__ for name in _slots(cls) if hasattr(value, name)]
    return {**getattr(value, "__dict__", {}), **{name: getattr(value, name) for name in slots}}


def _slots(cls: type) -> Sequence[str]:
    slots: str | Sequence[str] = cls.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)
