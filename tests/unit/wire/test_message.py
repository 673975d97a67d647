"""The bytes in these tests were produced by Go's own code."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from rota.errors import OptionError, PayloadError
from rota.wire import message
from rota.wire.message import DEADLINE_TEXT, deadline_text, explained, timeout_text
from rota.wire.names import MAX_ERROR_BYTES, clean_text
from rota.wire.proto import SchedulerEnqueueEvent, SchedulerEntry, TaskMessage
from rota.wire.times import GO_ZERO_S

PLAIN = "0a017412027b7d1a03696431220764656661756c74281940880e"
UNIQUE_WITHOUT_PAYLOAD = "0a01741a03696431220764656661756c7452196173796e713a7b64656661756c747d3a756e697175653a743a"
EVERYTHING = (
    "0a017412027b7d1a036964312201712803400a4880e2cfaa0652336173796e713a7b717d3a756e697175653a743a"
    "3939393134623933326264333761353062393833633565376339306165393362603c7201677a060a0168120177"
)
FAILED_ONCE = "0a01741201311a0161220764656661756c74281930013a04626f6f6d40880e58af9b91d80672026731"
COMPLETED = "0a01741201311a0161220764656661756c74281940880e60901c68af9b91d806"
NOW = 1795444143


def test_a_plain_task_is_packed_with_the_defaults_of_asynq():
    assert message.pack("t", b"{}", "id1").hex() == PLAIN


def test_a_task_without_retries_payload_or_timeout_leaves_these_fields_out():
    task = TaskMessage(type="t", id="id1", queue="default", unique_key="asynq:{default}:unique:t:")
    assert task.SerializeToString().hex() == UNIQUE_WITHOUT_PAYLOAD


def test_every_option_is_packed_as_go_packs_it():
    packed = message.pack(
        "t",
        b"{}",
        "id1",
        queue="q",
        max_retry=3,
        timeout=timedelta(seconds=10),
        deadline=datetime.fromtimestamp(1700000000, UTC),
        unique_key="asynq:{q}:unique:t:99914b932bd37a50b983c5e7c90ae93b",
        retention=timedelta(minutes=1),
        group="g",
        headers={"h": "w"},
    )
    assert packed.hex() == EVERYTHING


def test_a_failure_is_written_as_go_writes_it():
    task = message.unpack(message.pack("t", b"1", "a", group="g1"))
    assert message.with_failure(task, "boom", NOW).hex() == FAILED_ONCE


def test_a_failure_that_does_not_count_keeps_the_number_of_retries():
    task = message.unpack(bytes.fromhex(FAILED_ONCE))
    changed = message.unpack(message.with_failure(task, "again", NOW + 1, counts=False))
    assert (changed.retried, changed.error_msg, changed.last_failed_at) == (1, "again", NOW + 1)


def test_recording_a_failure_leaves_the_message_it_was_given_alone():
    task = message.unpack(message.pack("t", b"1", "a"))
    message.with_failure(task, "boom", NOW)
    assert (task.retried, task.error_msg) == (0, "")


def test_a_completion_is_written_as_go_writes_it():
    task = message.unpack(message.pack("t", b"1", "a", retention=timedelta(hours=1)))
    assert message.with_completion(task, NOW).hex() == COMPLETED
    assert task.completed_at == 0


@pytest.mark.parametrize("words", [{}, {"group": "g"}, {"headers": {"a": "b"}}, {"max_retry": 3, "group": "g"}])
def test_a_completion_has_the_same_bytes_whether_the_message_is_encoded_or_not(words: dict[str, Any]) -> None:
    raw = message.pack("t", b"1", "a", retention=timedelta(hours=1), **words)
    for _ in range(2):  # the second time the message has a completion already
        task = message.unpack(raw)
        encoded = message.with_completion(task, NOW)
        assert message.with_completion(task, NOW, raw) == encoded
        raw = encoded


def test_a_deadline_alone_stores_no_timeout():
    task = message.unpack(message.pack("t", b"", "a", deadline=datetime.fromtimestamp(1700000000, UTC)))
    assert (task.timeout, task.deadline) == (0, 1700000000)


@pytest.mark.parametrize(("timeout_ms", "stored"), [(1, 1), (500, 1), (1000, 1), (1001, 2), (90_000, 90)])
def test_a_timeout_is_never_stored_shorter_than_asked(timeout_ms: int, stored: int):
    assert message.unpack(message.pack("t", b"", "a", timeout=timedelta(milliseconds=timeout_ms))).timeout == stored


def test_a_retention_below_a_second_still_keeps_the_task():
    assert message.unpack(message.pack("t", b"", "a", retention=timedelta(milliseconds=500))).retention == 1


def test_a_retention_of_nothing_keeps_nothing():
    assert message.unpack(message.pack("t", b"", "a", retention=timedelta(0))).retention == 0


def test_a_deadline_at_the_epoch_stays_a_deadline():
    assert message.unpack(message.pack("t", b"", "a", deadline=datetime.fromtimestamp(0, UTC))).deadline == 1


@pytest.mark.parametrize(
    ("deadline", "stored"),
    [
        (datetime(1960, 1, 1, tzinfo=UTC), -315619200),
        (datetime.max.replace(tzinfo=UTC), 253402300799),
        (datetime.max.replace(tzinfo=timezone(-timedelta(hours=14))), 253402300799),
        (datetime.min.replace(tzinfo=UTC), GO_ZERO_S),
        (datetime(2030, 1, 1, 0, 0, 0, 999_999, tzinfo=UTC), 1893456000),
    ],
)
def test_a_deadline_at_the_ends_of_the_calendar_is_stored_exactly(deadline: datetime, stored: int):
    assert message.unpack(message.pack("t", b"", "a", deadline=deadline)).deadline == stored


@pytest.mark.parametrize("timeout", [timedelta(0), timedelta(seconds=-1)])
def test_a_timeout_that_is_not_positive_is_refused(timeout: timedelta):
    with pytest.raises(OptionError, match="not positive"):
        message.pack("t", b"", "a", timeout=timeout)


def test_a_negative_retention_is_refused():
    with pytest.raises(OptionError, match="negative"):
        message.pack("t", b"", "a", retention=timedelta(seconds=-1))


@pytest.mark.parametrize("max_retry", [-1, 2**31])
def test_a_number_of_retries_that_the_wire_cannot_hold_is_refused(max_retry: int):
    with pytest.raises(OptionError):
        message.pack("t", b"", "a", max_retry=max_retry)


def test_a_deadline_without_a_time_zone_is_refused():
    with pytest.raises(OptionError, match="no time zone"):
        message.pack("t", b"", "a", deadline=datetime(2030, 1, 1))


def test_text_that_is_not_utf8_is_refused_before_anything_is_written():
    with pytest.raises(OptionError, match="valid UTF-8"):
        message.pack("t\udcff", b"", "a")


def test_bytes_that_are_no_message_are_reported_as_such():
    with pytest.raises(PayloadError, match=r"not a task message \(3 bytes;"):
        message.unpack(b"\xff\xff\xff")


def test_a_message_with_text_that_is_not_utf8_is_not_read():
    with pytest.raises(PayloadError):
        message.unpack(b"\x0a\x01\xff")


def test_an_error_text_keeps_what_can_be_stored():
    assert clean_text("größer, 你好") == "größer, 你好"
    assert clean_text("bad \udcff byte") == "bad ? byte"


@pytest.mark.parametrize("text", ["x" * 10_000, "ü" * 10_000, "你" * 10_000])
def test_a_long_error_text_is_cut_between_characters(text: str):
    cut = clean_text(text)
    assert cut.endswith("…")
    assert text.startswith(cut[:-1])
    assert MAX_ERROR_BYTES - 4 < len(cut.encode()) <= MAX_ERROR_BYTES


def test_never_is_written_as_the_zero_time_of_go():
    never = message.to_timestamp(None)
    assert SchedulerEntry(id="e", next_enqueue_time=never, prev_enqueue_time=never).SerializeToString().hex() == (
        "0a0165320b088092b8c398feffffff013a0b088092b8c398feffffff01"
    )
    assert message.from_timestamp(SchedulerEntry(next_enqueue_time=never).next_enqueue_time) is None


def test_a_scheduler_entry_has_the_bytes_of_go():
    entry = SchedulerEntry(
        id="e",
        spec="* * * * *",
        task_type="t",
        task_payload=b"{}",
        enqueue_options=['Queue("q")', "MaxRetry(3)"],
        next_enqueue_time=message.to_timestamp(1700000000 * 10**9),
        prev_enqueue_time=message.to_timestamp(1699999940 * 10**9),
    )
    assert entry.SerializeToString().hex() == (
        "0a016512092a202a202a202a202a1a017422027b7d2a0a517565756528227122292a0b4d6178526574727928332932060880e2cfaa06"
        "3a0608c4e1cfaa06"
    )


def test_a_scheduler_event_has_the_bytes_of_go():
    event = SchedulerEnqueueEvent(task_id="id1", enqueue_time=message.to_timestamp(1700000000 * 10**9))
    assert event.SerializeToString().hex() == "0a0369643112060880e2cfaa06"


@pytest.mark.parametrize("unix_ns", [0, 1, 1700000000123456789, -1])
def test_a_timestamp_keeps_its_nanoseconds(unix_ns: int):
    event = SchedulerEnqueueEvent(enqueue_time=message.to_timestamp(unix_ns))
    assert event.HasField("enqueue_time")
    assert message.from_timestamp(event.enqueue_time) == unix_ns


def test_text_begins_with_asynqs() -> None:
    assert timeout_text(90) == "context deadline exceeded: the timeout of 1m30s is over"
    assert timeout_text(-(2**63)).startswith("context deadline exceeded: the timeout of ")
    assert deadline_text(1893456000) == "context deadline exceeded: the deadline 2030-01-01 00:00:00 UTC has passed"
    assert deadline_text(2**62).startswith("context deadline exceeded: the deadline 9999-12-31")
    assert deadline_text(-(2**63)).startswith("context deadline exceeded: the deadline 0001-01-01")


@pytest.mark.parametrize(
    ("fields", "end", "said"),
    [
        ({"timeout": 5}, "", "the timeout of 5s is over"),
        ({"timeout": 5, "deadline": 1893456000}, "", "the timeout of 5s is over"),
        ({"timeout": 5, "deadline": 1893456000}, "expired", "the deadline 2030-01-01 00:00:00 UTC has passed"),
        ({"deadline": 1893456000}, "", "the deadline 2030-01-01 00:00:00 UTC has passed"),
        ({"timeout": 1800}, "", "the timeout of its function, or of 30m, is over"),
        ({}, "", "the timeout of its function, or of 30m, is over"),
    ],
)
def test_stored_error_is_explained_by_the_limits_of_its_task(fields: dict[str, int], end: str, said: str) -> None:
    message = TaskMessage(error_msg=DEADLINE_TEXT, **fields)  # type: ignore[arg-type]

    assert explained(message, end) == f"context deadline exceeded: {said}"


def test_another_error_stays_as_it_is() -> None:
    assert explained(TaskMessage(error_msg="ValueError: x", timeout=5), "") == "ValueError: x"
