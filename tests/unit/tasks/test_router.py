"""Routers: what an include gives to tasks, what it refuses, and what a task says before it."""

import pickle
import types
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from typing import Annotated, Any

import pytest

from rota import (
    INJECTED,
    Context,
    Depends,
    GroupedTask,
    OptionError,
    Plan,
    Retry,
    Rota,
    RoutingError,
    Tasks,
    Unique,
)
from rota.tasks.context import blank
from rota.tasks.handler import Handler
from rota.tasks.router import left_out

HERE = "test_router.py:"


def job(number: int) -> str:
    return str(number)


def silent(number: int) -> None: ...


def handler_of(app: Rota, type: str) -> Handler:
    handler = app.find_handler(type)
    assert handler is not None
    return handler


# What an include gives


def test_include_puts_the_prefix_before_each_type() -> None:
    app, tasks = Rota(), Tasks()
    charge = tasks.task("charge")(job)
    tasks.handler("event:")(lambda ctx, payload: None)

    app.include(tasks, prefix="billing:")

    assert sorted(handler.type for handler in app.registry) == ["billing:charge", "billing:event:"]
    assert charge.type == "billing:charge"
    assert charge.plan(7).type == "billing:charge"
    assert app.plan("billing:charge", {"number": 7}).payload == b'{"number":7}'
    assert app.find_handler("charge") is None
    assert app.find_handler("billing:event:paid") is not None


def test_options_of_an_include_apply_below_those_of_the_task() -> None:
    app, tasks = Rota(), Tasks()
    plain = tasks.task("plain")(job)
    own = tasks.task("own", queue="own", timeout="5s", retry=1, retention="2h", headers={"b": "own"})(job)
    reset = tasks.task("reset", queue=None, retry=None)(silent)

    app.include(
        tasks, queue="billing", timeout="30s", retry=Retry(max=9), retention="1h", headers={"a": "app", "b": "app"}
    )

    assert plain.default_options.words() == {
        "queue": "billing",
        "timeout": timedelta(seconds=30),
        "max_retry": 9,
        "retention": timedelta(hours=1),
        "headers": {"a": "app", "b": "app"},
    }
    assert plain.handler.retry.max == 9
    assert own.default_options.words() == {
        "queue": "own",
        "timeout": timedelta(seconds=5),
        "max_retry": 1,
        "retention": timedelta(hours=2),
        "headers": {"a": "app", "b": "own"},
    }
    assert own.handler.retry.max == 1
    assert reset.default_options.queue is None
    assert reset.handler.retry.max == Retry().max


def test_raw_handler_takes_timeout_and_retry_of_an_include() -> None:
    app, tasks = Rota(), Tasks()
    tasks.handler("any:")(lambda ctx, payload: None)

    app.include(tasks, queue="billing", timeout="30s", retry=3)

    handler = handler_of(app, "any:thing")
    assert handler.options.words() == {"timeout": timedelta(seconds=30)}
    assert handler.retry.max == 3


def test_routers_nest_and_the_innermost_include_wins() -> None:
    app, outer, inner = Rota(), Tasks(), Tasks()
    refund = inner.task("refund")(job)
    outer.include(inner, prefix="card:", queue="cards", headers={"a": "inner"})
    app.include(outer, prefix="billing:", queue="billing", timeout="30s", headers={"a": "outer", "b": "outer"})

    assert refund.type == "billing:card:refund"
    assert refund.default_options.words() == {
        "queue": "cards",
        "timeout": timedelta(seconds=30),
        "headers": {"a": "inner", "b": "outer"},
    }


def test_router_may_be_included_in_a_router_that_is_in_an_app_already() -> None:
    app, outer, inner = Rota(), Tasks(), Tasks()
    app.include(outer, prefix="billing:")
    refund = inner.task("refund")(job)
    assert app.find_handler("billing:card:refund") is None

    outer.include(inner, prefix="card:")

    assert refund.type == "billing:card:refund"
    assert app.find_handler("billing:card:refund") is refund.handler


def test_tasks_registered_after_the_include_belong_to_the_app_too() -> None:
    app, tasks = Rota(), Tasks()
    app.include(tasks, prefix="billing:", queue="billing")

    late = tasks.task("late")(job)
    tasks.aggregator("late")(lambda group, tasks: None)

    assert late.plan(7).options.queue == "billing"
    assert app.find_handler("billing:late") is late.handler
    assert app.aggregators.find("billing:late", "any") is not None


