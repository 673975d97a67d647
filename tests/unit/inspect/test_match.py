import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.inspect.candidate import Candidate, Running
from rota.inspect.match import Matcher
from rota.inspect.query import Field, Pattern, Query, TextTerm
from rota.inspect.query_parser import parse
from rota.tasks.job import TaskState
from rota.wire.proto import TaskMessage
from rota.wire.scan import Bounds
from rota.wire.server_record import new_server_id

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def candidate(
    id: str = "id1",
    state: TaskState = TaskState.RETRY,
    score: float | None = None,
    fields: dict[str, bytes | None] | None = None,
    running: Running | None = None,
    **message: Any,
) -> Candidate:
    stored = TaskMessage(**{"type": "email:welcome", "id": id, "queue": "default"} | message)
    return Candidate("default", id, state, score, {"msg": stored.SerializeToString(), **(fields or {})}, running)


def matches(query: str, task: Candidate) -> bool:
    """Compare as a search does, and check that the first step never refuses what matches."""
    matcher = Matcher(parse(query), NOW)
    found = matcher.matches(task)
    assert matcher.may_match(task.fields["msg"], task.id.encode()) or not found
    return found


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("type:email:welcome", True),
        ("type:email", False),
        ("type:email:*", True),
        ("type:*:welcome", True),
        ("type:e*l*l*e", True),
        ("type:e*x*e", False),
        ("type:EMAIL:*", False),
        ("type:sms,email:*", True),
        ("-type:email:*", False),
        ("-type:sms", True),
        ("id:id1", True),
        ("id:id", False),
        ("id:i*", True),
        ("error:refused", True),
        ("error:REFUSED", True),
        ("error:connection*refused", True),
        ("error:refused*connection", False),
        ("error:*", True),
        ("-error:*", False),
        ("group:*", False),
        ("-group:*", True),
        ("refused", True),
        ("WELCOME", True),
        ("id1", True),
        ("42", True),
        ("nothing", False),
        ("refused -welcome", False),
        ("payload.user_id:42", True),
        ("payload.user_id:4", False),
        ("payload.user_id:4*", True),
        ("payload.user_id:*", True),
        ("payload.nobody:*", False),
        ("payload.user.name:Ann", True),
        ("payload.user.name:ann", False),
        ("payload.user:*", True),
        ("payload.user:Ann", False),
        ("payload.price:1.50", True),
        ("payload.price:1.5", False),
        ("payload.big:9007199254740993", True),
        ("payload.tags:b", True),
        ("payload.tags.1:b", True),
        ("payload.tags.0:b", False),
        ("payload.items.sku:s2", True),
        ("payload.yes:true", True),
        ("payload.none:null", True),
        ('payload.empty:""', True),
        ("payload.empty:*", True),
        ('payload."a b":1', True),
        ("payload:ann", True),
        ("payload:user*ann", True),
        ("payload:bob", False),
        ("result.total:7", True),
        ("result:total", True),
        ("result:*", True),
        ("-result:*", False),
    ],
)
def test_term_decides_by_the_stored_task(query: str, expected: bool):
    payload = {
        "user_id": 42,
        "user": {"name": "Ann"},
        "tags": ["a", "b"],
        "items": [{"sku": "s1"}, {"sku": "s2"}],
        "yes": True,
        "none": None,
        "empty": "",
        "a b": 1,
    }
    body = json.dumps(payload)[:-1] + ', "price": 1.50, "big": 9007199254740993}'
    task = candidate(payload=body.encode(), error_msg="Connection to db refused", fields={"result": b'{"total":7}'})
    assert matches(query, task) is expected


@pytest.mark.parametrize("as_ascii", [True, False])
def test_text_of_a_payload_is_found_however_its_encoder_escapes_it(as_ascii: bool):
    payload = json.dumps({"name": '中文 "<b>"/é', "emoji": "😀"}, ensure_ascii=as_ascii).encode()
    task = candidate(payload=payload)
    for query in ("中文", "payload:中文", 'payload:"\\"<b>"', "payload.name:中*é", "payload.emoji:😀", "é"):
        assert matches(query, task), query
    of_go = candidate(payload=b'{"html":"\\u003cb\\u003e"}')
    assert matches('payload:"<b>"', of_go)
    assert matches('payload.html:"<b>"', of_go)


@pytest.mark.parametrize("payload", [b"", b"\xff\xfe", b"{", b"[" * 100_000, b'"text"', b"7"])
def test_payload_that_is_not_an_object_has_no_keys(payload: bytes):
    assert not matches("payload.a:*", candidate(payload=payload))
    assert matches("-payload.a:1", candidate(payload=payload))


def test_damaged_or_missing_message_has_blank_fields():
    for raw in (None, b"", b"\xff\xff\xff"):
        task = Candidate("default", "id1", TaskState.PENDING, None, {"msg": raw})
        for query in ("type:*", "error:*", "payload:x"):
            assert not Matcher(parse(query), NOW).matches(task)
        matcher = Matcher(parse("id1"), NOW)
        assert matcher.may_match(raw, b"id1")
        assert matcher.matches(task)


