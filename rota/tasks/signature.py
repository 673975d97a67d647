"""Reads a function's parameters: arguments from the payload, the context, dependencies, or the whole payload.

`read_signature` is for typed functions and dependencies, and `read_raw_signature` for handlers in Asynq's style. Both
are called at the registration, and refuse what no payload can fill: `*args`, positional-only parameters, methods, and
annotations that cannot be read. `rota.tasks.payload` makes the validators from the `Signature`.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

from rota.core.source_line import names_source_line
from rota.core.text import unstopped
from rota.errors import OptionError
from rota.tasks.context import Context


class Depends:
    """Marks a parameter that the worker fills: `mail: Annotated[Mailer, Depends(mailer)]`.

    The provider may be a function, an async function, or a generator of either kind that yields once and cleans up
    after the task. Put the parameter after the arguments of the call, and add `= INJECTED` so that type checkers let
    callers leave it out.
    """

    __slots__ = ("provider",)

    @names_source_line
    def __init__(self, provider: Callable[..., Any]) -> None:
        if not callable(provider):
            raise OptionError(f"Depends({provider!r}) needs a function that makes the value.")
        self.provider = provider

    def __repr__(self) -> str:
        return f"Depends({getattr(self.provider, '__qualname__', self.provider)})"


class Payload:
    """Marks the one parameter that is the whole payload: `order: Annotated[Order, Payload]`, also for `bytes`."""


class _Injected:
    """The default of a parameter that the worker fills, so that callers do not have to pass it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "INJECTED"


INJECTED: Final[Any] = _Injected()

MISSING: Final[Any] = inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument that travels in the payload."""

    name: str
    annotation: Any
    default: Any = MISSING
    keyword_only: bool = False

    @property
    def required(self) -> bool:
        """Whether a call must pass this argument."""
        return self.default is MISSING


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters of a function, sorted by where their values come from."""

    name: str
    parameters: tuple[Parameter, ...]
    whole: Parameter | None = None
    context_names: tuple[str, ...] = ()
    dependencies: Mapping[str, Callable[..., Any]] = field(default_factory=dict[str, Callable[..., Any]])
    takes_context_first: bool = False
    returns: Any = MISSING
    is_raw: bool = False


def read_signature(function: Callable[..., Any], *, with_result: bool = True) -> Signature:
    """Sort the parameters of a function. Raises OptionError for what cannot be filled from a payload.

    Without `with_result` the annotation of what it returns is left alone: it may name a type that only a checker reads.
    """
    name = _name(function)
    hints = _hints(function, name, with_result=with_result)
    payload: list[Parameter] = []
    whole: list[Parameter] = []
    contexts: list[str] = []
    dependencies: dict[str, Callable[..., Any]] = {}
    declared = list(inspect.signature(function).parameters.values())
    _refuse_method(declared, name)
    for item in declared:
        _refuse_open_ended(item, name)
        annotation = hints.get(item.name, Any)
        marks = _marks(annotation)
        bare = get_args(annotation)[0] if marks else annotation
        provider = _provider(marks)
        _refuse_depends_as_default(item, name)
        found = Parameter(item.name, annotation, item.default, item.kind is item.KEYWORD_ONLY)
        if provider is not None:
            dependencies[item.name] = provider
        elif isinstance(bare, type) and issubclass(bare, Context):
            contexts.append(item.name)
        elif any(mark is Payload or isinstance(mark, Payload) for mark in marks):
            whole.append(found)
        else:
            payload.append(found)
    _check_whole(name, whole, payload)
    first = bool(declared and contexts and declared[0].name == contexts[0])
    return Signature(
        name, tuple(payload), whole[0] if whole else None, tuple(contexts), dependencies, first, _returns(hints)
    )


def read_raw_signature(function: Callable[..., Any]) -> Signature:
    """Read the signature of an Asynq-style handler: context and payload under any names, then injected parameters."""
    name = _name(function)
    declared = list(inspect.signature(function).parameters.values())
    by_position = [item for item in declared if item.kind in (item.POSITIONAL_ONLY, item.POSITIONAL_OR_KEYWORD)]
    if len(by_position) < 2:
        raise OptionError(f"The handler {name} must take the context and the payload: def {name}(ctx, payload).")
    for item in declared:
        _refuse_open_ended(item, name)
    context, payload, *others = declared
    hints = _hints(function, name)
    if hints.get(payload.name, bytes) not in (bytes, Any):
        raise OptionError(
            f"The handler {name} gets the payload as bytes, so {payload.name!r} cannot be {hints[payload.name]!r}: "
            "use app.task for typed arguments."
        )
    dependencies: dict[str, Callable[..., Any]] = {}
    for item in others:
        provider = _provider(_marks(hints.get(item.name, Any)))
        if provider is not None:
            dependencies[item.name] = provider
        elif item.default is MISSING:
            raise OptionError(f"Nothing fills {item.name!r} of the handler {name}: annotate it with Depends(...).")
    whole = Parameter(payload.name, bytes)
    return Signature(name, (), whole, (context.name,), dependencies, True, bytes, is_raw=True)


