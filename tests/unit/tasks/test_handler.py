"""What a worker runs for a task type."""

import asyncio
import functools
import logging
import pickle
import threading
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import pytest

from rota.errors import OptionError, PayloadError
from rota.tasks import handler
from rota.tasks.callback import ImportedFunction
from rota.tasks.context import Context, blank, current
from rota.tasks.handler import Handler, Hooks
from rota.tasks.signature import INJECTED, Depends, read_signature


def made(function: Callable[..., Any], **words: Any) -> Handler:
    return Handler("test:run", function, read_signature(function), **words)


def double(number: int) -> int:
    return number * 2


async def test_a_coroutine_function_runs_on_the_loop_with_its_arguments() -> None:
    async def add(a: int, b: int = 2) -> int:
        return a + b

    handler = made(add)

    assert handler.run == "loop"
    assert await handler.invoke(blank(), b'{"a":1}', None) == 3


async def test_a_handler_without_dependencies_opens_no_stack_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    async def add(a: int, b: int = 2) -> int:
        return a + b

    monkeypatch.delattr(handler, "AsyncExitStack")  # which takes twice as long as all else of a call

    assert await made(add).invoke(blank(), b'{"a":1}', None) == 3


async def test_a_plain_function_runs_in_a_thread() -> None:
    def where() -> int:
        return threading.get_ident()

    handler = made(where)

    assert handler.run == "thread"
    assert await handler.invoke(blank(), b"", None) != threading.get_ident()


async def test_a_plain_function_may_be_asked_onto_the_loop() -> None:
    def where() -> int:
        return threading.get_ident()

    assert await made(where, run="loop").invoke(blank(), b"", None) == threading.get_ident()


async def test_a_plain_wrapper_around_a_coroutine_function_counts_as_one() -> None:
    async def inner(a: int) -> int:
        return a

    @functools.wraps(inner)
    def outer(a: int) -> Awaitable[int]:
        return inner(a + 1)

    handler = made(outer)

    assert handler.run == "loop"
    assert await handler.invoke(blank(), b'{"a":1}', None) == 2


async def test_the_worker_decides_where_a_function_is_called() -> None:
    calls: list[Any] = []

    async def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        calls.append((function, args, kwargs))
        return function(*args, **kwargs)

    assert await made(double).invoke(blank(), b'{"number":4}', call) == 8
    assert calls == [(double, (), {"number": 4})]


async def test_a_process_function_goes_by_its_name() -> None:
    sent: list[Any] = []

    async def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        sent.append(function)
        return pickle.loads(pickle.dumps(function))(*args, **kwargs)

    assert await made(double, run="process").invoke(blank(), b'{"number":4}', call) == 8
    assert sent == [ImportedFunction(__name__, "double")]


async def test_the_context_is_a_parameter_and_is_current() -> None:
    async def look(ctx: Context, number: int) -> bool:
        await asyncio.sleep(0)
        return ctx is current() and number == 1

    assert await made(look).invoke(blank(), b'{"number":1}', None)


async def test_a_payload_that_does_not_fit_never_reaches_the_function() -> None:
    async def add(a: int) -> None:
        pytest.fail("the function was called")

    with pytest.raises(PayloadError):
        await made(add).invoke(blank(), b"{}", None)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"run": "proces"}, "Did you mean 'process'"),
        ({"concurrency": 0}, "1 or more"),
        ({"concurrency": True}, "1 or more"),
    ],
)
def test_wrong_options_are_refused(words: dict[str, Any], reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        made(double, **words)


def test_an_async_function_runs_nowhere_but_on_the_loop() -> None:
    async def f() -> None: ...

    with pytest.raises(OptionError, match="drop run='process'"):
        made(f, run="process")


def test_a_process_function_has_to_be_found_by_its_name() -> None:
    with pytest.raises(OptionError, match="at the top of a module"):
        made(lambda: None, run="process")


def test_dependencies_cannot_go_to_another_process() -> None:
    def f(a: Annotated[int, Depends(int)] = INJECTED) -> None: ...

    with pytest.raises(OptionError, match="runs in another process"):
        made(f, run="process")


def test_a_result_over_the_limit_is_refused_with_its_size() -> None:
    handler = made(double)

    assert handler.encode_result(21) == b"21"
    assert handler.encode_result(None) is None
    with pytest.raises(PayloadError, match="has 3 bytes, more than the 2 allowed"):
        handler.encode_result(100, limit_bytes=2)


async def test_hooks_get_the_context_and_the_value_and_cannot_change_the_outcome(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[Any] = []

    async def later(context: Context, value: Any) -> None:
        seen.append(("later", context.id, value))

    def broken(context: Context, value: Any) -> None:
        raise ValueError("hook")

    def now(context: Context, value: Any) -> None:
        seen.append(("now", context.id, value))

    handler = made(double, hooks=Hooks(success=(later, broken, now)))

    with caplog.at_level(logging.ERROR, "rota"):
        await handler.notify("success", blank(id="x"), 8)
        await handler.notify("failure", blank(id="x"), ValueError())

    assert seen == [("later", "x", 8), ("now", "x", 8)]
    assert "The success hook of task x" in caplog.text
    assert repr(handler) == "<Handler test:run double in thread>"
