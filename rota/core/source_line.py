"""Finds the line of the user's code to name in an error text: `shop/tasks.py:12`.

The text of an option's error contains the line that has to be changed, because a log or the command line may show only
the text and not the traceback.
"""

import functools
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from types import FrameType
from typing import ParamSpec

from rota.errors import ConfigError

P = ParamSpec("P")

_OURS = __name__.partition(".")[0]
_PASSED = (_OURS, "contextlib", "functools")


def caller() -> str:
    """Return the file and line of the innermost frame on the stack that is not code of Rota."""
    frame = _users_frame()
    path = Path(frame.f_code.co_filename)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{shown}:{frame.f_lineno}"


def calling_module() -> str:
    """Return the name of the module whose code `caller` names."""
    return str(_users_frame().f_globals.get("__name__", ""))


def _users_frame() -> FrameType:
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame.f_globals.get("__name__", "").partition(".")[0] in _PASSED and frame.f_back is not None:
        frame = frame.f_back
    return frame


@contextmanager
def named(what: str, source_line: str) -> Generator[None]:
    """Add to a ConfigError raised in this block what was being set up, and where."""
    try:
        yield
    except ConfigError as error:
        text = str(error) if error.place else f"{error} ({source_line})"
        # Not chained, because the new error has the whole text and the original traceback shows only code of Rota.
        raise _with_source_line(error, text if what in text else f"{what}: {text}", source_line) from None


def names_source_line(function: Callable[P, None]) -> Callable[P, None]:
    """Decorate a constructor so that its ConfigErrors name the line that called it."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except ConfigError as error:
            source_line = caller()
            raise (
                error if error.place else _with_source_line(error, f"{error} ({source_line})", source_line)
            ) from error.__cause__

    return call


def _with_source_line(error: ConfigError, text: str, source_line: str) -> ConfigError:
    made = copy(error)  # keeps further attributes, such as the problems of a ScheduleInvalid
    made.args = (text,)
    made.place = error.place or source_line
    return made
