"""Which error is judged where the worker has got another one than the handler raised, or one that cannot be read."""

from typing import Any

_REPLACED_TEXT = "coroutine raised StopIteration"
# Taken from the built-in classes, because the error's own class may have other ones that raise.
_NAME: Any = type.__dict__["__name__"]
_TRACEBACK: Any = BaseException.__dict__["__traceback__"]


def raised_by_handler(error: BaseException) -> BaseException:
    """Return the StopIteration that Python has replaced by a RuntimeError, because no coroutine may raise one."""
    if type(error) is RuntimeError and error.args == (_REPLACED_TEXT,) and isinstance(error.__cause__, StopIteration):
        return error.__cause__
    return error


def unreadable(error: BaseException, fault: BaseException) -> RuntimeError:
    """Make the error that is judged in place of one whose class raises `fault` when it is looked at."""
    made = RuntimeError(
        f"an error of the class {_NAME.__get__(type(error))}, which cannot be read: its own code raises "
        f"{_NAME.__get__(type(fault))}"
    )
    return made.with_traceback(_TRACEBACK.__get__(error))
