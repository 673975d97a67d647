"""The errors of handlers: which error to judge, and its text as it is stored and shown.

Python may replace the error of a handler (`raised_by_handler`). An error may be unreadable because its own code raises
(`unreadable`). In these cases another error is judged instead.
"""

from itertools import islice
from typing import Any

from rota.errors import leaves
from rota.wire.names import MAX_ERROR_BYTES

MOST_ERRORS = 5
"""The text of an exception group names at most this many of its errors."""


def describe(error: BaseException) -> str:
    """Return the text of an error as it is stored and shown. For an exception group it includes the inner errors."""
    text = _one(error)
    inside = list(islice(leaves(error), MOST_ERRORS + 1))
    if len(inside) != 1 or inside[0] is not error:
        more = "; ..." if len(inside) > MOST_ERRORS else ""
        text += f": {'; '.join(map(_one, inside[:MOST_ERRORS]))}{more}"
    return text


def _one(error: BaseException) -> str:
    said = message_of(error)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def message_of(error: BaseException) -> str:
    """Return what an error says, without the name of its class."""
    try:
        # Converted to a plain str, because a subclass may override any method. Cut, because a text of hundreds of
        # megabytes would be copied for each line that shows it. One character more than is stored is kept, so that a
        # later step can see that the text was cut.
        return str.__str__(str(error))[: MAX_ERROR_BYTES + 1]
    except BaseException:
        return "its text cannot be read"


_REPLACED_TEXT = "coroutine raised StopIteration"
# These descriptors are taken from the built-in classes, because the error's own class may override them and raise.
_NAME: Any = type.__dict__["__name__"]
_TRACEBACK: Any = BaseException.__dict__["__traceback__"]


def raised_by_handler(error: BaseException) -> BaseException:
    """Return the error that the handler raised: Python replaces a StopIteration of a coroutine by a RuntimeError."""
    if type(error) is RuntimeError and error.args == (_REPLACED_TEXT,) and isinstance(error.__cause__, StopIteration):
        return error.__cause__
    return error


def unreadable(error: BaseException, fault: BaseException) -> RuntimeError:
    """Return the error to judge instead of one whose own code raised `fault` when it was read."""
    made = RuntimeError(
        f"an error of the class {_NAME.__get__(type(error))}, which cannot be read: its own code raises "
        f"{_NAME.__get__(type(fault))}"
    )
    return made.with_traceback(_TRACEBACK.__get__(error))
