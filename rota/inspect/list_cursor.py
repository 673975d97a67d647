"""The cursor of a list of tasks as text, which a program keeps between two pages: the state and the end of the page."""

import base64
import binascii
import json
import math
from typing import Any

from rota.errors import OptionError
from rota.wire.look_task import Mark


def write_cursor(state: str, mark: Mark) -> str:
    """Return the cursor after the end of a page."""
    words = json.dumps([state, mark.at, *mark.ids], separators=(",", ":"))
    return base64.urlsafe_b64encode(words.encode()).decode().rstrip("=")


def read_cursor(state: str, cursor: str) -> Mark:
    """Return the end of the page before. Raises OptionError if the text is not a cursor of a list in this state."""
    match _words(cursor):
        case [str() as named, str() as at, str() as last, *others] if all(isinstance(each, str) for each in others):
            if named != state:
                raise OptionError(f"The cursor belongs to a list of {named} tasks, so it cannot continue {state} ones.")
            _check_number(at)
            return Mark(at, (last, *others[:2]))
        case _:
            raise _no_cursor()


def _words(cursor: str) -> Any:
    try:
        return json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars="-_", validate=True))
    except (binascii.Error, ValueError):
        raise _no_cursor() from None


def _check_number(at: str) -> None:
    # A score or a position. The server would refuse another text with an error of the script.
    try:
        number = float(at)
    except ValueError:
        raise _no_cursor() from None
    if math.isnan(number):
        raise _no_cursor()


def _no_cursor() -> OptionError:
    return OptionError(
        "This is not a cursor: give `next` of the page before as it is, or no cursor for the first page."
    )
