"""Code of the user around a run that fails itself: the task must neither hang nor take its slot along."""

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from typing import Annotated, Any, NoReturn

import pytest
from pydantic import BaseModel, model_serializer

from rota.app import Rota
from rota.errors import RetryLater, Revoke, SkipRetry, TaskFailed
from rota.tasks.context import Context
from rota.tasks.policy import Retry
from rota.tasks.signature import INJECTED, Depends
from rota.wire.names import MAX_ERROR_BYTES
from rota.wire.proto import TaskMessage
from rota.worker.run import verdict
from rota.worker.run.attempt import Attempt
from rota.worker.worker import Worker
from tests.integration.worker.conftest import Bench, eventually


class Speechless(Exception):
    def __str__(self) -> str:
        raise LookupError("no words")


class Departing(Exception):
    def __str__(self) -> str:
        sys.exit(1)


class WithoutName(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise LookupError("no name")


class Nameless(Exception, metaclass=WithoutName):
    pass


class Classless(Exception):
    @property  # type: ignore[override]
    def __class__(self) -> NoReturn:
        raise LookupError("no class")


class Memberless(ExceptionGroup[Exception]):
    @property
    def exceptions(self) -> NoReturn:
        raise LookupError("no members")


class Unshown:
    def __repr__(self) -> str:
        raise LookupError("no words")

    __str__ = __repr__


class Odd(BaseException):
    """Not an Exception."""


def broken(*args: object) -> NoReturn:
    raise KeyError("own code")


async def all_slots_are_free(worker: Worker) -> None:
    """Wait for it: a fetch that is under way reserves slots too."""

    async def free() -> bool:
        return worker.slots.used == 0

    await eventually(free)


def leaves(*args: object) -> NoReturn:
    sys.exit("bye")


@pytest.mark.parametrize(
    ("raised", "policy", "said"),
    [
        (lambda: RetryLater("30"), Retry(), "could not be decided: OptionError: the delay of RetryLater"),
        (lambda: ValueError("x"), Retry(delay=broken), "ValueError: x (and how to retry it could not be decided"),
        (lambda: ValueError("x"), Retry(delay=lambda retried, error: "soon"), "could not be decided: OptionError"),
        (lambda: ValueError("x"), Retry(is_failure=broken), "could not be decided: KeyError: 'own code'"),
        (lambda: ValueError("x"), Retry(is_failure=leaves), "could not be decided: SystemExit: bye"),
        (lambda: ValueError("x"), Retry(delay=leaves), "could not be decided: SystemExit: bye"),
        (Speechless, Retry(), "Speechless: its text cannot be read"),
        (Departing, Retry(), "Departing: its text cannot be read"),
        (lambda: ExceptionGroup("two", [Departing(), KeyError(1)]), Retry(), "Departing: its text cannot be read; Key"),
        (lambda: ValueError(Unshown()), Retry(), "ValueError: its text cannot be read"),
        (
            lambda: Nameless(),
            Retry(),
            "an error of the class Nameless, which cannot be read: its own code raises Look",
        ),
        (lambda: Classless(), Retry(), "an error of the class Classless, which cannot be read"),
        (lambda: Memberless("two", [KeyError(1)]), Retry(), "an error of the class Memberless, which cannot be read"),
    ],
)
async def test_a_fault_in_a_retry_policy_is_told_and_the_task_is_retried_by_default(
    app: Rota, bench: Bench, raised: Callable[[], Exception], policy: Retry, said: str
) -> None:
    @app.task("own:policy", retry=policy)
    async def fail() -> None:
        raise raised()

    async with app.worker() as worker:
        task = await bench.in_state((await fail.enqueue()).id, "retry")
        await all_slots_are_free(worker)
    assert said in task.last_error
    assert task.retried == 1


async def test_error_text_of_any_length_is_recorded_in_part(app: Rota, bench: Bench) -> None:
    @app.task("own:long", retry=Retry(max=1, delay="1ms"))
    async def fail() -> None:
        raise ExceptionGroup("long", [ValueError("x" * 10_000_000), KeyError("y" * 10_000_000)])

    async with app.worker():
        job = await fail.options(retention="1h").enqueue()
        with pytest.raises(TaskFailed) as failed:
            await job.result("30s")
        found = await bench.in_state(job.id, "archived")
    assert len(found.last_error.encode()) <= MAX_ERROR_BYTES
    assert found.last_error.startswith("ExceptionGroup: long (2 sub-exceptions): ValueError: xxx")
    assert len(failed.value.reason.encode()) <= MAX_ERROR_BYTES


def test_outcome_of_a_failure_is_as_short_as_its_message() -> None:
    async def fail() -> None: ...

    app = Rota()
    attempt = Attempt(app.keys.queue("default"), "token", "id", b"", 0.0)
    attempt.message = TaskMessage(id="id", type="own:long")
    attempt.type = "own:long"
    attempt.handler = app.task("own:long")(fail).handler
    outcome = verdict.failed(attempt, ValueError("x" * 1_000_000), 0.0).outcome
    assert outcome is not None
    assert len(outcome.text) <= MAX_ERROR_BYTES


@pytest.mark.parametrize("run", ["loop", "thread"])
async def test_a_stop_iteration_that_python_replaced_is_judged_by_its_own_class(
    app: Rota, bench: Bench, run: str
) -> None:
    def first() -> int:
        return next(iter(()))

    async def first_on_loop() -> int:
        return first()

    retry = Retry(never=StopIteration)
    task = app.task("own:stop", retry=retry)(first if run == "thread" else first_on_loop)

    async with app.worker():
        found = await bench.in_state((await task.enqueue()).id, "archived")
    assert found.last_error == "StopIteration"


async def test_a_hook_that_outlives_its_limit_is_cancelled_and_the_outcome_stands(app: Rota, bench: Bench) -> None:
    async def endless(context: object, result: object) -> None:
        while True:
            with suppress(asyncio.CancelledError):
                await ended.wait()
                return

    ended = asyncio.Event()

    @app.task("own:hook", retention="1h", on_success=endless)
    async def succeed() -> int:
        return 7

    async with app.worker(hook_timeout="50ms") as worker:
        job = await succeed.enqueue()
        assert await job.result("30s") == 7
        await all_slots_are_free(worker)
        ended.set()
    assert (await job.info()).state == "completed"


async def test_a_verdict_stands_although_a_hook_hangs_when_the_worker_stops(app: Rota, bench: Bench) -> None:
    begun = asyncio.Event()

    async def endless(context: object, error: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    @app.task("own:hook", timeout="1s", on_failure=endless)
    async def slow() -> None:
        await asyncio.Event().wait()

    async with app.worker(shutdown_timeout="50ms"):
        job = await slow.enqueue()
        await begun.wait()
    task = await bench.in_state(job.id, "retry")
    assert (task.last_error, task.retried) == ("context deadline exceeded", 1)


@pytest.mark.parametrize("ends", [SystemExit, KeyboardInterrupt, Odd, asyncio.CancelledError, GeneratorExit])
@pytest.mark.parametrize("event", ["success", "failure", "exhausted"])
async def test_a_hook_that_wants_to_end_the_program_ends_only_itself(
    app: Rota, bench: Bench, event: str, ends: type[BaseException]
) -> None:
    called: list[str] = []

    def leave(context: object, value: object) -> NoReturn:
        called.append(event)
        raise ends

    async def leave_later(context: object, value: object) -> None:
        await asyncio.sleep(0)
        leave(context, value)

    @app.task("own:hook", retention="1h", retry=Retry(max=0 if event == "exhausted" else 3))
    async def work() -> None:
        if event != "success":
            raise ValueError("x")

    for hook in (leave, leave_later, lambda context, value: called.append("last")):
        getattr(app, f"on_{event}")(hook)
    async with app.worker() as worker:
        state = {"success": "completed", "failure": "retry", "exhausted": "archived"}[event]
        await bench.in_state((await work.enqueue()).id, state)
        await all_slots_are_free(worker)
    assert called == [event, event, "last"]


async def test_a_hook_that_returns_what_nobody_runs_is_named_and_the_next_one_runs(
    app: Rota, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    called: list[str] = []

    async def generate(context: object) -> AsyncIterator[int]:
        yield 1

    async def wait(context: object) -> None:
        called.append("awaited")

    async def forget(context: object, result: object) -> Any:
        return wait(context)

    hooks = [
        lambda context, result: generate(context),
        lambda context, result: (number for number in range(3)),
        forget,
        lambda context, result: wait(context),
    ]

    @app.task("own:hook", retention="1h", on_success=hooks)
    async def work() -> None: ...

    async with app.worker():
        await (await work.enqueue()).result("30s")
    assert called == ["awaited"]
    for said in ("returned an async_generator", "returned a generator", "The success hook forget", "coroutine (wait)"):
        assert said in caplog.text


@pytest.mark.parametrize("code", ["middleware", "dependency", "result", "handler"])
async def test_what_wants_to_end_the_program_around_a_handler_is_a_failure_of_the_task(
    app: Rota, bench: Bench, code: str
) -> None:
    class Leaves(BaseModel):
        @model_serializer
        def leave(self) -> int:
            sys.exit(3)

    async def resource() -> AsyncIterator[int]:
        yield 1
        if code == "dependency":
            sys.exit(3)

    @app.middleware
    async def around(context: Context) -> AsyncGenerator[None]:
        yield
        if code == "middleware":
            sys.exit(3)

    @app.task("own:around", retention="1h", result=Any)
    async def work(number: Annotated[int, Depends(resource)] = INJECTED) -> object:
        if code == "handler":
            sys.exit(3)
        return Leaves() if code == "result" else number

    async with app.worker() as worker:
        task = await bench.in_state((await work.enqueue()).id, "retry", "archived")
        await all_slots_are_free(worker)
    assert "SystemExit: 3" in task.last_error


async def test_a_handler_that_ignored_its_time_limit_can_still_be_cancelled(app: Rota, bench: Bench) -> None:
    ignored = asyncio.Event()

    @app.task("own:deaf", timeout="1s")
    async def deaf() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        ignored.set()
        await asyncio.Event().wait()

    async with app.worker() as worker:
        job = await deaf.enqueue()
        await ignored.wait()
        await job.cancel("enough")
        task = await bench.in_state(job.id, "archived")
        await all_slots_are_free(worker)
    assert (task.end, task.last_error) == ("cancelled", "cancelled: enough")


async def test_a_handler_that_ignored_its_time_limit_is_still_stopped_at_the_shutdown(app: Rota, bench: Bench) -> None:
    ignored = asyncio.Event()

    @app.task("own:deaf", timeout="1s")
    async def deaf() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        ignored.set()
        await asyncio.Event().wait()

    async with app.worker(shutdown_timeout="50ms"):
        job = await deaf.enqueue()
        await ignored.wait()
    task = await bench.in_state(job.id, "retry")
    assert (task.last_error, task.retried, task.crashes) == ("context deadline exceeded", 1, 0)


@pytest.mark.parametrize(
    ("errors", "state", "said"),
    [
        ([ValueError("x"), SkipRetry("never again")], "archived", "SkipRetry: never again"),
        ([ValueError("x"), KeyError("never")], "archived", "KeyError: 'never'"),
        ([ValueError("x"), ExceptionGroup("inner", [RetryLater("1h", reason="busy")])], "retry", "RetryLater: busy"),
        (
            [ValueError("x"), OSError("y")],
            "retry",
            "ExceptionGroup: outer (2 sub-exceptions): ValueError: x; OSError: y",
        ),
    ],
)
async def test_what_a_handler_tells_the_worker_is_seen_in_a_group_of_errors(
    app: Rota, bench: Bench, errors: list[Exception], state: str, said: str
) -> None:
    @app.task("own:group", retry=Retry(never=KeyError))
    async def fail() -> None:
        raise ExceptionGroup("outer", errors)

    async with app.worker():
        task = await bench.in_state((await fail.enqueue()).id, "retry", "archived")
    assert (str(task.state), said in task.last_error) == (state, True)


async def test_a_task_that_is_revoked_in_a_group_of_errors_is_gone(app: Rota, bench: Bench) -> None:
    @app.task("own:group")
    async def fail() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.Event().wait())
            raise Revoke

    async with app.worker() as worker:
        await bench.gone((await fail.enqueue()).id)
        await all_slots_are_free(worker)
