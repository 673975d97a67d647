"""Decides which tasks a query matches. docs/search.md describes the rules for each field.

A search looks at many tasks for each one that matches, so a task is compared in two steps:

1. `may_match` looks for some bytes of the query in the stored message as it is. It never refuses a task that matches.
2. `matches` decodes the message, and the payload or the result if the query names keys in them.

The state and the queue are not compared here, because the search reads only the lists of matching states and queues.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, cast

from rota.inspect.candidate import NOT_JSON, Candidate, beginnings
from rota.inspect.query import Field, Pattern, Query, StateTerm, TextTerm, TimeTerm
from rota.tasks.job import TaskState
from rota.wire.scan import Bounds

BY_SCORE = (TaskState.SCHEDULED, TaskState.RETRY, TaskState.ARCHIVED)
"""States whose sorted set has the time of a task as its score."""


Check = Callable[[Candidate], bool]


class Matcher:
    """Compares tasks with a query. Durations in `before:` and `after:` count from `now`."""

    def __init__(self, query: Query, now: datetime) -> None:
        self.query = query
        self._now = now
        self._texts = [term for term in query.terms if isinstance(term, TextTerm) and term.field is not Field.QUEUE]
        self._times = [term for term in query.terms if isinstance(term, TimeTerm)]
        self._checks = [*map(self._time_check, self._times), *map(_text_check, self._texts)]
        self._needles = [needles for term in self._texts if not term.is_negated for needles in _needles(term)]
        self.exact_ids = query.exact_ids

    @cached_property
    def states(self) -> frozenset[TaskState]:
        """The states that a matching task can have."""
        terms = [term for term in self.query.terms if isinstance(term, StateTerm)]
        return frozenset(
            state for state in TaskState if all((state in term.states) != term.is_negated for term in terms)
        )

    @cached_property
    def extra_fields(self) -> tuple[str, ...]:
        """The fields of the hash that the query needs beside the message."""
        named = {term.field for term in self._texts}
        found = ("result",) if Field.RESULT in named else ()
        return (*found, "rota_token", "rota_attempts") if Field.WORKER in named else found

    @property
    def needs_servers(self) -> bool:
        """Whether the query asks what only the heartbeats of servers tell about running tasks."""
        by_worker = any(term.field is Field.WORKER for term in self._texts)
        return TaskState.ACTIVE in self.states and (by_worker or bool(self._times))

    def takes_queue(self, name: str) -> bool:
        """Whether tasks of this queue can match."""
        terms = [term for term in self.query.terms if isinstance(term, TextTerm) and term.field is Field.QUEUE]
        return all(_fits_one(term.values, name) != term.is_negated for term in terms)

    def bounds(self, state: TaskState) -> Bounds:
        """The scores that tasks of this state must have to match."""
        lowest, highest = "-inf", "+inf"
        if state in BY_SCORE:
            wanted = [term for term in self._times if not term.is_negated]
            after = [_unix(term.at(self._now)) for term in wanted if term.field is Field.AFTER]
            before = [_unix(term.at(self._now)) for term in wanted if term.field is Field.BEFORE]
            lowest = f"{max(after):.6f}" if after else lowest
            highest = f"({min(before):.6f}" if before else highest
        return Bounds(lowest, highest)

    def may_match(self, message: bytes | None, id: bytes) -> bool:
        """Whether a task can match, judged by the bytes of its message and its ID."""
        if message:
            for needles in self._needles:  # a generator for `all` would take as long as the rest
                if not needles.are_in(message, id):
                    return False
        return True

    def matches(self, task: Candidate) -> bool:
        """Whether a task matches all terms."""
        return all(check(task) for check in self._checks)

    def _time_check(self, term: TimeTerm) -> Check:
        moment, is_before = term.at(self._now), term.field is Field.BEFORE

        def check(task: Candidate) -> bool:
            found = task.at is not None and (task.at < moment if is_before else task.at >= moment)
            return found != term.is_negated

        return check


class Needles:
    """Bytes of which one must be in the message of a task that matches a term.

    `folded` says that the case of ASCII letters does not count, `escapable` that a backslash may stand for anything,
    and `in_id` that the ID of the task may contain them instead.
    """

    def __init__(self, choices: Iterable[bytes], *, folded: bool, escapable: bool = False, in_id: bool = False) -> None:
        self._choices = tuple(sorted({each.lower() if folded else each for each in choices}, key=len))
        self._folded = folded and any(each.lower() != each.upper() for each in self._choices)
        self._escapable = escapable
        self._in_id = in_id

    def are_in(self, message: bytes, id: bytes) -> bool:
        """Whether one of them is in the message."""
        searched = message.lower() if self._folded else message
        for each in self._choices:
            if each in searched:
                return True
        if self._escapable and b"\\" in message:
            return True
        return self._in_id and any(each in id.lower() for each in self._choices)


def _needles(term: TextTerm) -> Iterator[Needles]:
    if term.field is Field.PAYLOAD:
        # A number can be the index of an element, which is not in the text.
        keys = [key for key in term.path if not _is_index(key)]
        yield from (Needles([_raw(key)], folded=False, escapable=True) for key in keys)
    longest = [max(value.parts, key=len) for value in term.values]
    if not all(longest):
        return  # one of the values is `*`, or an empty text
    spellings = [each for part in longest for each in _as_in_json(part)]
    match term.field:
        case Field.TYPE | Field.GROUP:
            yield Needles(map(_raw, longest), folded=False)
        case Field.ERROR:
            yield Needles(map(_raw, longest), folded=True)
        case Field.WORD:
            yield Needles(spellings, folded=True, in_id=True)
        case Field.PAYLOAD if term.path:
            yield Needles(map(_raw, longest), folded=False, escapable=True)
        case Field.PAYLOAD:
            yield Needles(spellings, folded=True)
        case _:
            return


def _text_check(term: TextTerm) -> Check:
    found = _finder(term)
    return (lambda task: not found(task)) if term.is_negated else found


def _finder(term: TextTerm) -> Check:
    values = term.values
    match term.field:
        case Field.ID:
            return lambda task: _fits_one(values, task.id)
        case Field.TYPE:
            return lambda task: _fits_one(values, task.message.type)
        case Field.GROUP:
            return lambda task: _fits_one(values, task.message.group_key)
        case Field.WORKER:
            named = [*values, *beginnings(values)]
            return lambda task: any(_fits_one(named, name) for name in task.workers)
        case Field.PAYLOAD if term.path:
            return lambda task: _fits_value(values, task.payload_value, term.path)
        case Field.RESULT if term.path:
            return lambda task: _fits_value(values, task.result_value, term.path)
        case _:
            return _contains_check(term)


def _contains_check(term: TextTerm) -> Check:
    plain = [[(_raw(part).lower(),) for part in value.parts] for value in term.values]
    in_json = [[tuple(each.lower() for each in _as_in_json(part)) for part in value.parts] for value in term.values]
    match term.field:
        case Field.ERROR:
            return lambda task: _contains_one(plain, _raw(task.message.error_msg))
        case Field.PAYLOAD:
            return lambda task: _contains_one(in_json, task.message.payload)
        case Field.RESULT:
            return lambda task: _contains_one(in_json, task.fields.get("result") or b"")
        case _:
            return lambda task: (
                _contains_one(plain, _raw(task.id))
                or _contains_one(plain, _raw(task.message.type))
                or _contains_one(plain, _raw(task.message.error_msg))
                or _contains_one(in_json, task.message.payload)
            )


def _fits_one(values: Sequence[Pattern], text: str) -> bool:
    """Whether a text that is not empty is one of the values as a whole."""
    return bool(text) and any(_fits(value.parts, text) for value in values)


def _fits(parts: Sequence[str], text: str) -> bool:
    if len(parts) == 1:
        return text == parts[0]
    first, last = parts[0], parts[-1]
    at, end = len(first), len(text) - len(last)
    if end < at or not (text.startswith(first) and text.endswith(last)):
        return False
    for part in parts[1:-1]:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def _contains_one(values: Sequence[Sequence[Sequence[bytes]]], text: bytes) -> bool:
    """Whether a text that is not empty contains one of the values. A value is some parts, a part some spellings."""
    if not text:
        return False
    folded = text.lower()
    return any(_contains(parts, folded) for parts in values)


def _contains(parts: Sequence[Sequence[bytes]], text: bytes) -> bool:
    at = 0
    for spellings in parts:
        ends = [found + len(each) for each in spellings if (found := text.find(each, at)) >= 0]
        if not ends:
            return False
        at = min(ends)
    return True


def _fits_value(values: Sequence[Pattern], value: Any, path: Sequence[str]) -> bool:
    return any(
        _fits(pattern.parts, text) if text is not None else pattern.parts == ("", "")
        for text in _texts_at(value, path)
        for pattern in values
    )


def _texts_at(value: Any, path: Sequence[str]) -> Iterator[str | None]:
    """Yield the texts of the values at a path in JSON; None for an object. A list stands for each of its elements."""
    left: list[tuple[object, int]] = [(value, 0)]
    while left:
        each, depth = left.pop()
        key = path[depth] if depth < len(path) else None
        if isinstance(each, list):
            elements = cast("list[object]", each)
            if key is not None and _is_index(key) and int(key) < len(elements):
                left.append((elements[int(key)], depth + 1))
            left += [(element, depth) for element in elements]
        elif isinstance(each, dict):
            members = cast("dict[object, object]", each)
            if key is None:
                yield None
            elif key in members:
                left.append((members[key], depth + 1))
        elif key is None and each is not NOT_JSON:
            yield _scalar(each)


def _scalar(value: object) -> str:
    match value:
        case None:
            return "null"
        case True:
            return "true"
        case False:
            return "false"
        case _:
            return str(value)


def _is_index(key: str) -> bool:
    return key.isascii() and key.isdecimal()


def _as_in_json(text: str) -> set[bytes]:
    """Return the spellings of a text in payloads: as it is, and as encoders of JSON write it."""
    if not text:
        return {b""}
    escaped = json.dumps(text)[1:-1]
    unescaped = json.dumps(text, ensure_ascii=False)[1:-1]
    # Go's encoder escapes these three characters, and PHP's the slash.
    of_go = unescaped.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return {_raw(each) for each in (text, escaped, unescaped, of_go, escaped.replace("/", "\\/"))}


def _raw(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _unix(moment: datetime) -> float:
    return (moment - _EPOCH) / timedelta(seconds=1)
