"""Cursors of lists: the position of the last item in the order of the list, as an opaque text.

The next part of a list begins after that position, so it is the same whether rows were added or removed in between, and
costs the same for every part.
"""

import base64
import json
from datetime import datetime
from typing import Any

from rota.errors import ConfigError

MOST_ITEMS = 500


def write_cursor(*position: str | int | datetime) -> str:
    """Return the cursor of a position."""
    plain = [each.isoformat() if isinstance(each, datetime) else each for each in position]
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


def read_cursor(cursor: str, *kinds: type) -> tuple[Any, ...]:
    """Return the position of a cursor. Raises ConfigError if it is not a cursor of this list."""
    try:
        position = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(position, list) or len(position) != len(kinds):  # pyright: ignore[reportUnknownArgumentType]
            raise ValueError
        return tuple(_read(each, kind) for each, kind in zip(position, kinds, strict=True))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    except ValueError:
        raise ConfigError(f"The cursor {cursor!r} is not one of this list. Start again without a cursor.") from None


def checked_limit(limit: int) -> int:
    """Return the limit of a list. Raises ConfigError if it is out of range."""
    if not 1 <= limit <= MOST_ITEMS:
        raise ConfigError(f"limit is {limit}, but must be a number from 1 to {MOST_ITEMS}.")
    return limit


def _read(value: Any, kind: type) -> Any:
    if kind is datetime:
        value = datetime.fromisoformat(value) if isinstance(value, str) else None
    if not isinstance(value, kind):
        raise ValueError("the cursor has a part of another kind")
    return value
