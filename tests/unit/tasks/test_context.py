"""What a handler may know and say."""

import math
import pickle
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from rota.errors import OptionError, RotaError, TaskCancelled
from rota.tasks.context import Context, blank, current, enter, leave
from rota.wire.proto import TaskMessage


class Kept:
    def __init__(self) -> None:
        self.said: list[object] = []

    def progress(self, context: Context, done: float, total: float | None, text: str) -> None:
        self.said.append((context.id, done, total, text))

    def log(self, context: Context, text: str) -> None:
        self.said.append((context.id, text))


def message() -> TaskMessage:
    return TaskMessage(
        id="a",
        type="email:send:1",
        queue="mail",
        retry=5,
        retried=2,
        error_msg="broken",
        group_key="g",
        payload=b"{}",
        headers={"trace": "1"},
    )


def test_a_context_shows_what_its_message_says() -> None:
    context = Context(message())

    assert (context.id, context.type, context.queue) == ("a", "email:send:1", "mail")
    assert (context.retried, context.max_retry, context.last_error) == (2, 5, "broken")
    assert (context.group, context.payload, dict(context.headers)) == ("g", b"{}", {"trace": "1"})
    assert context.deadline is None
    assert context.time_left is None
    assert repr(context) == "<Context email:send:1 a in mail, retried 2 of 5>"


def test_a_deadline_is_an_instant_and_a_rest() -> None:
    context = Context(message(), deadline_at=time.time() + 60)
    past = Context(message(), deadline_at=1)

    assert context.deadline is not None
    assert context.deadline.tzinfo is UTC
    assert timedelta(seconds=50) < (context.time_left or timedelta(0)) <= timedelta(seconds=60)
    assert past.deadline == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert past.time_left == timedelta(0)


def test_time_left_does_not_depend_on_the_clock_of_the_server() -> None:
    context = Context(message(), deadline_at=time.time() + 3600, ends_at=time.monotonic() + 60)
    assert timedelta(seconds=30) < (context.time_left or timedelta(0)) <= timedelta(seconds=60)

    context.begin(time.time() - 3600, time.monotonic() + 120)
    assert timedelta(seconds=90) < (context.time_left or timedelta(0)) <= timedelta(seconds=120)


def test_progress_and_log_go_to_the_reporter() -> None:
    reporter = Kept()
    context = Context(message(), reporter)

    context.progress(1, 3, "first page")
    context.log("hello")

    assert reporter.said == [("a", 1, 3, "first page"), ("a", "hello")]


def test_a_blank_context_is_silent() -> None:
    context = blank("email:send", id="x")

    context.progress(1)
    context.log("nobody hears")

    assert (context.id, context.type) == ("x", "email:send")


def test_a_cancelled_run_can_be_seen_and_left() -> None:
    context = blank()
    context.raise_if_cancelled()

    context.cancel("no longer wanted")

    assert context.cancelled
    with pytest.raises(TaskCancelled) as caught:
        context.raise_if_cancelled()
    assert caught.value.reason == "no longer wanted"


def test_current_answers_only_inside_a_run() -> None:
    with pytest.raises(RotaError, match="No task runs here"):
        current()
    context = blank()
    token = enter(context)
    try:
        assert current() is context
    finally:
        leave(token)


def test_a_context_goes_to_another_process_without_its_reporter() -> None:
    context = Context(message(), Kept(), deadline_at=1.0, state=object())

    copy = pickle.loads(pickle.dumps(context))

    assert (copy.id, copy.deadline, copy.state) == ("a", context.deadline, None)
    copy.log("nobody hears")


def test_a_context_that_comes_to_the_process_that_runs_its_task_is_the_one_that_runs() -> None:
    sent = pickle.dumps(Context(message(), Kept()))
    running = Context(message(), Kept())
    token = enter(running)
    try:
        assert pickle.loads(sent) is running
        assert pickle.loads(pickle.dumps(blank(id="other"))) is not running
    finally:
        leave(token)


@pytest.mark.parametrize(
    ("done", "total", "written"),
    [
        (1, 2.5, (1, 2.5)),
        (True, None, (1, None)),
        (Decimal("1.5"), Decimal(2), (1.5, 2.0)),
        (math.nan, math.inf, (0, None)),
        (10**400, -(10**400), (0, None)),
    ],
)
def test_progress_is_written_in_numbers_that_json_can_express(done: Any, total: Any, written: object) -> None:
    kept = Kept()
    Context(message(), kept).progress(done, total)
    assert kept.said == [("a", *written, "")]  # type: ignore[misc]


@pytest.mark.parametrize("value", ["x", "5", b"5", [], object()])
def test_progress_that_is_not_a_number_is_refused_by_name(value: Any) -> None:
    with pytest.raises(OptionError, match=r"progress\(done=...\) is"):
        Context(message(), Kept()).progress(value)
    with pytest.raises(OptionError, match=r"progress\(total=...\) is"):
        Context(message(), Kept()).progress(1, value)


def test_log_line_and_text_of_progress_are_written_as_text() -> None:
    kept = Kept()
    context = Context(message(), kept)
    context.log(5)  # type: ignore[arg-type]
    context.progress(1, text=7)  # type: ignore[arg-type]
    assert kept.said == [("a", "5"), ("a", 1, None, "7")]
