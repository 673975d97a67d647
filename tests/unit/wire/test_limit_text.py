"""The text of a passed time limit says which limit it was."""

import pytest

from rota.wire.limit_text import DEADLINE_TEXT, deadline_text, explained, timeout_text
from rota.wire.proto import TaskMessage


def test_text_begins_with_asynqs() -> None:
    assert timeout_text(90) == "context deadline exceeded: the timeout of 1m30s is over"
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
