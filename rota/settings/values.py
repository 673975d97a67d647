"""Reads and writes settings values in the form that users write: queues with their weights, and process numbers.

With a range like `1..8`, the number of worker processes follows the load.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

from rota.wire.names import is_utf8

_JSON = re.compile(r'\s*[\[{]\s*["\]}]')
_FORM = 'Write critical=6,default=3, or JSON for a name that holds a comma or an equals sign: {"a,b": 6}'


def read_queues(value: object) -> object:
    """Read queues with their weights from a mapping, a list of names, text like `"critical=6,default=3"`, or JSON.

    Raises ValueError with the part that is wrong.
    """
    if isinstance(value, str):
        text = as_utf8(value)
        value = _json(text) if _JSON.match(text) else [part for part in text.split(",") if part.strip()]
    if isinstance(value, Mapping):
        items: Iterable[tuple[str, object]] = cast("Mapping[str, object]", value).items()
    elif isinstance(value, list | tuple | set | frozenset):
        items = [_queue(str(item)) for item in cast("Iterable[object]", value)]
    else:
        return value
    queues: dict[str, int] = {}
    for name, weight in items:
        if name in queues:
            raise ValueError(f"the queue {name!r} is named twice")
        queues[name] = _weight(name, weight)
    return queues


def check_queues(value: dict[str, int]) -> dict[str, int]:
    """Refuse an empty mapping and invalid queue names."""
    if not value:
        raise ValueError("name at least one queue")
    for name in value:
        check_queue(name, ValueError)
    return value


def check_queue(name: str, error: type[Exception]) -> None:
    """Raise `error` for an invalid queue name."""
    if not name.strip():
        raise error("The name of a queue cannot be blank. Give it a name such as 'default'.")
    if name.startswith("}"):
        raise error(f"Queue {name!r} must not start with '}}': its keys would spread over a Cluster.")
    if not is_utf8(name):
        raise error(f"Queue {name!r} is not UTF-8, so no program could read its tasks. Give it another name.")


def write_queues(queues: Mapping[str, int]) -> str:
    """Write queues with their weights so that `read_queues` reads them back."""
    text = ",".join(f"{name}={weight}" for name, weight in queues.items())
    plain = all(name == name.strip() and not set(name) & set(",=") for name in queues)
    return text if plain and not _JSON.match(text) else json.dumps(dict(queues), ensure_ascii=False)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{text!r} begins like JSON, but is not valid: {error}") from None


def _queue(text: str) -> tuple[str, object]:
    name, equals, weight = text.partition("=")
    if not name.strip():
        raise ValueError(f"the part {text.strip()!r} names no queue. {_FORM}")
    if equals and not weight.strip().isdecimal():
        raise ValueError(f"the part {text.strip()!r} has no whole number after the equals sign. {_FORM}")
    return name.strip(), weight.strip() if equals else 1


def _weight(name: str, weight: object) -> int:
    number = int(weight) if isinstance(weight, str) and weight.isdecimal() else weight
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ValueError(f"the weight of queue {name!r} is {weight!r}, but must be a whole number of at least 1")
    return number


class ProcessRange(NamedTuple):
    """The least and the greatest number of worker processes."""

    least: int
    most: int

    @property
    def fixed(self) -> bool:
        """Whether the number of processes is fixed."""
        return self.least == self.most

    def __str__(self) -> str:
        return str(self.least) if self.fixed else f"{self.least}..{self.most}"


def read_processes(value: object) -> object:
    """Read `4`, `"4"` or `"1..8"`."""
    if isinstance(value, bool):
        raise ValueError("say how many, as 4 or 1..8")
    if isinstance(value, int):
        value = str(value)
    if isinstance(value, str):
        least, dots, most = value.partition("..")
        if not least.strip().isdecimal() or (dots and not most.strip().isdecimal()):
            raise ValueError(f"{value!r} is neither a number like 4 nor a range like 1..8")
        return ProcessRange(int(least), int(most if dots else least))
    return value


def check_processes(value: ProcessRange) -> ProcessRange:
    """Refuse a range that is empty or starts below 1."""
    if not 1 <= value.least <= value.most:
        raise ValueError(f"{value} is no range: it goes from at least 1 upwards, as in 1..8")
    return value


def as_utf8(text: str) -> str:
    """Decode text as UTF-8 if the locale's encoding (ASCII, as in `LC_ALL=C`) left bytes in it undecoded."""
    if text.isascii():
        return text
    try:
        return os.fsencode(text).decode() if any("\udc80" <= char <= "\udcff" for char in text) else text
    except UnicodeError:
        return text


def check_zone(name: str) -> str:
    """Refuse a time zone that does not exist."""
    if name != "UTC":
        from rota.schedule.spec import read_zone  # imported late: most programs keep the default

        read_zone(name)
    return name
