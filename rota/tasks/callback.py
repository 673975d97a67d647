"""Functions that an application passes to Rota: checks them, calls them as context managers, and says where they run.

They are checked at import, so that the error has a file and line.
Otherwise a wrong function would be noticed only when it is called: a coroutine that is not awaited counts as true, and
a generator that is not iterated does not run any of its code. These checks cannot see what a plain function will
return, as in `lambda: f()`. `refuse_unrun` checks the returned value after the call.

Dependencies, middlewares and the lifespan are generator functions that yield once; `manager` and `async_manager` make
context managers of them. Errors of contextlib ("generator didn't yield") do not name the function, so they are raised
again with its name. Code around a task may look at the task's error and must raise it again, or another one.
"""

import asyncio
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import AsyncGeneratorType, CoroutineType, GeneratorType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

from rota.core.canonical import is_count
from rota.core.text import did_you_mean
from rota.errors import OptionError

if TYPE_CHECKING:
    from rota.tasks.signature import Signature

UNRUN = (GeneratorType, AsyncGeneratorType, CoroutineType)
"""The types that a call of a generator or async function returns before any of its code has run."""


def check(name: str, function: Any, *arguments: str, is_async: bool = True) -> None:
    """Refuse a function that does not take these arguments, a generator, and unless `is_async` an async function.

    `name` is what the user wrote, such as `Retry(delay=...)`.
    """
    called = f"{name} is called with ({', '.join(arguments)})"
    if not callable(function):
        raise OptionError(f"{name} is {function!r}, but must be a function: {called}.")
    if is_generator(function):
        raise OptionError(f"{name} is a generator ({name_of(function)}), whose code would not run: return instead.")
    # A wrapper stands for itself: it may run the coroutine that it wraps.
    if not is_async and any(inspect.iscoroutinefunction(each) for each in _own_faces(function)):
        raise OptionError(f"{name} is async ({name_of(function)}), but the answer is needed at once: use a plain def.")
    check_arguments(name, function, *arguments)


def check_arguments(name: str, function: Callable[..., Any], *arguments: str) -> None:
    """Refuse a function that does not take these arguments by position."""
    try:
        # A wrapper may add arguments, so its own signature counts and not that of the wrapped function.
        signature = inspect.signature(function, follow_wrapped=False)
    except (ValueError, TypeError, NameError):
        return  # some functions written in C have none; Python 3.14 reads annotations here, which may not be importable
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise OptionError(
            f"{name} is called with ({', '.join(arguments)}), but {name_of(function)} takes {signature}: {error}."
        ) from None


def is_generator(function: Callable[..., Any]) -> bool:
    """Whether a call returns a plain or async generator. Looks behind wrappers, partials and `__call__`."""
    return any(inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each) for each in _faces(function))


def refuse_unrun(what: str, value: object) -> None:
    """Refuse a coroutine or generator that a function has returned, because none of its code has run."""
    if isinstance(value, UNRUN):
        unrun = cast("object", value)
        if isinstance(value, CoroutineType):
            value.close()  # otherwise Python warns that the coroutine was never awaited
        kind = f"{'an' if isinstance(value, AsyncGeneratorType) else 'a'} {type(unrun).__name__}"
        raise OptionError(f"{what} returned {kind} ({_title(unrun)}), of which nothing has run. {_advice(unrun)}")


def refuse_bare_decorator(what: str, specs: Sequence[object]) -> None:
    """Refuse a function in place of a spec: a decorator without parentheses would schedule nothing."""
    for spec in specs:
        if callable(spec):
            raise OptionError(f"{what} is given {name_of(spec)}, which is not a spec: write @{what}('30 2 * * *').")


def name_of(function: object) -> str:
    """Return the qualified name of a function, without the functions around it."""
    return str(getattr(function, "__qualname__", repr(function))).rpartition("<locals>.")[2]


def _faces(function: Any) -> Iterator[Any]:
    """Return the function and what it wraps, each as `_own_faces` does."""
    yield from _own_faces(function)
    yield from _own_faces(inspect.unwrap(function))


def _own_faces(function: Any) -> Iterator[Any]:
    """Return the function, also that of a partial, and for an object the method by which it is called."""
    bare = function
    while isinstance(bare, functools.partial):
        bare = bare.func
    yield bare
    if not (inspect.isroutine(bare) or inspect.isclass(bare)):
        yield type(bare).__call__


def _advice(value: object) -> str:
    return "Await it." if isinstance(value, CoroutineType) else "Use the generator function itself, without a wrapper."


def _title(value: object) -> str:
    return str(getattr(value, "__qualname__", "")).rpartition("<locals>.")[2]


def manager(function: Callable[..., Any], who: str, *, must_raise: bool = False) -> Callable[..., "Manager"]:
    """Return what makes the context manager of a generator function; `must_raise` forbids it to swallow an error."""
    make = contextmanager(function)
    return lambda *args, **kwargs: Manager(make(*args, **kwargs), who, must_raise)


