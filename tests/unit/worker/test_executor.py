"""The executor at moments that a whole worker meets by chance only."""

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta

import pytest

from rota.app import Rota
from rota.tasks.context import Context
from rota.tasks.handler import Event
from rota.wire.fetch import Notes
from rota.wire.keys import QueueKeys
from rota.wire.message import pack
from rota.wire.outcome import Outcome
from rota.wire.proto import TaskMessage
from rota.wire.times import LAST_SECOND
from rota.worker.clock import BrokerClock, lease_clock
from rota.worker.consume.unknown_types import Unhandled
from rota.worker.run.attempt import Attempt, Stop
from rota.worker.run.concurrency import Slots
from rota.worker.run.executor import Executor, RunSettings
from rota.worker.run.outcome_events import outcome_events
from rota.worker.run.verdict import Verdict

Ended = asyncio.Queue[tuple[Attempt, Outcome | None]]


def executor_of(app: Rota, slots: Slots, ended: Ended) -> Executor:
    return Executor(
        app.find_handler,
        slots,
        BrokerClock(),
        lambda attempt, outcome: ended.put_nowait((attempt, outcome)),
        unhandled=Unhandled(lambda type: app.find_handler(type) is not None, timedelta(seconds=1), 30),
        settings=RunSettings(),
    )


def attempt_of(
    type: str, id: str = "x", *, timeout: timedelta | None = None, deadline: datetime | None = None
) -> Attempt:
    raw = pack(type, b"", id, queue="q", timeout=timeout, deadline=deadline)
    return Attempt(QueueKeys("q"), "token", id, raw, float("inf"))


async def one_at_a_time(app: Rota) -> asyncio.Event:
    """Register a handler of which one runs at a time, until the event is set."""
    go_on = asyncio.Event()

    @app.task("one:atatime", concurrency=1)
    async def one() -> None:
        await go_on.wait()

    return go_on


def add_never_begun(app: Rota) -> None:
    """Add a task whose attempt must end before it begins."""

    @app.task("never:begun")
    async def never() -> None:
        raise AssertionError("it ran")


async def test_attempt_that_is_handed_back_unstarted_has_ended_before_its_outcome_is_recorded() -> None:
    app, slots, ended = Rota(), Slots(3), Ended()
    go_on = await one_at_a_time(app)
    executor = executor_of(app, slots, ended)
    unknown, running, parked = attempt_of("nobody:knows"), attempt_of("one:atatime"), attempt_of("one:atatime", "y")
    slots.take(3)
    for attempt in (unknown, running, parked):
        executor.start(attempt)

    assert set(executor.held) == {unknown, running, parked}
    assert [executor.has_ended(attempt) for attempt in (unknown, running, parked)] == [True, False, False]
    executor.hand_back_parked()
    assert executor.has_ended(parked)
    go_on.set()


async def test_a_task_that_is_stopped_before_its_first_step_frees_its_slot_and_is_recorded() -> None:
    app, slots, ended = Rota(), Slots(1), Ended()

    @app.task("never:begun", concurrency=1)
    async def never() -> None:
        raise AssertionError("it ran")

    executor = executor_of(app, slots, ended)
    attempt = attempt_of("never:begun")
    slots.take(1)

    executor.start(attempt)
    executor.stop(attempt, "cancelled", "too late")

    async with asyncio.timeout(30):
        _, outcome = await ended.get()
    assert outcome is not None
    assert (outcome.kind, outcome.ending, outcome.text) == ("archive", "cancelled", b"cancelled: too late")
    assert (slots.used, executor.running()) == (0, [])


@pytest.mark.parametrize(("why", "event"), [("timeout", "failure"), ("deadline", "exhausted")])
async def test_the_hooks_hear_of_a_task_whose_time_was_over_before_its_first_step(why: Stop, event: Event) -> None:
    app, slots, ended = Rota(), Slots(1), Ended()
    told: list[str] = []
    add_never_begun(app)
    getattr(app, f"on_{event}")(lambda context, error: told.append(f"{context.id}: {error}"))
    executor = executor_of(app, slots, ended)
    attempt = attempt_of("never:begun")
    slots.take(1)
    executor.start(attempt)
    executor.stop(attempt, why)

    async with asyncio.timeout(30):
        await ended.get()
    assert told in (["x: context deadline exceeded: the timeout of 30m is over"], ["x: context deadline exceeded"])
    assert (slots.used, executor.running()) == (0, [])


async def test_task_stopped_before_its_first_step_is_recorded_when_a_shutdown_follows_before_its_hooks() -> None:
    app, slots, ended = Rota(), Slots(1), Ended()
    add_never_begun(app)
    executor = executor_of(app, slots, ended)
    attempt = attempt_of("never:begun")
    slots.take(1)
    executor.start(attempt)
    executor.stop(attempt, "timeout")
    assert attempt.task is not None
    attempt.task.add_done_callback(lambda _: executor.stop(attempt, "shutdown"))

    async with asyncio.timeout(30):
        _, outcome = await ended.get()
    assert outcome is not None
    assert outcome.kind == "retry"
    assert (slots.used, executor.running()) == (0, [])


@pytest.mark.parametrize("gives_up", [True, False])
async def test_a_run_that_was_stopped_because_its_lease_was_lost_costs_no_retry(gives_up: bool) -> None:
    app, slots, ended = Rota(), Slots(1), Ended()
    running = asyncio.Event()

    @app.task("has:lost")
    async def lost() -> None:
        running.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if gives_up:
                raise
            raise ValueError("its cleaning up failed") from None

    executor = executor_of(app, slots, ended)
    attempt = attempt_of("has:lost")
    slots.take(1)
    executor.start(attempt)
    async with asyncio.timeout(30):
        await running.wait()
        executor.stop(attempt, "lease", "the lease was lost")
        _, outcome = await ended.get()
    assert outcome is not None
    assert outcome.kind == "requeue"
    (event,) = outcome_events(attempt, Verdict(outcome))
    assert "stopped, since its lease was lost, and handed back" in event.message()


