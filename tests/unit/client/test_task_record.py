"""What is stored of a task, read for its snapshots."""

import pytest

from rota.client.task_record import Stored, read
from rota.tasks.info import TaskInfo, TaskState
from rota.wire.look_task import OneTask
from rota.wire.proto import TaskMessage

MESSAGE = TaskMessage(type="t", id="a", queue="q").SerializeToString()


@pytest.mark.parametrize(
    ("fields", "scores", "state"),
    [
        ({"state": b"retry", "msg": MESSAGE}, {"retry": 5.0}, TaskState.RETRY),
        ({"msg": MESSAGE}, {"archived": 5.0}, TaskState.ARCHIVED),
        ({"state": b"nonsense", "msg": MESSAGE}, {"scheduled": 5.0}, TaskState.SCHEDULED),
    ],
)
def test_the_state_is_what_the_hash_says_or_where_the_id_is(
    fields: dict[str, bytes], scores: dict[str, float], state: TaskState
) -> None:
    stored = Stored.of(OneTask(1.0, fields, scores), "q", "a")

    assert stored == Stored("q", "a", state, 1.0, 5.0, fields)


def test_leftovers_that_are_nowhere_are_no_task() -> None:
    assert Stored.of(OneTask(1.0, {"result": b"late"}), "q", "a") is None


def test_nonsense_in_the_hash_does_not_hide_a_task() -> None:
    fields = {"msg": b"\xff\xff", "rota_crashes": b"many", "rota_end": b"\xff"}
    stored = Stored("q", "a", TaskState.ARCHIVED, 1.0, 5.0, fields)

    info = read(TaskInfo, stored, stored.message())

    assert (info.id, info.state, info.type, info.crashes, info.end) == ("a", TaskState.ARCHIVED, "", 0, "\ufffd")
