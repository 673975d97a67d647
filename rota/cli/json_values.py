"""The form of a value in `--json`, which is the same for all commands."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, cast

from pydantic_core import to_jsonable_python


def plain_json(value: Any) -> Any:
    """Return a value as JSON has it: durations in seconds, times in ISO 8601, objects for dataclasses and named tuples.

    Bytes are text; bytes that are not UTF-8 are an object with the key `base64`. A dataclass names in `json_properties`
    which of its properties are shown too.
    """
    names: Iterable[str] = getattr(value, "_fields", ())  # of a named tuple
    if names:
        return {name: plain_json(getattr(value, name)) for name in names}
    if is_dataclass(value) and not isinstance(value, type):
        shown = [*(each.name for each in fields(value)), *getattr(type(value), "json_properties", ())]
        return {name: plain_json(getattr(value, name)) for name in shown}
    if isinstance(value, Mapping):
        return {_key(key): plain_json(value[key]) for key in cast("Iterable[Any]", value)}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain_json(each) for each in cast("Iterable[Any]", value)]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    return to_jsonable_python(value, timedelta_mode="float")


def _key(key: Any) -> Any:
    return key if isinstance(key, str) else to_jsonable_python(key)
