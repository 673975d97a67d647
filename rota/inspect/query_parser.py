"""Reads a query from text. `rota.inspect.query` describes the language and the values that come out.

The reader goes through the text once, from left to right, and raises `QueryError` at the first fault, with its position
and with what to write instead.
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from rota.core.duration import parse as parse_duration
from rota.core.text import did_you_mean
from rota.errors import OptionError, QueryError
from rota.inspect.query import NAMES, Field, Pattern, Query, StateTerm, Term, TextTerm, TimeTerm
from rota.tasks.job import TaskState

MOST_CHARACTERS = 4096
MOST_VALUES = 100
"""Most values of all terms together, because each of them is compared with each task."""


def parse(text: str, zone: tzinfo | None = UTC) -> Query:
    """Read a query. A time without an offset is in the `zone`; None is the zone of this machine. Raises QueryError."""
    if len(text) > MOST_CHARACTERS:
        raise QueryError(
            f"The query has {len(text)} characters, more than {MOST_CHARACTERS}. Search for fewer values at once.",
            text=text,
            position=MOST_CHARACTERS,
        )
    return _Reader(text, zone).query()


class _Value(NamedTuple):
    """A value as it is read: its pattern and its position."""

    pattern: Pattern
    start: int
    end: int

    @property
    def text(self) -> str:
        return "*".join(self.pattern.parts)


_BLANKS = re.compile(r"\s*")
_BARE = re.compile(r'[^\s",*]+')
_INSIDE_QUOTES = re.compile(r'(?:[^"\\]|\\["\\])*')
_KEY = r'(?:"(?:[^"\\]|\\["\\])*"|[^\s",*:."]+)'
_PATH_FIELD = re.compile(rf"(payload|result)((?:\.{_KEY})+):")
_ANY_FIELD = re.compile(r'([^\s",*:]*):')
_OTHER_SIGN = re.compile(rf"({'|'.join(NAMES)})(?:\.[\w.]*)?(=|!=|<|>|~)")
_OPERATORS = {
    "AND": "All terms have to match anyway: leave AND out",
    "OR": "Write the values of one field with a comma, as in state:retry,archived",
    "NOT": "Write a - before the term, as in -state:completed",
}


class _Reader:
    """Reads one query from left to right."""

    def __init__(self, text: str, zone: tzinfo | None) -> None:
        self._text = text
        self._zone = zone
        self._at = 0
        self._values = 0

    def query(self) -> Query:
        terms: list[Term] = []
        while self._skip_blanks():
            terms.append(self._term())
        return Query(tuple(terms))

    def _skip_blanks(self) -> bool:
        blanks = _BLANKS.match(self._text, self._at)
        self._at = blanks.end() if blanks else self._at
        return self._at < len(self._text)

    def _term(self) -> Term:
        start = self._at
        is_negated = self._text.startswith("-", start)
        self._at += is_negated
        if is_negated and (self._at == len(self._text) or self._text[self._at].isspace()):
            raise self._fault(
                "There is no term after the -.", 'Write -state:completed, or "-" to search for the sign.', start
            )
        path = _PATH_FIELD.match(self._text, self._at)
        if path is not None:
            self._at = path.end()
            return TextTerm(Field(path[1]), self._patterns(path[0]), _keys(path[2]), is_negated)
        named = _ANY_FIELD.match(self._text, self._at)
        if named is not None:
            return self._of_field(self._field(named), named[0], is_negated)
        return TextTerm(Field.WORD, self._words(), (), is_negated)

    def _field(self, named: re.Match[str]) -> Field:
        name = named[1]
        if name not in NAMES:
            whole = _BARE.match(self._text, named.start())
            said = whole[0] if whole else named[0]
            raise self._fault(
                f"There is no field {name!r}. {did_you_mean(name, map(str, NAMES))}",
                f'To search for the text, quote it: "{said}".',
                named.start(),
                max(1, len(name)),
            )
        self._at = named.end()
        return Field(name)

    def _of_field(self, field: Field, head: str, is_negated: bool) -> Term:
        values = self._value_list(head)
        if field is Field.STATE:
            return StateTerm(tuple(map(self._state, values)), is_negated)
        if field in (Field.BEFORE, Field.AFTER):
            if len(values) > 1:
                raise self._fault(
                    f"{field}: has one time.", "Write only one.", values[1].start, self._length(values[1])
                )
            return TimeTerm(field, self._moment(field, values[0]), is_negated)
        for value in values:
            if value.pattern.parts == ("",):
                raise self._fault(
                    "An empty text matches no task.",
                    f"Write {field}:* for any value, -{field}:* for none.",
                    value.start,
                    self._length(value),
                )
        return TextTerm(field, tuple(value.pattern for value in values), (), is_negated)

    def _patterns(self, head: str) -> tuple[Pattern, ...]:
        return tuple(value.pattern for value in self._value_list(head))

    def _words(self) -> tuple[Pattern, ...]:
        start = self._at
        values = self._value_list("")
        for value in values:
            if value.pattern.parts in (("",), ("", "")):
                raise self._fault(
                    "This word matches every task.", "Leave it out, or write a text.", value.start, self._length(value)
                )
        said = self._text[start : self._at]
        if said in _OPERATORS:
            raise self._fault(
                f"{said} is not a word of the language. {_OPERATORS[said]}.",
                f'To search for it: "{said}".',
                start,
                len(said),
            )
        sign = _OTHER_SIGN.match(said)
        if sign is not None:
            fixed = f"{said[: sign.start(2)]}:{said[sign.end(2) :]}"
            raise self._fault(
                f"A field is followed by a colon, not by {sign[2]}.",
                f'Write {fixed}, or to search for the text: "{said}".',
                start + sign.start(2),
                len(sign[2]),
            )
        return tuple(value.pattern for value in values)

    def _value_list(self, head: str) -> list[_Value]:
        values = [self._value(head)]
        while self._text.startswith(",", self._at):
            self._at += 1
            values.append(self._value(","))
        self._values += len(values)
        if self._values > MOST_VALUES:
            raise self._fault(
                f"The query has more than {MOST_VALUES} values.", "Search for fewer at once.", values[-1].start
            )
        return values

    def _value(self, after: str) -> _Value:
        """Read one value: bare texts, quoted texts and stars without blanks between them. `after` stands before it."""
        start = self._at
        parts = [""]
        while self._at < len(self._text):
            if self._text[self._at] == "*":
                self._at += 1
                if len(parts) == 1 or parts[-1]:
                    parts.append("")
            elif self._text[self._at] == '"':
                parts[-1] += self._quoted()
            else:
                bare = _BARE.match(self._text, self._at)
                if bare is None:  # a blank or a comma
                    break
                parts[-1] += bare[0]
                self._at = bare.end()
        if self._at == start:
            raise self._fault(
                f"There is no value after {after}" if after else "A term does not begin with a comma.",
                "Write one without a blank before it." if after else "Write a value before it, or quote it.",
                max(0, start - len(after)),
                max(1, len(after)),
            )
        return _Value(Pattern(tuple(parts)), start, self._at)

    def _quoted(self) -> str:
        start = self._at
        inside = _INSIDE_QUOTES.match(self._text, start + 1)
        end = inside.end() if inside else len(self._text)
        if end + 1 < len(self._text) and self._text[end] == "\\":
            raise self._fault('Between quotes a \\ stands only before a " or another \\.', "Write \\\\ for one.", end)
        if not self._text.startswith('"', end):
            raise self._fault("This quote is not closed.", 'Write a second " after the text.', start)
        self._at = end + 1
        return _unescaped(self._text[start + 1 : end])

    def _state(self, value: _Value) -> TaskState:
        try:
            return TaskState(value.text)
        except ValueError:
            raise self._fault(
                f"There is no state {value.text!r}.",
                did_you_mean(value.text, map(str, TaskState)),
                value.start,
                self._length(value),
            ) from None

    def _moment(self, field: Field, value: _Value) -> datetime | timedelta:
        found = _moment(value.text, self._zone)
        if found is None:
            raise self._fault(
                f"{value.text!r} is not a time.",
                f"Write {field}:2026-01-31, {field}:2026-01-31T18:00+01:00, {field}:2h (ago) or {field}:+2h (later).",
                value.start,
                self._length(value),
            )
        return found

    @staticmethod
    def _length(value: _Value) -> int:
        return max(1, value.end - value.start)

    def _fault(self, what: str, advice: str, position: int, length: int = 1) -> QueryError:
        message = f"{what.rstrip()} {advice}"
        return QueryError(message, text=self._text, position=position, length=length)


def _unescaped(text: str) -> str:
    return re.sub(r'\\(["\\])', r"\1", text)


def payload_keys(path: str) -> tuple[str, ...]:
    """Return the keys of a path into JSON that is written as after `payload.`; no keys if it is not one."""
    return _keys(f".{path}") if re.fullmatch(rf"{_KEY}(?:\.{_KEY})*", path) else ()


def payload_assignment(text: str) -> tuple[str, str] | None:
    """Split `path=value` into the path and the value; None if it does not begin with a path."""
    match = re.fullmatch(r'((?:"(?:[^"\\]|\\["\\])*"|[^\s",*:="])+)=(.*)', text, re.DOTALL)
    return (match[1], match[2]) if match else None


def _keys(path: str) -> tuple[str, ...]:
    found: list[str] = re.findall(rf"\.({_KEY})", path)
    return tuple(_unescaped(key[1:-1]) if key.startswith('"') else key for key in found)


def _moment(text: str, zone: tzinfo | None) -> datetime | timedelta | None:
    sign, length = (1, text[1:]) if text.startswith("+") else (-1, text)
    try:
        return sign * parse_duration(length)
    except (OptionError, OverflowError):
        pass
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
