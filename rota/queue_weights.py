"""Queues with their weights, as people write them."""

from collections.abc import Iterable
from typing import cast


def read_queues(value: object) -> object:
    """Read queues with their weights from a mapping, a list of names, or text like `"critical=6,default=3"`."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list | tuple | set | frozenset):
        return dict(_queue(str(item)) for item in cast("Iterable[object]", value))
    return value


def _queue(text: str) -> tuple[str, str | int]:
    name, equals, weight = text.partition("=")
    return name.strip(), weight.strip() if equals else 1


def check_queues(value: dict[str, int]) -> dict[str, int]:
    """Refuse an empty mapping and blank names."""
    if not value:
        raise ValueError("name at least one queue")
    if any(not name.strip() for name in value):
        raise ValueError("a queue name cannot be blank")
    return value
