"""Helpers for composing messages: plurals, a single full stop, suggestions for misspelt words, one line, JSON."""

import math
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, cast


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: `1 task`, `1,200 tasks`, `0 queues`."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def unstopped(text: object) -> str:
    """Return a text, or the text of an error, without its final full stop, for use inside a sentence."""
    return str(text).rstrip().removesuffix(".")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a sentence that suggests the most similar known word, or lists all known words if none is similar."""
    choices = sorted(known)
    near = nearest(word, choices)
    if near is not None:
        return f"Did you mean {near!r}?"
    return f"Known: {', '.join(choices)}." if choices else "None is known."


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most similar to this one; None if no word is similar enough."""
    return next(iter(get_close_matches(word, sorted(known), n=1, cutoff=0.6)), None)


def printable(text: str) -> str:
    """Return a text in which each character that is not printable is escaped (`\\n`, `\\x1b`).

    Any program can choose the names of types, queues, groups and tasks, and error texts. A line feed in one of them
    could forge a line of the log, and a terminal would execute an escape sequence.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def plain(value: Any) -> object:
    """Return a value that JSON can express. Never raises, because the text of an object is code of the user."""
    if value is None or isinstance(value, bool | int | str):
        return value
    kind: str = type(value).__name__
    try:
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if isinstance(value, Mapping):
            items = cast("Mapping[Any, Any]", cast("object", value))
            return {str(key): plain(each) for key, each in items.items()}
        if isinstance(value, list | tuple):
            return [plain(each) for each in cast("list[Any]", value)]
        if isinstance(value, BaseException):
            return f"{kind}: {value}"
        return str(cast("object", value))
    except Exception:
        return f"<{kind} without a text>"
