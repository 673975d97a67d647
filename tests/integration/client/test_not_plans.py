"""Arguments that are not plans are refused by every enqueue before anything is written."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from rota import ConfigError, OptionError, Plan, Rota


@pytest.fixture
async def app(redis_url: str) -> AsyncIterator[Rota]:
    app = Rota(redis_url)
    app.task("given:work")(work)
    yield app
    await app.aclose()
    app.close()


async def work(number: int = 1) -> None: ...


async def later() -> list[Any]:
    return []


def plan() -> Plan[Any]:
    return Rota().plan("given:work", {})


async def stream() -> AsyncIterator[Plan[Any]]:
    yield plan()


NOT_PLANS: list[tuple[Callable[[], Any], str]] = [
    (lambda: None, "None is not an iterable of plans: give"),
    (lambda: 5, "5 is not an iterable of plans: give"),
    (object, "is not an iterable of plans: give"),
    (lambda: "text", "'text' is a str, not an iterable of plans: give"),
    (lambda: b"text", "is a bytes, not an iterable of plans"),
    (lambda: {"a": plan()}, "is a dict, not an iterable of plans"),
    (plan, "is one plan, where many are expected: send it with app.send"),
    (later, "await the coroutine"),
    (lambda: stream, "call the function first"),
    (lambda: Rota().task("given:work")(work), "call .plan"),
]


@pytest.mark.parametrize(("make", "said"), NOT_PLANS, ids=[said for _, said in NOT_PLANS])
async def test_what_is_not_an_iterable_of_plans_is_refused(app: Rota, make: Callable[[], Any], said: str) -> None:
    for given in (make(), make()):
        with pytest.raises(OptionError, match=said):
            await app.enqueue_many(given)
    with pytest.raises(OptionError, match=said):
        await asyncio.to_thread(app.enqueue_many_sync, make())
    async with aclosing(app.client.enqueue_stream(make())) as outcomes:
        with pytest.raises(OptionError, match=said):
            await anext(outcomes)
    with pytest.raises(OptionError, match=said):
        app.sync_client.enqueue_stream(make())


async def test_blocking_enqueue_of_an_async_iterable_says_what_to_do(app: Rota) -> None:
    with pytest.raises(OptionError, match=r"async iterable, and blocking code cannot iterate it: give a list, or use"):
        app.enqueue_many_sync(stream())  # type: ignore[arg-type]
    assert len(await app.enqueue_many(stream())) == 1


ITEMS: list[tuple[Callable[[], Any], str]] = [
    (lambda: None, "None is not a plan: make one with"),
    (lambda: "text", "'text' is not a plan"),
    (later, "await the coroutine and give its result; for a call of a task use task.plan"),
    (lambda: Rota().task("given:work")(work), "call .plan"),
]


@pytest.mark.parametrize(("make", "said"), ITEMS, ids=[said for _, said in ITEMS])
@pytest.mark.parametrize("with_middleware", [False, True])
async def test_item_that_is_not_a_plan_is_refused_alone_and_the_others_are_sent(
    app: Rota, make: Callable[[], Any], said: str, with_middleware: bool
) -> None:
    if with_middleware:

        @app.enqueue_middleware
        def named(plan: Plan[Any]) -> Iterator[None]:
            assert plan.type
            yield

    outcomes = await app.enqueue_many([plan(), make(), plan()])
    blocking = await asyncio.to_thread(app.enqueue_many_sync, [plan(), make()])

    assert [isinstance(each, OptionError) for each in (*outcomes, *blocking)] == [False, True, False, False, True]
    assert said in str(outcomes[1])
    assert said in str(blocking[1])
    with pytest.raises(OptionError, match=said):
        await app.send(make())
    with pytest.raises(OptionError, match=said):
        app.send_sync(make())


async def test_receipt_in_place_of_a_plan_is_told_to_be_enqueued(app: Rota) -> None:
    receipt = await app.send(plan())
    [outcome] = await app.enqueue_many([receipt])  # type: ignore[list-item]
    assert "it is enqueued already" in str(outcome)


async def test_middleware_that_yields_something_else_than_a_plan_is_named(app: Rota) -> None:
    @app.enqueue_middleware
    def wrong(plan: Plan[Any]) -> Iterator[Any]:
        yield plan.type

    said = r"The enqueue middleware .*wrong yielded a str: yield the plan"
    with pytest.raises(OptionError, match=said):
        await app.send(plan())
    with pytest.raises(OptionError, match=said):
        app.send_sync(plan())
    [outcome] = await app.enqueue_many([plan()])
    assert isinstance(outcome, OptionError)


class Broken:
    def __iter__(self) -> Iterator[Plan[Any]]:
        raise LookupError("cannot begin")


async def test_iterable_that_cannot_begin_is_one_outcome(app: Rota) -> None:
    for outcomes in (await app.enqueue_many(Broken()), app.enqueue_many_sync(Broken())):
        assert len(outcomes) == 1
        assert "LookupError: cannot begin" in str(outcomes[0])


@pytest.mark.parametrize("given", [None, 5, b"x", ["x"]])
async def test_action_on_what_is_not_the_name_of_a_task_is_refused(app: Rota, given: Any) -> None:
    receipt = await app.client.enqueue(app.plan("given:work", {}, delay="1h"))
    for act in (app.client.info, app.client.cancel, app.client.delete, app.client.run_now):
        with pytest.raises(OptionError, match=r"The task ID is .*must be a text"):
            await act("default", given)
        with pytest.raises(OptionError, match=r"The queue name is .*must be a text"):
            await act(given, receipt.id)
    with pytest.raises(OptionError, match=r"The reason is .*must be a text"):
        await receipt.cancel(given)
    await receipt.update_payload(bytearray(b"{}"))
    assert (await receipt.info()).payload == b"{}"


@pytest.mark.parametrize("given", [None, 5, "", " ", b"a:b", ["a:b"]])
async def test_type_that_is_not_a_name_is_refused(app: Rota, given: Any) -> None:
    with pytest.raises(ConfigError, match="is blank or not a text"):
        await app.enqueue(given)


async def test_task_or_plan_in_place_of_a_type_says_how_to_enqueue_it(app: Rota) -> None:
    task = Rota().task("given:work")(work)
    with pytest.raises(ConfigError, match=r"own method: task.enqueue\("):
        await app.enqueue(task)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"by app.send\(plan\)"):
        await app.enqueue(plan())  # type: ignore[arg-type]


class Lazy(list[Plan[Any]]):
    def __repr__(self) -> str:
        raise AssertionError("a good list of plans is not looked at")


async def test_plans_that_are_right_are_not_written_as_text(app: Rota) -> None:
    assert len(await app.enqueue_many(Lazy([plan()]))) == 1


class Both:
    def __iter__(self) -> Iterator[Plan[Any]]:
        return iter([plan()])

    def __aiter__(self) -> AsyncIterator[Plan[Any]]:
        raise NotImplementedError


def test_blocking_code_takes_what_can_be_iterated_both_ways(app: Rota) -> None:
    assert len(app.enqueue_many_sync(Both())) == 1
