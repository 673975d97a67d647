"""Snapshots of tasks whose stored data is damaged."""

from datetime import UTC, datetime

import pytest

from rota.client.task_record import read
from rota.tasks.job import TaskAttempt, TaskInfo, TaskState
from rota.wire.look_task import StoredTask


def test_nonsense_in_the_hash_does_not_hide_a_task() -> None:
    fields = {"msg": b"\xff\xff", "rota_crashes": b"many", "rota_end": b"\xff"}
    stored = StoredTask("q", "a", TaskState.ARCHIVED, 1.0, 5.0, fields)

    info = read(TaskInfo, stored, stored.message())

    assert (info.id, info.state, info.type, info.crashes, info.end) == ("a", TaskState.ARCHIVED, "", 0, "\ufffd")


def attempts(raw: bytes) -> tuple[TaskAttempt, ...]:
    stored = StoredTask("q", "a", TaskState.RETRY, 1.0, 5.0, {"msg": b"", "rota_attempts": raw})
    return read(TaskInfo, stored, stored.message()).attempts


def test_attempts_are_read_in_their_order() -> None:
    raw = (
        b'{"n":1,"worker":"w","host":"h","pid":7,"started":1000,"ended":2500,"outcome":"failed","error":"E","traceback":"T"}\n'
        b'{"n":4,"outcome":"crashed"}\n'
    )
    first, last = attempts(raw)
    at = [datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), datetime(1970, 1, 1, 0, 0, 2, 500_000, tzinfo=UTC)]
    assert (first.number, first.worker, first.host, first.pid) == (1, "w", "h", 7)
    assert [first.started_at, first.ended_at] == at
    assert (first.outcome, first.error, first.traceback) == ("failed", "E", "T")
    assert last == TaskAttempt(number=4, outcome="crashed")


@pytest.mark.parametrize(
    "line",
    [b"", b"text", b"\xff", b"[]", b"7", b'{"n":"1"}', b'{"n":true}', b"[" * 100_000, b'{"n":' + b"1" * 5000 + b"}"],
)
def test_line_that_is_no_record_is_skipped(line: bytes) -> None:
    assert [each.number for each in attempts(b'{"n":1}\n' + line + b'\n{"n":2}\n')] == [1, 2]


def test_members_of_a_wrong_type_are_read_as_unknown() -> None:
    raw = b'{"n":1,"worker":7,"pid":"x","started":"now","ended":1e400,"outcome":[],"error":{},"traceback":null}'
    assert attempts(raw) == (TaskAttempt(number=1),)
    assert attempts(b'{"n":1,"started":' + b"9" * 30 + b"}") == (TaskAttempt(number=1),)
