from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.errors import QueryError
from rota.inspect.query import (
    TEXT_FIELDS,
    WITH_PATH,
    Field,
    Pattern,
    Query,
    StateTerm,
    TextTerm,
    TimeTerm,
    render,
)
from rota.inspect.query_parser import MOST_CHARACTERS, MOST_VALUES, parse, payload_assignment
from rota.tasks.job import TaskState


def text(field: Field, *values: str, path: tuple[str, ...] = (), negated: bool = False) -> TextTerm:
    return TextTerm(field, tuple(Pattern(tuple(value.split("*"))) for value in values), path, negated)


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("", []),
        ("  \n", []),
        ("timeout", [text(Field.WORD, "timeout")]),
        ("type:email:welcome", [text(Field.TYPE, "email:welcome")]),
        ("type:email:*", [text(Field.TYPE, "email:*")]),
        ("id:a,b", [text(Field.ID, "a", "b")]),
        ("state:retry,archived", [StateTerm((TaskState.RETRY, TaskState.ARCHIVED))]),
        ("-state:completed x", [StateTerm((TaskState.COMPLETED,), True), text(Field.WORD, "x")]),
        ('error:"connection refused"', [text(Field.ERROR, "connection refused")]),
        ('error:"10"*"refused"', [text(Field.ERROR, "10*refused")]),
        (r'"a\"b\\c"', [text(Field.WORD, 'a"b\\c')]),
        ('"two * stars"', [TextTerm(Field.WORD, (Pattern(("two * stars",)),))]),
        ("a**b", [text(Field.WORD, "a*b")]),
        ("payload.user_id:42", [text(Field.PAYLOAD, "42", path=("user_id",))]),
        ('payload."a b".c:""', [text(Field.PAYLOAD, "", path=("a b", "c"))]),
        ("-result.total:-5", [text(Field.RESULT, "-5", path=("total",), negated=True)]),
        ("payload:中文", [text(Field.PAYLOAD, "中文")]),
        ('"type:x"', [text(Field.WORD, "type:x")]),
        ("after:2h", [TimeTerm(Field.AFTER, -timedelta(hours=2))]),
        ("before:+1h30m", [TimeTerm(Field.BEFORE, timedelta(hours=1, minutes=30))]),
        ("before:2026-01-31", [TimeTerm(Field.BEFORE, datetime(2026, 1, 31, tzinfo=UTC))]),
        ("before:2026-01-31T18:00+01:00", [TimeTerm(Field.BEFORE, datetime(2026, 1, 31, 17, tzinfo=UTC))]),
    ],
)
def test_query_is_read_as_its_terms(query: str, terms: list[Any]):
    assert parse(query) == Query(tuple(terms))


def test_time_without_an_offset_is_in_the_zone_of_the_caller():
    zone = timezone(timedelta(hours=8))
    assert parse("after:2026-01-31", zone).terms == (TimeTerm(Field.AFTER, datetime(2026, 1, 30, 16, tzinfo=UTC)),)


@pytest.mark.parametrize(
    ("query", "fault", "advice"),
    [
        ("type:x statt:retry", "statt", "Did you mean 'state'?"),
        ("email:welcome", "email", '"email:welcome"'),
        ("state:retyr", "retyr", "Did you mean 'retry'?"),
        ("state:retry,don", "don", "Known: "),
        ("x type:", "type:", "no value after type:"),
        ("type:a,", ",", "no value after ,"),
        (",a", ",", "does not begin with a comma"),
        ('a error:"b c', '"', "not closed"),
        (r'error:"b\n"', "\\", "Between quotes"),
        ("a -", "-", "no term after the -"),
        ("a OR b", "OR", "state:retry,archived"),
        ("state=retry", "=", "state:retry"),
        ("payload.age>5", ">", "payload.age:5"),
        ("before:soon", "soon", "is not a time"),
        ("before:1h,2h", "2h", "one time"),
        ('type:""', '""', "type:*"),
        ("*", "*", "matches every task"),
    ],
)
def test_error_of_a_query_says_the_position_and_what_to_write(query: str, fault: str, advice: str):
    with pytest.raises(QueryError) as raised:
        parse(query)
    error = raised.value
    assert error.text == query
    assert query[error.position : error.position + error.length] == fault
    assert advice in str(error)


def test_query_that_is_too_long_is_refused():
    with pytest.raises(QueryError, match="more than 4096"):
        parse("x" * (MOST_CHARACTERS + 1))


def test_query_of_too_many_values_is_refused():
    with pytest.raises(QueryError, match="more than 100 values"):
        parse("id:" + ",".join(map(str, range(MOST_VALUES + 1))))


def test_only_a_query_for_whole_ids_names_tasks():
    assert parse("id:a,b,a type:x").exact_ids == ("a", "b")
    assert parse("id:a*").exact_ids == ()
    assert parse("-id:a").exact_ids == ()
    assert parse("id:a,b*").exact_ids == ()


PARTS = st.text(min_size=1, max_size=8) | st.sampled_from(
    ["AND", "OR", "-x", "type:x", "a,b", '"', "\\", "  ", "=", "*"]
)
PATTERNS = (
    st.lists(PARTS, min_size=1, max_size=3)
    .flatmap(lambda parts: st.sampled_from([tuple(parts), ("", *parts), (*parts, ""), ("", *parts, "")]))
    .map(Pattern)
)
VALUES = st.lists(PATTERNS, min_size=1, max_size=3).map(tuple)
PATHS = st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=3).map(tuple)
MOMENTS = st.datetimes(min_value=datetime(1971, 1, 1), timezones=st.just(UTC)) | st.timedeltas(
    min_value=timedelta(days=-4000), max_value=timedelta(days=4000)
)
TERMS = st.one_of(
    st.builds(TextTerm, st.sampled_from(TEXT_FIELDS), VALUES, st.just(()), st.booleans()),
    st.builds(TextTerm, st.sampled_from(WITH_PATH), VALUES, PATHS, st.booleans()),
    st.builds(StateTerm, st.lists(st.sampled_from(TaskState), min_size=1, max_size=3).map(tuple), st.booleans()),
    st.builds(TimeTerm, st.sampled_from([Field.BEFORE, Field.AFTER]), MOMENTS, st.booleans()),
)


@given(st.lists(TERMS, max_size=5).map(tuple).map(Query))
def test_rendered_query_is_parsed_to_the_same_query(query: Query):
    assert parse(render(query)) == query


ALPHABET = st.sampled_from([*'ab :.,*-"\\=><\t\n中\ud800', "type:", "state:", "payload.", "before:", "OR", "2h"])


@given(st.text(max_size=60) | st.lists(ALPHABET, max_size=20).map("".join))
def test_no_text_makes_the_parser_fail_in_another_way(said: str):
    try:
        query = parse(said)
    except QueryError as error:
        fault = error
    else:
        assert parse(render(query)) == query
        return
    assert fault.text == said
    assert 0 <= fault.position <= len(said)
    assert fault.length >= 1


def test_assignment_is_split_at_its_first_equals_sign_outside_of_quotes() -> None:
    assert payload_assignment('a."b=c".d=1=2') == ('a."b=c".d', "1=2")
    assert payload_assignment("a b=1") is None
    assert payload_assignment("name_of_the_customer" * 200 + ":Bonn") is None  # in a moment, and not in a century