@pytest.mark.parametrize("why", ["cancelled", "lease"])
async def test_a_task_that_waits_for_its_turn_and_is_stopped_never_runs(why: Stop) -> None:
    app, slots, ended = Rota(), Slots(2), Ended()
    go_on = await one_at_a_time(app)
    executor = executor_of(app, slots, ended)
    first, second = attempt_of("one:atatime", "first"), attempt_of("one:atatime", "second")
    slots.take(2)
    executor.start(first)
    executor.start(second)

    executor.stop(second, why)
    go_on.set()

    async with asyncio.timeout(30):
        assert [(await ended.get())[0] for _ in range(2)] == [second, first]
    assert (slots.used, executor.running(), second.task) == (0, [], None)


async def test_the_time_limit_begins_when_the_task_does_and_not_while_it_waits_for_its_turn() -> None:
    app, slots, ended = Rota(), Slots(2), Ended()
    go_on = await one_at_a_time(app)
    executor = executor_of(app, slots, ended)
    slots.take(2)
    executor.start(attempt_of("one:atatime", "first"))
    second = attempt_of("one:atatime", "second", timeout=timedelta(seconds=60))
    executor.start(second)
    assert second.deadline_at == float("inf")

    go_on.set()
    before = asyncio.get_running_loop().time()
    async with asyncio.timeout(30):
        await ended.get()

    assert second.deadline_at >= before + 59


async def test_a_task_whose_deadline_passed_while_it_waited_for_its_turn_is_expired_unrun() -> None:
    app, slots, ended = Rota(), Slots(2), Ended()
    go_on = await one_at_a_time(app)
    executor = executor_of(app, slots, ended)
    slots.take(2)
    executor.start(attempt_of("one:atatime", "first"))
    second = attempt_of("one:atatime", "second", deadline=datetime.now(UTC) + timedelta(seconds=60))
    executor.start(second)
    second.message.deadline = int(time.time()) - 1

    go_on.set()
    async with asyncio.timeout(30):
        outcomes = {attempt.id: outcome for attempt, outcome in [await ended.get() for _ in range(2)]}

    assert (expired := outcomes["second"]) is not None
    assert expired.ending == "expired"
    assert slots.used == 0


@pytest.mark.parametrize("error", [RuntimeError("no log today"), SystemExit(1)])
async def test_a_log_filter_that_fails_keeps_no_outcome_from_its_record(
    error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    app, slots, ended = Rota(), Slots(1), Ended()
    executor = executor_of(app, slots, ended)
    slots.take(1)

    def broken(record: logging.LogRecord) -> bool:
        raise error

    logging.getLogger("rota.worker").addFilter(broken)
    try:
        executor.start(
            attempt_of("any:type"), Notes("cancelled before it ran", 0)
        )  # its caller is the fetcher, which an error would end
    finally:
        logging.getLogger("rota.worker").removeFilter(broken)

    assert (ended.qsize(), slots.used) == (1, 0)
    assert type(error).__name__ in capsys.readouterr().err


async def test_a_task_whose_lease_ran_out_before_it_could_begin_is_handed_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app, slots, ended = Rota(), Slots(1), Ended()

    @app.task("never:begun", concurrency=1)
    async def never() -> None:
        raise AssertionError("it may run elsewhere")

    executor = executor_of(app, slots, ended)
    attempt = attempt_of("never:begun")
    attempt.lease_until = lease_clock() - 1
    slots.take(1)
    executor.start(attempt)
    _, outcome = await ended.get()
    assert outcome == Outcome("x", "token", "requeue")
    assert slots.free == 1
    assert "not begun, since its lease had run out, and handed back" in caplog.text


@pytest.mark.parametrize("deadline", [1, -1, -315619200, -(2**63)])
async def test_a_task_whose_deadline_lies_in_the_past_or_before_1970_expires_unrun(deadline: int) -> None:
    app, slots, ended = Rota(), Slots(1), Ended()
    add_never_begun(app)
    executor = executor_of(app, slots, ended)
    attempt = attempt_of("never:begun")
    attempt.raw = TaskMessage(id="x", type="never:begun", queue="q", deadline=deadline).SerializeToString()
    slots.take(1)
    executor.start(attempt)

    async with asyncio.timeout(30):
        _, outcome = await ended.get()
    assert outcome is not None
    assert (outcome.kind, outcome.ending) == ("archive", "expired")


@pytest.mark.parametrize(
    "times", [{"deadline": 253402300800}, {"deadline": 2**63 - 1}, {"timeout": 2**63 - 1}, {"timeout": 10**12}]
)
async def test_a_time_beyond_the_calendar_counts_as_the_end_of_the_year_9999(times: dict[str, int]) -> None:
    app, slots, ended = Rota(), Slots(1), Ended()
    seen: list[object] = []

    @app.task("far:away")
    async def far(context: Context) -> None:
        seen.append(context.deadline)
        seen.append(context.time_left)

    executor = executor_of(app, slots, ended)
    attempt = attempt_of("far:away")
    attempt.raw = TaskMessage(id="x", type="far:away", queue="q", **times).SerializeToString()
    slots.take(1)
    executor.start(attempt)

    async with asyncio.timeout(30):
        assert (await ended.get())[1] is None
    assert seen[0] == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert attempt.deadline_unix == LAST_SECOND  # so its record, which shows nanoseconds, can hold it
