"""Dependencies: values that the worker makes for a handler and cleans up after it.

A parameter `mail: Annotated[Mailer, Depends(mailer)]` gets what `mailer` returns, awaits or yields. The steps for one
function:

1. At the registration, a `Recipe` sorts the providers so that each comes after those it depends on. A circle, or a
   parameter that nothing fills, is an error there and not in the first task.
2. For each run, `provide` calls each provider once, in this order, and puts the rest of each generator on a stack.
3. When the function has ended, the stack runs these rests in the opposite order. They see the error of the function,
   and must not swallow it.

A value lives for one run. A value that lives longer, such as a pool of connections, belongs to the lifespan.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from types import AsyncGeneratorType, GeneratorType
from typing import Any, Literal, TypeAlias, cast

from rota.errors import OptionError
from rota.tasks.callback import async_manager, manager, refuse_unrun
from rota.tasks.context import Context
from rota.tasks.signature import Signature, read_signature

Provider: TypeAlias = Callable[..., Any]
_MANAGERS = tuple(getattr(cast("Any", each)(str), "__code__", None) for each in (contextmanager, asynccontextmanager))
"""The code of what these decorators make of a function."""
Kind: TypeAlias = Literal["value", "awaitable", "generator", "async generator"]


class Overrides(MutableMapping[Provider, Provider]):
    """Replaces providers in tests: `app.overrides[mailer] = fake_mailer`."""

    def __init__(self) -> None:
        self._stand_ins: dict[Provider, Provider] = {}
        self.version = 0

    def __getitem__(self, provider: Provider) -> Provider:
        return self._stand_ins[provider]

    def __setitem__(self, provider: Provider, stand_in: Provider) -> None:
        if not callable(stand_in):
            raise OptionError(
                f"app.overrides[{_name(provider)}] is {stand_in!r}, but must be a function as Depends has."
            )
        self._stand_ins[provider] = stand_in
        self.version += 1

    def __delitem__(self, provider: Provider) -> None:
        del self._stand_ins[provider]
        self.version += 1

    def __iter__(self) -> Iterator[Provider]:
        return iter(self._stand_ins)

    def __len__(self) -> int:
        return len(self._stand_ins)


@dataclass(frozen=True, slots=True)
class Step:
    """One provider to call, and the sources of its arguments."""

    provider: Provider
    open: Callable[..., Any]
    kind: Kind
    context_names: tuple[str, ...]
    needs: tuple[tuple[str, int], ...]


class Recipe:
    """The providers that one function needs, ordered so that each comes after the providers it depends on.

    The order is computed once. Every provider runs once per task, even if several functions depend on it.
    """

    def __init__(self, signature: Signature, overrides: Mapping[Provider, Provider]) -> None:
        self._steps: list[Step] = []
        self._indexes: dict[Provider, int] = {}
        self._overrides = overrides
        self._wanted = tuple((name, self._index(provider, ())) for name, provider in signature.dependencies.items())

    async def provide(self, context: Context, stack: AsyncExitStack) -> dict[str, Any]:
        """Make the values for one run, and push their cleanup on the stack."""
        made: list[Any] = []
        for step in self._steps:
            arguments: dict[str, Any] = dict.fromkeys(step.context_names, context)
            for name, index in step.needs:
                arguments[name] = made[index]
            made.append(await _make(step, arguments, stack))
        return {name: made[index] for name, index in self._wanted}

    def _index(self, provider: Provider, path: tuple[Provider, ...]) -> int:
        if provider in path:
            names = " -> ".join(_name(item) for item in (*path, provider))
            raise OptionError(f"These dependencies need each other, so none can be first: {names}.")
        index = self._indexes.get(provider)
        if index is not None:
            return index
        stand_in = self._overrides.get(provider, provider)
        signature = read_signature(stand_in, with_result=False)
        for parameter in signature.parameters:
            if parameter.required:
                raise OptionError(
                    f"The dependency {_name(stand_in)} has the parameter {parameter.name!r}, which nothing provides: "
                    "give it a default, or annotate it as Context or Annotated[..., Depends(...)]."
                )
        needs = tuple((name, self._index(needed, (*path, provider))) for name, needed in signature.dependencies.items())
        kind, opener = _kind(stand_in)
        self._steps.append(Step(stand_in, opener, kind, signature.context_names, needs))
        self._indexes[provider] = index = len(self._steps) - 1
        return index


async def _make(step: Step, arguments: dict[str, Any], stack: AsyncExitStack) -> Any:
    made = step.open(**arguments)
    if step.kind == "generator":
        return stack.enter_context(made)
    if step.kind == "async generator":
        return await stack.enter_async_context(made)
    if step.kind == "awaitable" or inspect.iscoroutine(made):  # a lambda may return what an async function makes
        made = await made
    if not _is_meant(made, step.provider):
        refuse_unrun(f"The dependency {_name(step.provider)}", made)
    return made


def _is_meant(made: Any, provider: Provider) -> bool:
    """Whether a generator is the value itself: it has begun, is an expression, or the provider declares its result.

    Else it was probably meant to be run, as in `lambda: session()`.
    """
    if not isinstance(made, GeneratorType | AsyncGeneratorType):
        return False
    if "return" in getattr(provider, "__annotations__", ()) or made.__name__ == "<genexpr>":
        return True
    state: Any = inspect.getgeneratorstate
    return isinstance(made, GeneratorType) and state(made) != inspect.GEN_CREATED


def _kind(provider: Provider) -> tuple[Kind, Callable[..., Any]]:
    call: Any = type(provider).__call__  # for a callable object
    who = f"The dependency {_name(provider)}"
    if inspect.isasyncgenfunction(provider) or inspect.isasyncgenfunction(call):
        return "async generator", async_manager(provider, who, must_raise=True)
    if inspect.isgeneratorfunction(provider) or inspect.isgeneratorfunction(call):
        return "generator", manager(provider, who, must_raise=True)
    if getattr(provider, "__code__", None) in _MANAGERS:
        raise OptionError(f"{who} is a context manager: use its generator function without the decorator.")
    if inspect.iscoroutinefunction(provider):
        return "awaitable", provider
    return "value", provider


def _name(provider: Provider) -> str:
    return getattr(provider, "__qualname__", repr(provider))


Call: TypeAlias = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Awaitable[Any]]
