"""The language in which tasks are searched, as values. docs/search.md describes it for users.

A query is some terms, and a task matches if it matches all of them. A term is a word, or a field with its values:

    state:retry,archived error:"connection refused" payload.user_id:42 -type:email:*

1. A comma separates values, of which one must match. A leading `-` negates a term.
2. `*` stands for any characters. Between double quotes each character stands for itself, except for `\\"` and `\\\\`.
3. Blanks separate terms.

`render` writes a query as text, and `rota.inspect.query_parser` reads it: `parse(render(query))` is the same query.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

from rota.core.duration import display
from rota.tasks.job import TaskState


class Field(StrEnum):
    """The part of a task that a term compares. `WORD` is a term without a field."""

    WORD = "word"
    TYPE = "type"
    STATE = "state"
    QUEUE = "queue"
    GROUP = "group"
    ERROR = "error"
    ID = "id"
    WORKER = "worker"
    PAYLOAD = "payload"
    RESULT = "result"
    BEFORE = "before"
    AFTER = "after"


NAMES = tuple(field for field in Field if field is not Field.WORD)
TEXT_FIELDS = tuple(field for field in Field if field not in (Field.STATE, Field.BEFORE, Field.AFTER))
WITH_PATH = (Field.PAYLOAD, Field.RESULT)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text with wildcards: the texts between the stars. `("email:", "")` is `email:*`, `("email",)` has no star."""

    parts: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.parts or not all(self.parts[1:-1]):
            raise ValueError(f"{self.parts!r} are not the texts of a pattern: two stars in a row are one.")

    @property
    def is_exact(self) -> bool:
        """Whether it has no star."""
        return len(self.parts) == 1


@dataclass(frozen=True, slots=True)
class TextTerm:
    """A word, or a field that is compared with patterns. `path` are the keys into JSON of `payload` and `result`."""

    field: Field
    values: tuple[Pattern, ...]
    path: tuple[str, ...] = ()
    is_negated: bool = False


@dataclass(frozen=True, slots=True)
class StateTerm:
    """Some states, of which the task has one."""

    states: tuple[TaskState, ...]
    is_negated: bool = False


@dataclass(frozen=True, slots=True)
class TimeTerm:
    """`before:` or `after:` a moment: an aware time, or a duration from the start of the search (negative: ago)."""

    field: Field
    moment: datetime | timedelta
    is_negated: bool = False

    def at(self, now: datetime) -> datetime:
        """Return the moment of a search that starts `now`. A moment outside of Python's calendar becomes its edge."""
        if isinstance(self.moment, datetime):
            return self.moment
        try:
            return now + self.moment
        except OverflowError:
            return (datetime.max if self.moment > timedelta(0) else datetime.min).replace(tzinfo=UTC)


Term: TypeAlias = TextTerm | StateTerm | TimeTerm


@dataclass(frozen=True, slots=True)
class Query:
    """A query: a task matches if it matches all terms. A query without terms matches all tasks."""

    terms: tuple[Term, ...] = ()

    @property
    def exact_ids(self) -> tuple[str, ...]:
        """The IDs that a term names without a star, so that no other task can match. Empty without such a term."""
        for term in self.terms:
            if not isinstance(term, TextTerm) or term.field is not Field.ID or term.is_negated:
                continue
            if all(value.is_exact for value in term.values):
                return tuple(dict.fromkeys(value.parts[0] for value in term.values))
        return ()


def render(query: Query) -> str:
    """Write a query in the form that `parse` reads."""
    return " ".join(("-" if term.is_negated else "") + _written(term) for term in query.terms)


def _written(term: Term) -> str:
    match term:
        case StateTerm(states):
            return f"state:{','.join(states)}"
        case TimeTerm(field, moment):
            return f"{field}:{_moment(moment)}"
        case TextTerm(field, values, path):
            if field is Field.WORD:
                return ",".join(_pattern(value, _PLAIN_WORD) for value in values)
            keys = "".join(f".{key if _PLAIN_KEY.fullmatch(key) else _quote(key)}" for key in path)
            return f"{field}{keys}:{','.join(_pattern(value, _PLAIN_VALUE) for value in values)}"


def _moment(moment: datetime | timedelta) -> str:
    if isinstance(moment, datetime):
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return f"{'+' if moment > timedelta(0) else ''}{display(abs(moment))}"


_PLAIN_WORD = re.compile(r'(?!-|(?:AND|OR|NOT)$)[^\s",*:=<>~!]+')
_PLAIN_VALUE = re.compile(r'[^\s",*]+')
_PLAIN_KEY = re.compile(r'[^\s",*:."]+')


def _pattern(pattern: Pattern, plain: re.Pattern[str]) -> str:
    return "*".join(_part(part, plain, pattern.parts) for part in pattern.parts)


def _part(part: str, plain: re.Pattern[str], parts: Sequence[str]) -> str:
    if not part:
        return "" if len(parts) > 1 else '""'
    return part if plain.fullmatch(part) else _quote(part)


def _quote(text: str) -> str:
    escaped = re.sub(r'(["\\])', r"\\\1", text)
    return f'"{escaped}"'