@pytest.mark.parametrize(
    ("task", "at"),
    [
        (candidate(state=TaskState.RETRY, score=1_700_000_000.0), datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (
            candidate(state=TaskState.PENDING, fields={"pending_since": b"1700000000000000000"}),
            datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
        ),
        (candidate(state=TaskState.PENDING, fields={"pending_since": b"x"}), None),
        (candidate(state=TaskState.PENDING), None),
        (
            candidate(state=TaskState.COMPLETED, score=1.0, completed_at=1_700_000_000),
            datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
        ),
        (candidate(state=TaskState.ACTIVE, running=Running("s", "h", 1, NOW)), NOW),
        (candidate(state=TaskState.ACTIVE), None),
    ],
)
def test_time_of_a_task_is_that_of_its_state(task: Candidate, at: datetime | None):
    assert task.at == at
    assert matches("before:2026-02-01", task) is (at is not None)
    assert matches("after:2026-02-01", task) is False
    assert matches("-before:2026-02-01", task) is (at is None)


def test_durations_count_from_the_start_of_the_search():
    task = candidate(state=TaskState.ARCHIVED, score=(NOW - timedelta(minutes=59)).timestamp())
    assert matches("after:1h", task)
    assert not matches("before:1h", task)


def test_states_narrow_what_is_read():
    assert Matcher(parse("state:retry,archived -state:archived"), NOW).states == {TaskState.RETRY}
    assert Matcher(parse("x"), NOW).states == set(TaskState)


def test_queues_narrow_what_is_read():
    matcher = Matcher(parse("queue:mail*,low -queue:mail-old"), NOW)
    assert [name for name in ("mail", "mail-old", "low", "high") if matcher.takes_queue(name)] == ["mail", "low"]


def test_times_narrow_the_scores_that_are_read():
    matcher = Matcher(parse("after:1970-01-02 before:1970-01-03"), NOW)
    assert matcher.bounds(TaskState.RETRY) == Bounds("86400.000000", "(172800.000000")
    assert matcher.bounds(TaskState.COMPLETED) == Bounds()
    assert Matcher(parse("-after:1970-01-02"), NOW).bounds(TaskState.RETRY) == Bounds()


def test_worker_is_found_by_id_host_and_process_also_of_an_earlier_attempt():
    attempts = b'{"n":1,"worker":"w9","host":"old","pid":7,"outcome":"failed"}\n'
    running = Running("rota-1", "web-1", 12, NOW)
    task = candidate(
        state=TaskState.ACTIVE, fields={"rota_token": b"w1-x-17", "rota_attempts": attempts}, running=running
    )
    for name in ("rota-1", "web-1", "web-1:12", "w1-x", "w9", "old", "old:7", "web*"):
        assert matches(f"worker:{name}", task), name
    assert not matches("worker:web", task)


def test_worker_of_an_earlier_attempt_is_found_by_the_id_that_its_server_shows():
    server = new_server_id("5ca4b16b9994")
    task = candidate(fields={"rota_attempts": b'{"n":1,"worker":"5ca4b16b9994","outcome":"failed"}\n'})
    for name in (server, f"{server[:13]}*", f"x,{server}", "5ca4b16b9994"):
        assert matches(f"worker:{name}", task), name
    for name in (new_server_id(), server[:13], f"{server}0"):
        assert not matches(f"worker:{name}", task), name


def test_task_without_a_worker_has_no_name_of_one():
    assert not matches("worker:*", candidate())


def test_only_queries_that_need_them_read_the_servers_and_further_fields():
    assert Matcher(parse("worker:x"), NOW).needs_servers
    assert Matcher(parse("after:1h"), NOW).needs_servers
    assert not Matcher(parse("after:1h state:retry"), NOW).needs_servers
    assert not Matcher(parse("x"), NOW).needs_servers
    assert Matcher(parse("result:x worker:y"), NOW).extra_fields == ("result", "rota_token", "rota_attempts")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=3), inner, max_size=3),
    max_leaves=8,
)
WORDS = st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=4)


@given(
    payload=st.dictionaries(WORDS, JSON | WORDS, max_size=3),
    as_ascii=st.booleans(),
    error=WORDS,
    data=st.data(),
    field=st.sampled_from([Field.WORD, Field.PAYLOAD, Field.ERROR, Field.TYPE, Field.ID]),
)
def test_first_step_never_refuses_a_task_that_matches(
    payload: dict[str, Any], as_ascii: bool, error: str, data: st.DataObject, field: Field
):
    body = json.dumps(payload, ensure_ascii=as_ascii)
    task = candidate(id=error.swapcase(), type=error, payload=body.encode(), error_msg=error)
    value = data.draw(WORDS | st.just(error) | st.sampled_from([*payload, *map(str, payload.values()), "x"]))
    path = (data.draw(st.sampled_from(list(payload))),) if payload and field is Field.PAYLOAD else ()
    parts = data.draw(st.sampled_from([(value,), (value, ""), ("", value)])) if value else ("",)
    matcher = Matcher(Query((TextTerm(field, (Pattern(parts),), path),)), NOW)
    if matcher.matches(task):
        assert matcher.may_match(task.fields["msg"], task.id.encode())