def async_manager(function: Callable[..., Any], who: str, *, must_raise: bool = False) -> Callable[..., "AsyncManager"]:
    """Return what makes the context manager of an async generator function."""
    make = asynccontextmanager(function)
    return lambda *args, **kwargs: AsyncManager(make(*args, **kwargs), who, must_raise)


class Manager(AbstractContextManager[Any]):
    """The context manager of one call of a generator function."""

    __slots__ = ("_inner", "_must_raise", "_who")

    def __init__(self, inner: AbstractContextManager[Any], who: str, must_raise: bool) -> None:
        self._inner, self._who, self._must_raise = inner, who, must_raise

    def __enter__(self) -> Any:
        try:
            return self._inner.__enter__()
        except RuntimeError as error:
            if (explained := _explained(error, self._who)) is None:
                raise
            raise explained from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            is_swallowed = self._inner.__exit__(kind, error, trace)
        except RuntimeError as raised:
            if (explained := _explained(raised, self._who)) is None:
                raise
            raise explained from error
        return _checked(error, self._who) if is_swallowed and self._must_raise else is_swallowed


class AsyncManager(AbstractAsyncContextManager[Any]):
    """The context manager of one call of an async generator function."""

    __slots__ = ("_inner", "_must_raise", "_who")

    def __init__(self, inner: AbstractAsyncContextManager[Any], who: str, must_raise: bool) -> None:
        self._inner, self._who, self._must_raise = inner, who, must_raise

    async def __aenter__(self) -> Any:
        try:
            return await self._inner.__aenter__()
        except RuntimeError as error:
            if (explained := _explained(error, self._who)) is None:
                raise
            raise explained from None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            is_swallowed = await self._inner.__aexit__(kind, error, trace)
        except RuntimeError as raised:
            if (explained := _explained(raised, self._who)) is None:
                raise
            raise explained from error
        return _checked(error, self._who) if is_swallowed and self._must_raise else is_swallowed


def _explained(error: RuntimeError, who: str) -> RuntimeError | None:
    """Return what an error of contextlib means, with the name of the function; None for any other error.

    An error with a frame below that of contextlib comes from a manager that the function itself uses.
    """
    frames = error.__traceback__
    if frames is None or frames.tb_next is None or frames.tb_next.tb_next is not None:
        return None
    text = str(error)
    if text == "generator didn't yield":
        return RuntimeError(f"{who} ended without a yield: it has to yield once, on each way through it.")
    if text.startswith("generator didn't stop"):
        return RuntimeError(f"{who} yielded a second time: it has to yield once, on each way through it.")
    return None


def _checked(error: BaseException | None, who: str) -> bool:
    """Raise for an error that was swallowed: a success would be recorded of a task that has failed.

    A cancel goes on as a cancel: the worker judges it.
    """
    if isinstance(error, asyncio.CancelledError):
        return False
    raise RuntimeError(
        f"{who} swallowed the error of the task ({type(error).__name__}). It may look at an error, but has to raise it "
        "again, or another one: else the task would count as a success."
    ) from error


Run: TypeAlias = Literal["loop", "thread", "process"]


@dataclass(frozen=True, slots=True)
class ImportedFunction:
    """A function by its module and name, so that it can be sent to another process."""

    module: str
    name: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Import the function and call it."""
        return self.resolve()(*args, **kwargs)

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"

    def resolve(self) -> Callable[..., Any]:
        """Import the function. If the name now holds a task, return the function of the task."""
        found: Any = import_module(self.module)
        for part in self.name.split("."):
            found = getattr(found, part)
        function: Callable[..., Any] = getattr(found, "function", found)
        return function


def is_async(function: Callable[..., Any]) -> bool:
    """Whether a call returns a coroutine. True for a plain wrapper around an `async def` too."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(inspect.unwrap(function))


def run_mode(function: Callable[..., Any], signature: "Signature", asked: Run | None) -> Run:
    """Return where a function runs, which is `asked` if that is possible. Raises OptionError otherwise."""
    on_loop = is_async(function)
    if asked is None:
        return "loop" if on_loop else "thread"
    if asked not in get_args(Run):
        raise OptionError(f"run is {asked!r}. {did_you_mean(str(asked), get_args(Run))}")
    if on_loop and asked != "loop":
        raise OptionError(
            f"{signature.name} is async, so it runs on the loop: drop run={asked!r}, or write it as a plain def."
        )
    if asked == "process" and signature.dependencies:
        raise OptionError(
            f"{signature.name} runs in another process, where dependencies of this one cannot go: "
            "make what it needs inside the function, or use run='thread'."
        )
    return asked


def checked_concurrency(value: int | None) -> int | None:
    """Refuse a concurrency that is not a whole number of at least 1."""
    if value is not None and not is_count(value):
        raise OptionError(
            f"concurrency is {value!r}, but must be a whole number, 1 or more: how many of this type run at once here."
        )
    return value


def importable(function: Callable[..., Any]) -> ImportedFunction:
    """Return the function in a form that can be sent to another process. Refuses one that cannot be imported."""
    name = function.__qualname__
    if "<" in name:
        raise OptionError(
            f"{name} cannot run in another process, which has to import it: define it at the top of a module."
        )
    return ImportedFunction(function.__module__, name)
