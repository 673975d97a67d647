"""What the log says of each task: its begin, its end, and how it ended, with the task's fields on each record."""

import asyncio
import logging
import re
from datetime import timedelta
from typing import Any

import pytest

from rota import Retry, RetryLater, Revoke, Rota
from rota.wire.keys import QueueKeys
from rota.wire.message import pack
from rota.wire.outcome import Outcome
from rota.wire.proto import TaskMessage
from rota.worker.clock import BrokerClock
from rota.worker.consume.unknown_types import Unhandled
from rota.worker.run.attempt import Attempt
from rota.worker.run.concurrency import Slots
from rota.worker.run.executor import Executor, RunSettings


async def run(app: Rota, type: str, *, level: str = "debug", retried: int = 0, max_retry: int = 25) -> None:
    """Run one task to its end."""
    ended = asyncio.Queue[Outcome | None]()
    executor = Executor(
        app.find_handler,
        Slots(1),
        BrokerClock(),
        lambda attempt, outcome: ended.put_nowait(outcome),
        unhandled=Unhandled(lambda type: app.find_handler(type) is not None, timedelta(seconds=1), 30),
        settings=RunSettings(task_log_level=level),  # type: ignore[arg-type]
    )
    id = "one"
    message = TaskMessage.FromString(pack(type, b"", id, queue="low"))
    message.retried, message.retry = retried, max_retry
    executor.start(Attempt(QueueKeys("low"), "token", id, message.SerializeToString(), float("inf")))
    await ended.get()
    await asyncio.sleep(0)  # the log comes after the outcome


@pytest.fixture
def app() -> Rota:
    app = Rota()

    @app.task("email:welcome")
    async def welcome() -> None: ...

    @app.task("email:fail")
    async def fail() -> None:
        raise ValueError("no such user.")

    @app.task("email:later")
    async def later() -> None:
        raise RetryLater("5s")

    @app.task("email:revoke")
    async def revoke() -> None:
        raise Revoke

    return app


@pytest.mark.parametrize(
    ("type", "end"),
    [
        ("email:welcome", r"email:welcome \d+ ms \(one\)"),
        ("email:fail", r"email:fail failed after \d+ ms \(one\)"),
        ("email:later", r"email:later put off after \d+ ms \(one\)"),
        ("email:revoke", r"email:revoke revoked after \d+ ms \(one\)"),
    ],
)
async def test_each_task_is_logged_when_it_begins_and_when_it_ends(
    app: Rota, type: str, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "rota.task")

    await run(app, type)

    begun, *_, ended = [record for record in caplog.records if record.name == "rota.task"]
    assert begun.getMessage() == f"{type} started (one)"
    assert re.fullmatch(end, ended.getMessage())
    assert {begun.levelno, ended.levelno} == {logging.DEBUG}


async def test_the_level_of_these_lines_can_be_chosen(app: Rota, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "rota.task")

    await run(app, "email:welcome", level="info")
    shown = len(caplog.records)
    await run(app, "email:welcome", level="debug")

    assert (shown, len(caplog.records)) == (2, 2)


async def test_every_record_about_a_task_carries_its_fields(app: Rota, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "rota")

    await run(app, "email:fail", retried=2)

    fields: list[dict[str, Any]] = [vars(record) for record in caplog.records]
    assert len(fields) == 3
    for each in fields:
        assert (each["task_id"], each["task_type"], each["queue"], each["attempt"]) == ("one", "email:fail", "low", 3)


async def test_a_record_factory_of_the_app_that_sets_the_same_fields_is_borne(
    app: Rota, caplog: pytest.LogCaptureFixture
) -> None:
    factory = logging.getLogRecordFactory()

    def with_task(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = factory(*args, **kwargs)
        vars(record)["task_id"] = "mine"
        return record

    caplog.set_level(logging.DEBUG, "rota")
    logging.setLogRecordFactory(with_task)
    try:
        await run(app, "email:fail")
    finally:
        logging.setLogRecordFactory(factory)

    assert [vars(record)["task_id"] for record in caplog.records] == ["mine"] * 3


async def test_an_error_text_with_a_full_stop_gets_no_second_one(app: Rota, caplog: pytest.LogCaptureFixture) -> None:
    await run(app, "email:fail")

    assert "no such user. Runs again" in caplog.text
    assert ".." not in caplog.text.replace("...", "")


@pytest.mark.parametrize(("max_retry", "limit"), [(25, 3), (7, 7)], ids=["not said by Go", "said"])
async def test_the_log_counts_retries_up_to_the_limit_that_holds(
    caplog: pytest.LogCaptureFixture, max_retry: int, limit: int
) -> None:
    app = Rota()

    @app.task("email:fail", retry=Retry(max=3))
    async def fail() -> None:
        raise ValueError("no such user")

    await run(app, "email:fail", max_retry=max_retry)

    assert f"retry 1 of {limit}." in caplog.text
