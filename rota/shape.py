"""What kind of container a value is. `isinstance` alone leaves the types of the items unknown to type checkers."""

from collections.abc import Collection, Mapping, Sequence, Set
from typing import Any, TypeGuard

_TEXTS = (str, bytes, bytearray)


def is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    """Whether it is a dict or the like."""
    return isinstance(value, Mapping)


def is_sequence(value: object) -> TypeGuard[Sequence[Any]]:
    """Whether it is a list, tuple or the like; a text is not."""
    return isinstance(value, Sequence) and not isinstance(value, _TEXTS)


def is_array(value: object) -> TypeGuard[Collection[Any]]:
    """Whether JSON writes it as an array: a sequence or a set."""
    return is_sequence(value) or isinstance(value, Set)


def is_count(value: object) -> TypeGuard[int]:
    """Whether it is a whole number from 1 on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
