"""Null as Go writes it: a nil slice, map or pointer in a struct becomes null, where Python leaves the field out.

A null that its type refuses is taken as "not given" if the parameter or field has a default. This happens only after a
payload was refused, so a payload that fits costs nothing:

1. Every null that was refused is left out of the object that holds it.
2. In its place stands a key that no field has. A model ignores or forbids such a key. A dict whose keys are data
   refuses its null like the first one: there a value would be lost, so the payload stays refused.
3. What is left is validated. A field without a default is now missing, so the payload stays refused.
"""

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from rota.shape import is_mapping, is_sequence

_NO_FIELD = "\0not a field"
_NO_REFUSAL = ("missing", "extra_forbidden")
_MOST_ROUNDS = 10

Holder = dict[str, Any]


def read_without_nulls(payload: bytes, validate: Callable[[bytes], Any], error: ValidationError) -> Any:
    """Validate a payload that was refused with `error`, without the nulls that were refused. Else raises `error`."""
    if not _refused_nulls(error):
        raise error
    tree, last = from_json(payload), error
    for _ in range(_MOST_ROUNDS):
        holders = [holder for loc in _refused_nulls(last) if (holder := _leave_out(tree, loc)) is not None]
        if not holders or _is_data(tree, holders, validate):
            break
        try:
            return validate(_written(tree))
        except ValidationError as next_error:  # perhaps of a null that only shows now
            last = next_error
    raise error


def _refused_nulls(error: ValidationError) -> list[tuple[int | str, ...]]:
    items = error.errors(include_url=False, include_context=False)
    return [item["loc"] for item in items if item["input"] is None and item["type"] not in _NO_REFUSAL]


def _leave_out(tree: Any, loc: tuple[int | str, ...]) -> Holder | None:
    """Leave out the null at a place and return the object that held it; None if there is no such null."""
    found, holder, name = tree, None, ""
    for step in loc:
        # A step that leads nowhere names a member of a union.
        if is_mapping(found) and step in found:
            holder, name, found = found, str(step), found[step]
        elif is_sequence(found) and isinstance(step, int) and step < len(found):
            holder, found = None, found[step]
    if not isinstance(holder, dict) or found is not None:
        return None
    del holder[name]
    return holder


def _is_data(tree: Any, holders: list[Holder], validate: Callable[[bytes], Any]) -> bool:
    """Whether one of the objects is a dict whose keys are data, and not fields."""
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