def test_aggregator_without_a_type_serves_the_types_below_the_prefix() -> None:
    app, tasks = Rota(), Tasks()

    @tasks.aggregator(group="user-*", max_size=3)
    def digest(group: str, tasks: list[GroupedTask]) -> Plan[Any] | None: ...

    @tasks.aggregator("mail")
    def mails(group: str, tasks: list[GroupedTask]) -> Plan[Any] | None: ...

    app.include(tasks, prefix="billing:")

    found = app.aggregators.find("billing:anything", "user-7")
    assert found is not None
    assert (found.function, found.max_size) == (digest, 3)
    assert app.aggregators.find("other:anything", "user-7") is None
    versioned = app.aggregators.find("billing:charge:v2", "user-7")
    assert versioned is not None
    assert versioned.function is digest
    assert app.aggregators.find("billing:mail:v2", "x") is None
    found = app.aggregators.find("billing:mail", "x")
    assert found is not None
    assert found.function is mails


def test_module_of_an_include_is_loaded_where_functions_run_in_a_process() -> None:
    app, tasks = Rota(), Tasks()
    tasks.task("apart", run="process")(job)
    main = types.ModuleType("store_main")
    main.app, main.tasks = app, tasks  # type: ignore[attr-defined]

    exec("app.include(tasks)", main.__dict__)

    assert app.modules == sorted([__name__, "store_main"])


# The task before and after the include


def test_options_given_before_the_include_apply_after_it() -> None:
    app, tasks = Rota(), Tasks()
    charge = tasks.task("charge", headers={"a": "task"})(job)
    urgent = charge.options(queue="critical", headers={"b": "call"}).options(timeout="5s")
    once = charge.debounce("n-{number}", "2s")

    app.include(tasks, prefix="billing:", queue="billing", timeout="30s")

    assert urgent.plan(7).type == "billing:charge"
    assert urgent.plan(7).options.queue == "critical"
    assert urgent.plan(7).options.timeout == timedelta(seconds=5)
    assert urgent.plan(7).options.headers == {"a": "task", "b": "call"}
    debounce = once.plan(7).options.debounce
    assert debounce is not None
    assert debounce.key == "n-7"
    assert once.plan(7).options.queue == "billing"
    assert charge.options(delay="5s").plan(7).options.queue == "billing"
    assert charge.plan(7).options.delay is None


def test_first_use_of_a_task_may_be_a_copy_with_options() -> None:
    app, tasks = Rota(), Tasks()
    charge = tasks.task("charge")(job)
    app.include(tasks, prefix="billing:")

    copied = charge.options(queue="critical")

    assert (copied.type, copied.default_options.queue) == ("billing:charge", "critical")
    assert copied.plan(7).options.queue == "critical"


def test_wrong_options_before_the_include_are_refused_where_they_are_given() -> None:
    charge = Tasks().task("charge")(job)

    with pytest.raises(OptionError, match="Did you mean 'delay'"):
        charge.options(dealy="5m")  # type: ignore[call-arg]


USES: list[Callable[[Any], object]] = [
    lambda task: task.plan(7),
    lambda task: task.plan_of({"number": 7}),
    lambda task: task.enqueue_sync(7),
    lambda task: task.options(queue="a").enqueue_sync(7),
    lambda task: task.options(queue="a").plan(7),
    lambda task: task.type,
    lambda task: task.default_options,
]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("unique", [None, Unique("1m", key="{number}")])
def test_task_whose_router_is_not_included_says_what_to_do(use: Callable[[Any], object], unique: Any) -> None:
    tasks = Tasks()
    charge = tasks.task("charge", unique=unique)(job)
    outer = Tasks()
    outer.include(tasks)

    with pytest.raises(RoutingError) as caught:
        use(charge)

    text = str(caught.value)
    assert "'charge'" in text
    assert HERE in text
    assert "Call app.include(...) with the router where the app is made" in text


async def test_enqueue_before_the_include_says_what_to_do() -> None:
    charge = Tasks().task("charge")(job)

    with pytest.raises(RoutingError, match=r"no app has included.*Call app.include"):
        await charge.enqueue(7)


