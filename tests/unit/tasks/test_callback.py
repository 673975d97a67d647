"""Functions that an application gives to Rota are checked at import; errors name the option, the file and the line."""

import functools
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import pytest

from rota import ConfigError, Context, Debounce, Depends, OptionError, Retry, Rota, Unique
from rota.tasks.callback import check
from rota.tasks.policy import DelayFunction

HERE = "test_callback.py"


async def wait(*values: object) -> int:
    return 1


def generate(*values: object) -> Generator[int]:
    yield 1


async def generate_async(*values: object) -> AsyncGenerator[int]:
    yield 1


def nothing() -> None: ...


def one(value: object) -> None: ...


def three(first: object, second: object, third: object) -> None: ...


class AsyncCall:
    async def __call__(self, *values: object) -> int:
        return 1


class GeneratorCall:
    def __call__(self, *values: object) -> Generator[int]:
        yield 1


@functools.wraps(generate)
def wrapper(*values: object) -> Any:
    return generate(*values)


def work(number: int) -> None: ...


def aggregates(function: Any) -> Callable[[], object]:
    return lambda: Rota().aggregator("test:")(function)


def hooks(event: str, function: Any) -> Callable[[], object]:
    return lambda: Rota().task("test:work", **{event: function})(work)  # type: ignore[arg-type]


