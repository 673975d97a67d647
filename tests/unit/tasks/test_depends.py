"""Values that the worker makes for a handler."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from typing import Annotated, Any

import pytest

from rota import INJECTED, Context, Depends, OptionError, Rota
from rota.tasks.context import blank
from rota.tasks.depends import Recipe
from rota.tasks.handler import Handler

events: list[str] = []


@pytest.fixture(autouse=True)
def no_events() -> None:
    events.clear()


def settings() -> dict[str, str]:
    events.append("settings")
    return {"dsn": "db"}


async def connection(settings: Annotated[dict[str, str], Depends(settings)]) -> AsyncGenerator[str]:
    events.append("open")
    try:
        yield f"connection to {settings['dsn']}"
    except ValueError:
        events.append("rolled back")
        raise
    finally:
        events.append("closed")


def session(ctx: Context, connection: Annotated[str, Depends(connection)]) -> Generator[str]:
    yield f"{ctx.id} on {connection}"
    events.append("session ended")


async def locale() -> str:
    return "en"


def handler_of(function: Callable[..., Any], app: Rota | None = None) -> Handler:
    app = app or Rota()
    app.task("test:run")(function)
    handler = app.find_handler("test:run")
    assert handler is not None
    return handler


async def test_every_kind_of_provider_is_made_nested_and_cleared_away_last_first() -> None:
    async def work(
        number: int,
        session: Annotated[str, Depends(session)] = INJECTED,
        locale: Annotated[str, Depends(locale)] = INJECTED,
    ) -> str:
        events.append("work")
        return f"{number} {session} {locale}"

    result = await handler_of(work).invoke(blank(id="x"), b'{"number":1}', None)

    assert result == "1 x on connection to db en"
    assert events == ["settings", "open", "work", "session ended", "closed"]


class Called:
    async def __call__(self) -> str:
        return "en"


class Streamed:
    async def __call__(self) -> AsyncGenerator[str]:
        yield "en"


@pytest.mark.parametrize("provider", [Called(), Streamed(), lambda: locale()], ids=["object", "generator", "lambda"])
async def test_a_provider_that_only_returns_a_coroutine_or_generator_gives_its_value(provider: Any) -> None:
    async def act(language: Annotated[str, Depends(provider)] = INJECTED) -> str:
        return language

    handler = Rota().task("test:act")(act).handler

    assert await handler.invoke(blank(), b"{}") == "en"


async def test_a_provider_runs_once_per_task_however_many_ask() -> None:
    async def work(
        one: Annotated[dict[str, str], Depends(settings)] = INJECTED,
        two: Annotated[dict[str, str], Depends(settings)] = INJECTED,
        connection: Annotated[str, Depends(connection)] = INJECTED,
    ) -> bool:
        return one is two

    handler = handler_of(work)

    assert await handler.invoke(blank(), b"", None)
    assert await handler.invoke(blank(), b"", None)
    assert events.count("settings") == 2


async def test_an_error_of_the_task_is_thrown_into_its_generators() -> None:
    async def work(connection: Annotated[str, Depends(connection)] = INJECTED) -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await handler_of(work).invoke(blank(), b"", None)

    assert events == ["settings", "open", "rolled back", "closed"]


async def test_a_provider_that_swallows_the_error_of_its_task_is_named() -> None:
    def forgiving() -> Generator[str]:
        with contextlib.suppress(ValueError):
            yield "x"

    async def work(x: Annotated[str, Depends(forgiving)] = INJECTED) -> None:
        raise ValueError("broken")

    with pytest.raises(RuntimeError, match=r"dependency .*forgiving swallowed the error of the task \(ValueError\)"):
        await handler_of(work).invoke(blank(), b"", None)


def never() -> Generator[str]:
    if events:
        yield "x"


async def never_async() -> AsyncGenerator[str]:
    if events:
        yield "x"


def twice() -> Generator[str]:
    yield "x"
    yield "y"


async def twice_async() -> AsyncGenerator[str]:
    yield "x"
    yield "y"


async def twice_after_an_error() -> AsyncGenerator[str]:
    with contextlib.suppress(ValueError):
        yield "x"
    yield "y"


@pytest.mark.parametrize(
    ("provider", "fault"),
    [
        (never, "ended without a yield"),
        (never_async, "ended without a yield"),
        (twice, "yielded a second time"),
        (twice_async, "yielded a second time"),
        (twice_after_an_error, "yielded a second time"),
    ],
)
async def test_a_provider_that_does_not_yield_once_is_named(provider: Callable[..., Any], fault: str) -> None:
    async def work(x: Annotated[str, Depends(provider)] = INJECTED) -> None:
        if provider is twice_after_an_error:
            raise ValueError("broken")

    with pytest.raises(RuntimeError, match=f"^The dependency {provider.__name__} {fault}"):
        await handler_of(work).invoke(blank(), b"", None)


async def test_a_runtime_error_of_a_provider_or_its_task_comes_as_it_is() -> None:
    async def opens() -> AsyncGenerator[str]:
        yield "x"
        raise RuntimeError("cannot close")

    async def work(x: Annotated[str, Depends(opens)] = INJECTED) -> None: ...

    async def fails(x: Annotated[str, Depends(session)] = INJECTED) -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match=r"^cannot close$"):
        await handler_of(work).invoke(blank(), b"", None)
    with pytest.raises(RuntimeError, match=r"^broken$"):
        await handler_of(fails).invoke(blank(), b"", None)


async def test_a_provider_that_swallows_a_cancel_hides_it_from_nobody() -> None:
    async def forgiving() -> AsyncGenerator[str]:
        with contextlib.suppress(asyncio.CancelledError):
            yield "x"

    begun = asyncio.Event()

    async def work(x: Annotated[str, Depends(forgiving)] = INJECTED) -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(handler_of(work).invoke(blank(), b"", None))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_stand_in_replaces_a_provider_as_long_as_it_is_set() -> None:
    async def work(connection: Annotated[str, Depends(connection)] = INJECTED) -> str:
        return connection

    app = Rota()
    handler = handler_of(work, app)
    assert await handler.invoke(blank(), b"", None) == "connection to db"

    app.overrides[settings] = lambda: {"dsn": "test"}
    assert await handler.invoke(blank(), b"", None) == "connection to test"

    del app.overrides[settings]
    assert await handler.invoke(blank(), b"", None) == "connection to db"
    assert len(app.overrides) == 0


async def test_a_function_in_a_thread_gets_its_dependencies_too() -> None:
    def work(number: int, connection: Annotated[str, Depends(connection)] = INJECTED) -> str:
        return f"{number} {connection}"

    assert await handler_of(work).invoke(blank(), b'{"number":1}', None) == "1 connection to db"
    assert events[-1] == "closed"


async def test_the_lifespans_state_reaches_dependencies_through_the_context() -> None:
    def pool(ctx: Context) -> str:
        return str(ctx.state["pool"])

    async def work(pool: Annotated[str, Depends(pool)] = INJECTED) -> str:
        return pool

    context = blank()
    context.state = {"pool": "the pool"}

    assert await handler_of(work).invoke(context, b"", None) == "the pool"


def test_a_provider_whose_parameter_nobody_fills_is_refused_at_import() -> None:
    def needy(dsn: str) -> str:
        return dsn

    async def work(x: Annotated[str, Depends(needy)] = INJECTED) -> None: ...

    with pytest.raises(OptionError, match="needy has the parameter 'dsn', which nothing provides"):
        handler_of(work)


def test_providers_that_need_each_other_are_refused_at_import() -> None:
    def first(x: Annotated[str, Depends(lambda: "")]) -> str:
        return x

    first.__annotations__["x"] = Annotated[str, Depends(first)]

    async def work(x: Annotated[str, Depends(first)] = INJECTED) -> None: ...

    with pytest.raises(OptionError, match="need each other"):
        handler_of(work)


async def test_a_class_or_any_object_that_can_be_called_is_a_provider() -> None:
    class Mailer:
        def __init__(self, ctx: Context) -> None:
            self.task = ctx.id

    class Factory:
        def __call__(self, mailer: Annotated[Mailer, Depends(Mailer)]) -> str:
            return f"made for {mailer.task}"

    async def work(
        mailer: Annotated[Mailer, Depends(Mailer)] = INJECTED, made: Annotated[str, Depends(Factory())] = INJECTED
    ) -> str:
        return f"{mailer.task}: {made}"

    assert await handler_of(work).invoke(blank(id="x"), b"", None) == "x: made for x"


async def test_a_provider_may_have_defaults_of_its_own() -> None:
    def limit(most: int = 5) -> int:
        return most

    async def work(limit: Annotated[int, Depends(limit)] = INJECTED) -> int:
        return limit

    assert await handler_of(work).invoke(blank(), b"", None) == 5


def test_stand_ins_can_be_looked_up_and_listed() -> None:
    app = Rota()
    app.overrides[settings] = locale

    assert app.overrides[settings] is locale
    assert list(app.overrides) == [settings]


async def forgets() -> Any:
    return locale()


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        (lambda: session(blank(), "x"), r"The dependency .*<lambda> returned a generator \(session\)"),
        (lambda: connection({}), r"returned an async_generator \(connection\)"),
        (forgets, r"The dependency forgets returned a coroutine \(locale\), of which nothing has run"),
    ],
    ids=["generator", "async generator", "coroutine"],
)
async def test_provider_that_returns_what_has_not_run_is_refused_by_name(
    provider: Callable[[], Any], said: str
) -> None:
    async def work(value: Annotated[Any, Depends(provider)] = INJECTED) -> None: ...

    with pytest.raises(OptionError, match=said):
        await handler_of(work).invoke(blank(), b"", None)


def numbers() -> Iterator[int]:
    return (number for number in (1, 2))


def begun() -> Any:
    values = count()
    next(values)
    return values


def count() -> Iterator[int]:
    yield from (1, 2, 3)


async def opens() -> AsyncGenerator[Iterator[int]]:
    yield count()


@pytest.mark.parametrize(
    ("provider", "values"), [(numbers, [1, 2]), (begun, [2, 3]), (opens, [1, 2, 3]), (lambda: (n for n in (7,)), [7])]
)
async def test_generator_can_be_the_value_of_a_dependency(provider: Callable[[], Any], values: list[int]) -> None:
    seen: list[int] = []

    async def work(found: Annotated[Any, Depends(provider)] = INJECTED) -> None:
        seen.extend(found)

    await handler_of(work).invoke(blank(), b"", None)
    assert seen == values


@contextlib.contextmanager
def managed() -> Iterator[int]:
    yield 1


async def test_provider_that_is_a_context_manager_is_refused_with_the_remedy() -> None:
    async def work(found: Annotated[Any, Depends(managed)] = INJECTED) -> None: ...

    with pytest.raises(OptionError, match="without the decorator"):
        await handler_of(work).invoke(blank(), b"", None)


async def test_error_of_a_manager_that_a_dependency_uses_is_its_own() -> None:
    @contextlib.contextmanager
    def foreign() -> Iterator[None]:
        if seconds:
            yield

    seconds: list[int] = []

    def provider() -> Iterator[int]:
        with foreign():
            yield 1

    async def work(found: Annotated[Any, Depends(provider)] = INJECTED) -> None: ...

    with pytest.raises(RuntimeError, match=r"^generator didn't yield$"):
        await handler_of(work).invoke(blank(), b"", None)


def test_provider_may_return_a_type_that_only_a_checker_reads() -> None:
    app = Rota()

    @app.task("depends:connect")
    async def work(found: Annotated[Any, Depends(app.connect)] = INJECTED) -> None: ...

    assert Recipe(work.handler.signature, {}) is not None
