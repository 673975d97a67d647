"""The reply of the script that reads one task."""

import pytest

from rota.tasks.job import TaskState
from rota.wire.keys import QueueKeys
from rota.wire.look_task import _ALL_FIELDS, _STATES, StoredTask, task

SETS = ("scheduled", "retry", "archived", "completed", "active")


def decoded(fields: dict[str, bytes], scores: dict[str, float]) -> StoredTask:
    reply = [b"1.0", [fields.get(name) for name in _ALL_FIELDS], [scores.get(name) for name in SETS]]
    return task(QueueKeys("q"), "a").decode(reply)


@pytest.mark.parametrize(
    ("fields", "scores", "state"),
    [
        ({"state": b"retry", "msg": b"m"}, {"retry": 5.0}, "retry"),
        ({"msg": b"m"}, {"archived": 5.0}, "archived"),
        ({"state": b"nonsense", "msg": b"m"}, {"scheduled": 5.0}, "scheduled"),
    ],
)
def test_the_state_is_what_the_hash_says_or_where_the_id_is(
    fields: dict[str, bytes], scores: dict[str, float], state: str
) -> None:
    assert decoded(fields, scores) == StoredTask("q", "a", state, 1.0, 5.0, fields)


def test_leftovers_that_are_nowhere_are_no_task() -> None:
    assert decoded({"result": b"late"}, {}).state == ""


def test_every_state_of_asynq_can_be_stored() -> None:
    assert set(_STATES) == set(TaskState)