REFUSED: list[tuple[Callable[[], object], str]] = [
    # A text is a length of time for `delay`, so that error speaks of durations.
    (lambda: Retry(is_failure="text"), r"Retry\(is_failure=...\) is 'text', but must be a function"),  # type: ignore[arg-type]
    (lambda: Retry(is_failure=5), r"Retry\(is_failure=...\) is 5"),  # type: ignore[arg-type]
    (lambda: Retry(is_failure=wait), r"Retry\(is_failure=...\) is async \(wait\)"),  # type: ignore[arg-type]
    (lambda: Retry(is_failure=functools.partial(wait, 1)), "is async"),  # type: ignore[arg-type]
    (lambda: Retry(is_failure=AsyncCall()), "is async"),  # type: ignore[arg-type]
    (lambda: Retry(is_failure=generate), "is a generator"),  # type: ignore[arg-type]
    (lambda: Retry(is_failure=wrapper), "is a generator"),
    (lambda: Retry(is_failure=nothing), r"is called with \(error\), but nothing takes \(\)"),  # type: ignore[arg-type]
    (lambda: Retry(is_failure=ValueError), "is the class ValueError"),  # type: ignore[arg-type]
    (lambda: Retry(delay=wait), r"Retry\(delay=...\) is async"),  # type: ignore[arg-type]
    (lambda: Retry(delay=generate_async), "is a generator"),  # type: ignore[arg-type]
    (lambda: Retry(delay=one), r"is called with \(retried, error\), but one takes \(value"),  # type: ignore[arg-type]
    (lambda: Retry(delay="text"), "is 'text', which is not a duration"),
    (lambda: Unique("1m", key=one), r"Unique\(key=...\) is <function one .* must be a text"),  # type: ignore[arg-type]
    (lambda: Debounce(5, "1s"), r"Debounce\(key=...\) is 5"),  # type: ignore[arg-type]
    (lambda: Debounce(None, "1s"), r"Debounce\(key=...\) is blank"),  # type: ignore[arg-type]
    (lambda: Depends(5), r"Depends\(5\) needs a function"),  # type: ignore[arg-type]
    (aggregates("text"), "is 'text', but must be a function"),
    (aggregates(generate), "is a generator"),
    (aggregates(GeneratorCall()), "is a generator"),
    (aggregates(one), r"is called with \(group, tasks\), but one takes"),
    (lambda: Rota().aggregator("test:", max_size="x")(wait), "max_size is 'x'"),  # type: ignore[arg-type]
    (hooks("on_success", "text"), "on_success is 'text'"),
    (hooks("on_success", nothing), r"on_success is called with \(context, result\), but nothing takes"),
    (hooks("on_failure", generate_async), "is a generator"),
    (hooks("on_exhausted", [wait, three]), r"on_exhausted is called with \(context, error\), but three takes"),
    (hooks("on_failure", functools.partial(generate, 1)), "is a generator"),
    (hooks("concurrency", "5"), "concurrency is '5'"),
    (hooks("concurrency", 1.5), "concurrency is 1.5"),
    (hooks("debounce", "text"), "debounce is 'text'"),
    (hooks("headers", 5), "headers is 5"),
    (lambda: Rota().on_success(nothing), r"app.on_success is called with \(context, result\)"),  # type: ignore[arg-type]
    (lambda: Rota().on_failure(None), "app.on_failure is None"),  # type: ignore[arg-type]
    (lambda: Rota().middleware(wait), "app.middleware: The middleware wait must be an async generator"),  # type: ignore[arg-type]
    (lambda: Rota().enqueue_middleware(wait), "app.enqueue_middleware: The enqueue"),  # type: ignore[arg-type]
    (lambda: Rota(middleware=wait), "but must be a list of functions"),  # type: ignore[arg-type]
    (lambda: Rota(enqueue_middleware=[5]), "must be a generator function"),  # type: ignore[list-item]
    (lambda: Rota(lifespan="text"), "lifespan is 'text'"),  # type: ignore[arg-type]
    (lambda: Rota(lifespan=wait), "The lifespan wait is async, but does not yield"),  # type: ignore[arg-type]
    (lambda: Rota(lifespan=generate), "The lifespan generate is a plain generator"),  # type: ignore[arg-type]
    (lambda: Rota(settings=5), r"Rota\(settings=...\) is of the type int"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("make", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_function_that_could_not_be_called_is_refused_at_import_with_its_source_line(
    make: Callable[[], object], said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as info:
        make()
    assert f"{HERE}:{make.__code__.co_firstlineno}" in str(info.value)


def delay(retried: int, error: BaseException, base: int = 1) -> int:
    return base


class Delays:
    def __call__(self, retried: int, error: BaseException) -> int:
        return 1

    def method(self, retried: int, error: BaseException) -> int:
        return 1


@functools.wraps(one)
def adding(*values: object) -> int:
    return 1


@pytest.mark.parametrize(
    "good", [delay, Delays(), Delays().method, functools.partial(delay, base=3), adding, lambda *_: 1, min]
)
def test_function_that_can_be_called_is_taken(good: DelayFunction) -> None:
    assert Retry(delay=good).delay is good


def test_wrapper_that_runs_the_coroutine_it_wraps_is_taken() -> None:
    @functools.wraps(wait)
    def run(*values: Any) -> int:
        return 5

    assert Retry(delay=run).delay is run


def test_settings_that_are_a_url_are_refused_without_the_password() -> None:
    with pytest.raises(OptionError, match="is of the type str") as info:
        Rota(settings="redis://:secret@h/0")  # type: ignore[arg-type]
    assert "secret" not in str(info.value)


def test_function_without_a_signature_and_async_hook_are_taken() -> None:
    check("x", print, "value", is_async=False)
    check("on_success", wait, "context", "result")
    check("on_success", AsyncCall(), "context", "result")
    Rota().middleware(middleware)


async def middleware(context: Context) -> AsyncGenerator[None]:
    yield


def test_policy_whose_function_returns_a_coroutine_says_so_when_it_is_called() -> None:
    by_wrong_error = Retry(is_failure=lambda error: wait(error))  # type: ignore[arg-type, return-value]
    late = Retry(delay=lambda retried, error: wait(error))  # type: ignore[arg-type, return-value]

    with pytest.raises(OptionError, match=r"Retry\(is_failure=...\) returned a coroutine \(wait\)"):
        by_wrong_error.counts(ValueError())
    with pytest.raises(OptionError, match=r"Retry\(delay=...\) returned a coroutine \(wait\)"):
        late.next_delay(0, ValueError())


def test_stand_in_of_a_dependency_must_be_a_function() -> None:
    def provider() -> int:
        return 1

    with pytest.raises(OptionError, match=r"app.overrides\[.*provider\] is 5"):
        Rota().overrides[provider] = 5  # type: ignore[assignment]
