"""What a decorator refuses, and what it makes of its options."""

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Annotated, Any

import pytest

from rota import Context, OptionError, Payload, Retry, Rota, RoutingError, Unique
from rota.tasks.options import Options


def job(number: int) -> str:
    return str(number)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"quee": "a"}, r"app.task\('test:job'\) has no option 'quee'. Did you mean 'queue'"),
        ({"retries": 3}, "Did you mean 'retry'"),
        ({"task_id": "x"}, "every run would have the same ID"),
        ({"process_at": None}, "same instant"),
        ({"deadline": None}, "same instant"),
        ({"max_retry": 3}, "retry=5"),
        ({"run": "proces"}, "Did you mean 'process'"),
        ({"timeout": "30"}, "needs a unit"),
        ({"unique": Unique("1m", key="{nobody}")}, r"app.task\('test:job'\).*names no argument.*'nobody'"),
        ({"on_failure": "log"}, "must be a function"),
        ({"concurrency": 0}, "1 or more"),
    ],
)
def test_unknown_and_conflicting_options_fail_at_import(words: dict[str, Any], reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        Rota().task("test:job", **words)(job)


def test_a_handler_takes_no_options_of_an_enqueue() -> None:
    with pytest.raises(OptionError, match=r"app.handler\('test:'\) has no option 'queue'"):
        Rota().handler("test:", queue="a")(lambda ctx, payload: None)  # type: ignore[call-arg]


def test_a_decorator_without_a_type_says_how_to_write_it() -> None:
    with pytest.raises(OptionError, match=r"app.task needs the type name"):
        Rota().task(job)  # type: ignore[arg-type]


def test_a_bad_name_is_refused_unless_another_program_chose_it() -> None:
    app = Rota()
    with pytest.raises(RoutingError, match="capital letters"):
        app.task("Test.Job")(job)

    app.task("Test.Job", lint=False)(job)

    assert app.find_handler("Test.Job") is not None


@pytest.mark.parametrize("function", [type, object(), 5])
def test_only_functions_can_be_tasks(function: Any) -> None:
    with pytest.raises(OptionError, match="is no function"):
        Rota().task("test:job")(function)


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **words: Any) -> Any:
        return function(*args, **words)

    return wrapper


def numbers(*args: object) -> Iterator[int]:
    yield 1


async def numbers_of_the_loop(*args: object) -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("function", [numbers, numbers_of_the_loop])
@pytest.mark.parametrize("wrap", [lambda function: function, logged, lambda function: logged(logged(function))])
def test_a_generator_is_refused_as_a_task_a_hook_or_an_aggregator_also_behind_wrappers(
    function: Callable[..., Any], wrap: Callable[..., Any]
) -> None:
    app = Rota()

    def plain(ctx: Context, payload: bytes) -> None:
        raise NotImplementedError

    found = wrap(function)
    for register in (
        app.task("a:b"),
        app.handler("a:b"),
        app.aggregator("a:b"),
        app.on_success,
        lambda hook: app.handler("a:b", on_failure=hook)(plain),
    ):
        with pytest.raises(OptionError, match=r"(is|wraps) a generator.*, whose code would not run"):
            register(found)


def test_a_generator_can_be_no_task() -> None:
    def pages() -> Any:
        yield 1

    with pytest.raises(OptionError, match="is a generator"):
        Rota().task("test:job")(pages)


def test_one_function_may_have_two_names() -> None:
    app = Rota()
    first = app.task("test:one")(job)
    second = app.task("test:two", queue="other")(first)  # type: ignore[type-var]

    assert second.plan(1).type == "test:two"
    assert second(1) == "1"
    assert second.function is first.function is job


def options_of(function: Callable[..., Any], **words: Any) -> Options:
    app = Rota()
    app.task("test:job", **words)(function)
    handler = app.find_handler("test:job")
    assert handler is not None
    return handler.options


def test_a_return_annotation_keeps_no_result_and_a_retention_does() -> None:
    def unsaid(number: int): ...  # type: ignore[no-untyped-def]

    assert options_of(job).retention is None
    assert options_of(unsaid, result=int).retention is None
    assert options_of(job, retention="1h").retention == timedelta(hours=1)
    assert options_of(job, retention=0).retention == timedelta(0)


def test_a_key_may_name_parts_of_an_argument() -> None:
    def build(order: dict[str, int]) -> None: ...

    def raw(order: Annotated[dict[str, int], Payload]) -> None: ...

    by_number = Unique("1m", key="order-{order[number]:04d}")

    for function in (build, raw):
        task = Rota().task("test:job", unique=by_number)(function)
        assert task.plan({"number": 7}).options.unique == Unique("1m", key="order-0007")


def test_the_retries_of_the_policy_go_with_the_task() -> None:
    assert options_of(job, retry=Retry(max=3)).max_retry == 3
    assert options_of(job, retry=0).max_retry == 0
    assert options_of(job).max_retry is None


def test_hooks_of_the_task_come_before_those_of_the_app() -> None:
    app = Rota()

    def own(context: Context, value: Any) -> None: ...

    def early(context: Context, value: Any) -> None: ...

    def late(context: Context, value: Any) -> None: ...

    app.on_success(early)
    app.task("test:job", on_success=own)(job)
    app.on_success(late)
    app.on_failure(late)
    app.on_exhausted(late)

    handler = app.find_handler("test:job")
    assert handler is not None
    assert handler.hooks.success == (own, early, late)
    assert handler.hooks.failure == handler.hooks.exhausted == (late,)


class Service:
    def greet(self, name: str) -> str:
        return f"hello {name}"


async def test_a_method_can_be_a_task_once_its_object_exists() -> None:
    app = Rota()
    with pytest.raises(OptionError, match=r"Service.greet is a method"):
        app.task("test:greet")(Service.greet)

    task = app.task("test:greet")(Service().greet)

    assert task.plan("Ada").payload == b'{"name":"Ada"}'
    assert task("Ada") == "hello Ada"
