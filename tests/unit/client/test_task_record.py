"""Snapshots of tasks whose stored data is damaged."""

from rota.client.task_record import read
from rota.tasks.job import TaskInfo, TaskState
from rota.wire.look_task import StoredTask


def test_nonsense_in_the_hash_does_not_hide_a_task() -> None:
    fields = {"msg": b"\xff\xff", "rota_crashes": b"many", "rota_end": b"\xff"}
    stored = StoredTask("q", "a", TaskState.ARCHIVED, 1.0, 5.0, fields)

    info = read(TaskInfo, stored, stored.message())

    assert (info.id, info.state, info.type, info.crashes, info.end) == ("a", TaskState.ARCHIVED, "", 0, "\ufffd")
