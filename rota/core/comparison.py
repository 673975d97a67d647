"""Checks whether a value that was read from JSON equals the value that was written, and finds the first difference.

`==` decides. Three cases in which `==` says "different" count as equal, because nothing is lost:

1. Two datetimes at the same instant. For Python a time in the repeated hour at the end of summer time never equals the
   same instant in another zone.
2. Two NaN, if the type writes NaN in a form that it can read.
3. Two objects of one class that does not define `==`, if their attributes are equal.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import BaseModel

from rota.core.canonical import is_mapping, is_sequence


class Difference(NamedTuple):
    """The first place where two values differ; `path` is empty for the values themselves."""

    path: str
    sent: Any
    read: Any


def difference(sent: Any, read: Any, *, any_sequence: bool = False, path: str = "") -> Difference | None:
    """Return the first place where `read` differs from `sent`, or None if they are equal.

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