def test_task_runs_here_and_is_shown_before_its_router_is_included() -> None:
    tasks = Tasks()
    charge = tasks.task("charge")(job)

    @tasks.task("typed")
    def typed(ctx: Context, number: int) -> str:
        return f"{ctx.type} {number}"

    assert charge(7) == "7"
    assert typed(7) == "typed 7"
    assert repr(charge) == "<Task charge job>"
    with pytest.raises(AttributeError, match="Enqueue with"):
        charge.delay(7)  # type: ignore[attr-defined]


shelf = Tasks()


@shelf.task("shelved")
def shelved(number: int) -> None: ...


def test_task_of_a_router_is_pickled_as_its_name() -> None:
    assert pickle.loads(pickle.dumps(shelved)) is shelved


# Middlewares, hooks and dependencies


async def test_middlewares_of_the_app_run_around_those_of_its_routers() -> None:
    seen: list[str] = []

    def noting(name: str) -> Any:
        async def around(ctx: Context) -> AsyncGenerator[None]:
            seen.append(name)
            yield

        return around

    app = Rota(middleware=[noting("app")])
    outer, inner, other = Tasks(middleware=[noting("outer")]), Tasks(middleware=[noting("inner")]), Tasks()
    inner.task("one")(job)
    outer.task("two")(job)
    other.task("three")(job)
    outer.include(inner)
    app.include(outer)
    app.include(other)

    assert await handler_of(app, "one").invoke(blank("one"), b'{"number":1}', None) == "1"
    assert seen == ["app", "outer", "inner"]

    outer.middleware(noting("late"))
    seen.clear()
    await handler_of(app, "one").invoke(blank("one"), b'{"number":1}', None)
    await handler_of(app, "two").invoke(blank("two"), b'{"number":1}', None)
    await handler_of(app, "three").invoke(blank("three"), b'{"number":1}', None)
    assert seen == ["app", "outer", "late", "inner", "app", "outer", "late", "app"]


def test_hooks_run_from_the_task_outwards() -> None:
    def own(context: Context, value: Any) -> None: ...
    def of_inner(context: Context, value: Any) -> None: ...
    def of_outer(context: Context, value: Any) -> None: ...
    def of_app(context: Context, value: Any) -> None: ...
    def late(context: Context, value: Any) -> None: ...

    app, outer, inner = Rota(), Tasks(), Tasks()
    app.on_success(of_app)
    inner.task("one", on_success=own)(job)
    outer.task("two")(job)
    inner.on_success(of_inner)
    outer.include(inner)
    app.include(outer)
    outer.on_success(of_outer)
    inner.on_success(late)
    outer.on_failure(late)
    outer.on_exhausted(late)

    assert handler_of(app, "one").hooks.success == (own, of_inner, late, of_outer, of_app)
    assert handler_of(app, "two").hooks.success == (of_outer, of_app)
    assert handler_of(app, "one").hooks.failure == handler_of(app, "one").hooks.exhausted == (late,)


def mailer() -> str:
    return "real"


async def test_overrides_of_the_app_replace_dependencies_of_a_router() -> None:
    app, tasks = Rota(), Tasks()

    @tasks.task("mail")
    async def mail(sender: Annotated[str, Depends(mailer)] = INJECTED) -> str:
        return sender

    app.include(tasks)
    handler = handler_of(app, "mail")

    assert await handler.invoke(blank("mail"), b"", None) == "real"
    app.overrides[mailer] = lambda: "fake"
    assert await handler.invoke(blank("mail"), b"", None) == "fake"


# Routers that no app includes


def test_router_with_tasks_that_no_app_includes_is_reported() -> None:
    forgotten, outer, empty, used = Tasks(), Tasks(), Tasks(), Tasks()
    forgotten.task("charge")(job)
    used.task("charge")(job)
    outer.include(forgotten)
    Rota().include(used)

    assert forgotten.warning() in left_out()
    assert HERE in str(forgotten.warning())
    assert "its 1 function" in str(forgotten.warning())
    assert [outer.warning(), empty.warning(), used.warning(), Rota().warning()] == [None] * 4
    assert repr(outer).startswith("<Tasks with 1 handler (")
