"""What a test can say about the tasks that wait in a sandbox, and what it is told if that is not so."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from rota import Context, Payload, Rota
from rota.errors import OptionError
from rota.testing import Sandbox, SandboxServer

app = Rota("redis://127.0.0.1:1/0")


class Order(BaseModel):
    number: int
    day: date


@app.task("email:welcome")
async def welcome(context: Context, user_id: int, locale: str = "en") -> None:
    """Welcome."""


@app.task("order:ship")
async def ship(order: Annotated[Order, Payload]) -> None:
    """Ship."""


@app.task("order:move")
async def move(order: Order, day: date) -> None:
    """Move."""


@app.task("queue:clear")
async def clear(queue: str) -> None:
    """Clear."""


ORDER = Order(number=7, day=date(2026, 3, 2))


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@pytest.fixture
def sandbox(server: SandboxServer) -> Iterator[Sandbox]:
    with Sandbox(app, server=server) as sandbox:
        yield sandbox


def told(sandbox: Sandbox, *args: object, **words: object) -> str:
    with pytest.raises(AssertionError) as caught:
        sandbox.assert_enqueued(*args, **words)  # type: ignore[arg-type]
    return str(caught.value)


def test_task_is_found_by_all_some_or_none_of_its_arguments(sandbox: Sandbox) -> None:
    job = welcome.enqueue_sync(7, locale="sv")

    for found in (
        sandbox.assert_enqueued(welcome),
        sandbox.assert_enqueued(welcome, 7),
        sandbox.assert_enqueued(welcome, locale="sv"),
        sandbox.assert_enqueued(welcome, 7, locale="sv", queue="default", count=1),
        sandbox.assert_enqueued(welcome.plan(7, "sv")),
        sandbox.assert_enqueued("email:welcome"),
        sandbox.assert_enqueued("email:welcome", user_id=7),
        sandbox.assert_enqueued("email:welcome", {"locale": "sv", "user_id": 7}),
    ):
        assert [task.id for task in found] == [job.id]


def test_other_arguments_queues_and_types_do_not_fit(sandbox: Sandbox) -> None:
    welcome.enqueue_sync(7)

    sandbox.assert_not_enqueued(welcome, 8)
    sandbox.assert_not_enqueued(welcome, 7, queue="low")
    sandbox.assert_not_enqueued(welcome.plan(7, "sv"))
    sandbox.assert_not_enqueued(ship)
    sandbox.assert_not_enqueued("email:welcome", user_id="7")
    sandbox.assert_not_enqueued("email:welcome", {"user_id": 7})


def test_arguments_are_compared_as_the_function_gets_them(sandbox: Sandbox) -> None:
    move.enqueue_sync(ORDER, ORDER.day)

    sandbox.assert_enqueued(move, order=ORDER)
    sandbox.assert_enqueued(move, day=date(2026, 3, 2))
    sandbox.assert_enqueued(move, day="2026-03-02")
    sandbox.assert_not_enqueued(move, day=date(2026, 3, 3))


def test_default_of_a_go_client_that_left_it_out_is_compared(sandbox: Sandbox) -> None:
    Rota(sandbox.url).enqueue_sync("email:welcome", {"user_id": 7})

    sandbox.assert_enqueued(welcome, 7, locale="en")


def test_whole_payload_is_one_argument(sandbox: Sandbox) -> None:
    ship.enqueue_sync(ORDER)

    sandbox.assert_enqueued(ship, ORDER)
    sandbox.assert_enqueued("order:ship", ORDER)
    sandbox.assert_not_enqueued(ship, Order(number=8, day=ORDER.day))


@pytest.mark.parametrize("payload", [b"", b"{", b"[7]", b'{"user_id": {}}'])
def test_payload_of_another_program_that_does_not_fit_is_another_task(sandbox: Sandbox, payload: bytes) -> None:
    Rota(sandbox.url).enqueue_sync("email:welcome", payload)

    sandbox.assert_enqueued(welcome, count=1)
    sandbox.assert_not_enqueued(welcome, 7)
    sandbox.assert_not_enqueued("email:welcome", user_id=7)


def test_tasks_in_every_waiting_state_are_listed_by_queue(sandbox: Sandbox) -> None:
    welcome.options(delay="1h").enqueue_sync(1)
    welcome.options(group="page-7").enqueue_sync(2)
    welcome.enqueue_sync(3)
    welcome.options(queue="a-queue").enqueue_sync(4)

    listed = [(task.queue, task.state, task.payload[11:12]) for task in sandbox.enqueued()]

    assert listed == [
        ("a-queue", "pending", b"4"),
        ("default", "pending", b"3"),
        ("default", "aggregating", b"2"),
        ("default", "scheduled", b"1"),
    ]
    assert [task.queue for task in sandbox.enqueued("a-queue")] == ["a-queue"]
    assert sandbox.enqueued("unknown") == []


def test_more_tasks_than_one_page_are_listed(sandbox: Sandbox) -> None:
    app.enqueue_many_sync(welcome.plan(number) for number in range(1200))

    assert len(sandbox.enqueued()) == 1200


def test_failure_shows_what_was_enqueued_instead_with_the_type_first(sandbox: Sandbox) -> None:
    sandbox.clock.freeze(datetime(2031, 3, 3, tzinfo=UTC))
    later = "2031-03-03 00:00:00.500000+00:00"
    move.enqueue_sync(ORDER, ORDER.day)
    welcome.options(queue="low").enqueue_sync(8)
    welcome.options(delay=0.5, queue="zero").enqueue_sync(9)

    assert told(sandbox, welcome, 7, queue="low") == (
        "Expected a task email:welcome with user_id=7 in queue 'low', but found none.\n"
        "These tasks wait in the sandbox:\n"
        '     low: email:welcome {"user_id":8,"locale":"en"}, pending\n'
        f'     zero: email:welcome {{"user_id":9,"locale":"en"}}, scheduled at {later}\n'
        '     default: order:move {"order":{"number":7,"day":"2026-03-02"},"day":"2026-03-02"}, pending'
    )


def test_failure_in_an_empty_sandbox_says_so(sandbox: Sandbox) -> None:
    assert told(sandbox, welcome) == ("Expected a task email:welcome, but found none.\nNo task waits in the sandbox.")


def test_failure_for_a_task_of_an_app_outside_the_sandbox_says_so(server: SandboxServer) -> None:
    other = Rota("redis://127.0.0.1:1/0")
    with Sandbox(other, server=server) as sandbox:
        sandbox.assert_not_enqueued(welcome)
        assert "No app of this sandbox has the task email:welcome." in told(sandbox, welcome)
        assert "No app" not in told(sandbox, "email:welcome")
        other.enqueue_sync("email:welcome", {"user_id": 7})
        sandbox.assert_enqueued(welcome, 7)
        assert "No app" not in told(sandbox, welcome, count=0)


def test_failure_of_a_count_marks_the_tasks_that_fit(sandbox: Sandbox) -> None:
    welcome.enqueue_sync(7)
    welcome.enqueue_sync(8)

    assert told(sandbox, welcome, 7, count=2) == (
        "Expected 2 tasks email:welcome with user_id=7, but found 1.\n"
        "These tasks wait in the sandbox:\n"
        '  -> default: email:welcome {"user_id":7,"locale":"en"}, pending\n'
        '     default: email:welcome {"user_id":8,"locale":"en"}, pending'
    )


def test_failure_of_the_negative_names_what_was_found(sandbox: Sandbox) -> None:
    welcome.enqueue_sync(7)

    with pytest.raises(AssertionError, match=r"(?s)^Expected no task email:welcome, but found 1\..*-> default: email"):
        sandbox.assert_not_enqueued(welcome)


def test_misspelt_argument_is_refused_and_not_just_unequal(sandbox: Sandbox) -> None:
    with pytest.raises(OptionError, match=r"takes no argument 'user'\. Did you mean 'user_id'\?"):
        sandbox.assert_not_enqueued(welcome, user=7)


def test_too_many_or_repeated_arguments_are_refused(sandbox: Sandbox) -> None:
    with pytest.raises(OptionError, match="takes 2 arguments by position, not 3"):
        sandbox.assert_enqueued(welcome, 7, "sv", "more")
    with pytest.raises(OptionError, match="got 'user_id' twice"):
        sandbox.assert_enqueued(welcome, 7, user_id=7)
    with pytest.raises(OptionError, match="has its arguments already"):
        sandbox.assert_enqueued(welcome.plan(7), 7)
    with pytest.raises(OptionError, match="only a name"):
        sandbox.assert_enqueued("email:welcome", {"user_id": 7}, locale="sv")


@pytest.mark.parametrize("count", ["1", -1, True, 1.0])
def test_count_that_is_not_a_number_of_tasks_is_refused(sandbox: Sandbox, count: Any) -> None:
    with pytest.raises(OptionError, match=f"count is {count!r}, but must be a whole number, 0 or more"):
        sandbox.assert_enqueued(welcome, count=count)


def test_parameter_with_the_name_of_an_option_is_compared_by_a_plan(sandbox: Sandbox) -> None:
    clear.enqueue_sync("mail")

    with pytest.raises(OptionError, match=r"assert_enqueued\(.*clear\.plan\(\.\.\.\)\)"):
        sandbox.assert_enqueued(clear, queue="mail")
    sandbox.assert_enqueued(clear.plan("mail"), queue="default")


def test_another_kind_of_value_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(OptionError, match="not a task, a plan or the name of a type"):
        sandbox.assert_not_enqueued(welcome.function)  # type: ignore[arg-type]