def refuse_generator(function: Callable[..., Any], instead: str) -> None:
    """Refuse a generator function, also behind plain wrappers: calling it would not run any of its code."""
    for found in (function, inspect.unwrap(function)):
        if inspect.isgeneratorfunction(found) or inspect.isasyncgenfunction(found):
            verb = "is" if found is function else "wraps"
            raise OptionError(f"{_name(function)} {verb} a generator, whose code would not run: {instead}.")


def _name(function: Callable[..., Any]) -> str:
    name: str = getattr(function, "__qualname__", repr(function))
    return name.rpartition("<locals>.")[2]


def _marks(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()


def _returns(hints: Mapping[str, Any]) -> Any:
    return hints.get("return", MISSING)


def _provider(marks: tuple[Any, ...]) -> Callable[..., Any] | None:
    for mark in marks:
        if isinstance(mark, Depends):
            return mark.provider
        if mark is Depends:
            raise OptionError("Annotated[..., Depends] lacks the provider: write Depends(function).")
    return None


def _hints(function: Callable[..., Any], name: str, *, with_result: bool = True) -> dict[str, Any]:
    target: Any = function
    if inspect.isclass(function):
        target = function.__init__
    elif not inspect.isroutine(function):
        target = type(function).__call__
    if not with_result:
        target = _without_result(target)
    try:
        return get_type_hints(target, include_extras=True)
    except (NameError, TypeError) as error:
        raise OptionError(
            f"The annotations of {name} cannot be read: {unstopped(error)}. "
            "Import the names it uses at run time, not only under TYPE_CHECKING."
        ) from error


def _without_result(function: Any) -> Any:
    """Return what `get_type_hints` reads of a function, without what it returns."""
    bare = inspect.unwrap(function)
    declared = {key: each for key, each in getattr(function, "__annotations__", {}).items() if key != "return"}
    return SimpleNamespace(__annotations__=declared, __globals__=getattr(bare, "__globals__", {}))


def _refuse_method(declared: list[inspect.Parameter], name: str) -> None:
    if declared and declared[0].name in ("self", "cls"):
        raise OptionError(
            f"{name} is a method, and no worker has the object it belongs to: use a function, or register the method "
            "of an object that exists: app.task('email:welcome')(service.welcome)."
        )


def _refuse_open_ended(item: inspect.Parameter, name: str) -> None:
    if item.kind in (item.VAR_POSITIONAL, item.VAR_KEYWORD):
        stars = "*" if item.kind is item.VAR_POSITIONAL else "**"
        raise OptionError(
            f"{name} takes {stars}{item.name}, but a payload is one object keyed by parameter name: "
            "name each parameter, or use one list or dict."
        )
    if item.kind is item.POSITIONAL_ONLY:
        raise OptionError(f"{name} takes {item.name!r} by position only, but arguments travel by name: drop the '/'.")


def _refuse_depends_as_default(item: inspect.Parameter, name: str) -> None:
    if isinstance(item.default, Depends) or item.default is Depends:
        kind = "..." if item.annotation is MISSING else inspect.formatannotation(item.annotation)
        raise OptionError(
            f"{name} has Depends as the default of {item.name!r}: put it into the annotation instead, "
            f"{item.name}: Annotated[{kind}, Depends(...)] = INJECTED."
        )


def _check_whole(name: str, whole: list[Parameter], payload: list[Parameter]) -> None:
    if len(whole) > 1:
        raise OptionError(f"{name} marks several parameters as the whole payload: only one can be it.")
    if whole and payload:
        others = ", ".join(parameter.name for parameter in payload)
        raise OptionError(
            f"{name} takes {whole[0].name!r} as the whole payload, so nothing is left to fill {others}: "
            "make them fields of it, or drop the Payload mark."
        )
