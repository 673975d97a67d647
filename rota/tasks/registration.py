"""Makes a handler of a function and its decorator's keywords. Unknown or conflicting keywords fail at import.

Also the values that join a router to an app: `Home`, `Inclusion` and `Around`.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, cast

from rota.core.canonical import is_array
from rota.core.text import did_you_mean
from rota.errors import OptionError, RoutingError
from rota.settings.settings import Settings
from rota.tasks.callback import check
from rota.tasks.depends import Overrides
from rota.tasks.groups import Aggregators
from rota.tasks.handler import Handler, Hooks
from rota.tasks.middleware import Middleware
from rota.tasks.options import ONE_CALL_ONLY, Hook, IncludeOptions, Options, RunOptions, TaskOptions
from rota.tasks.policy import Retry
from rota.tasks.routing import Registry, fault
from rota.tasks.signature import Signature, read_raw_signature, read_signature, refuse_generator
from rota.tasks.task import Sender

if TYPE_CHECKING:
    from rota.tasks.router import Tasks

_RUN_WORDS = frozenset(RunOptions.__annotations__)
_TASK_WORDS = frozenset(TaskOptions.__annotations__) | _RUN_WORDS
_INCLUDE_WORDS = frozenset(IncludeOptions.__annotations__)
_OPTION_WORDS = ("queue", "timeout", "unique", "retention", "delay", "group", "headers", "debounce")


def task_handler(what: str, type: str, function: Callable[..., Any], words: Mapping[str, Any]) -> Handler:
    """Make the handler of a typed task. `what` is what the user wrote, such as `app.task('email:welcome')`."""
    _check_words(what, words, _TASK_WORDS)
    function = _function(function)
    signature = read_signature(function)
    if "result" in words:
        signature = replace(signature, returns=_result(words["result"]))
    options = _options(words)
    _check_keys(what, options, signature)
    return _handler(type, function, signature, words, options)


def raw_handler(what: str, type: str, function: Callable[..., Any], words: Mapping[str, Any]) -> Handler:
    """Make a handler in Asynq's style."""
    _check_words(what, words, _RUN_WORDS)
    function = _function(function)
    return _handler(type, function, read_raw_signature(function), words, Options.of(timeout=words.get("timeout")))


def completed(handler: Handler, includes: Sequence[Mapping[str, Any]]) -> tuple[Options, Retry]:
    """Return the options and retry policy of a handler: its own, then those of the includes, the innermost first."""
    options, retry = handler.options, handler.retry
    if any(includes):
        words = _merged(handler.words, includes)
        options = _options(words) if handler.is_typed else Options.of(timeout=words.get("timeout"))
        retry = _retry(words)
    return options, retry


def check_include_options(what: str, words: Mapping[str, Any]) -> None:
    """Refuse options that an include cannot give, and wrong values."""
    for name in words:
        if name in _TASK_WORDS - _INCLUDE_WORDS:
            raise OptionError(f"{what} cannot have {name}=: write it at each task, as in @tasks.task(..., {name}=...).")
    _check_words(what, words, _INCLUDE_WORDS)
    _options(words)


def _merged(own: Mapping[str, Any], includes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Put the keywords of a task over those of its includes. Headers are merged by name."""
    words = {name: value for each in reversed(includes) for name, value in each.items()} | dict(own)
    if "headers" in words:
        named = [each["headers"] for each in (*reversed(includes), own) if each.get("headers")]
        words["headers"] = {name: value for headers in named for name, value in headers.items()}
    return words


def _options(words: Mapping[str, Any]) -> Options:
    declared = {name: words[name] for name in _OPTION_WORDS if name in words}
    retry = _retry(words)
    return Options.of(**declared, max_retry=retry.max) if "retry" in words else Options.of(**declared)


def _retry(words: Mapping[str, Any]) -> Retry:
    value = words.get("retry")
    return Retry() if value is None else Retry.of(value)


def _handler(
    type: str, function: Callable[..., Any], signature: Signature, words: Mapping[str, Any], options: Options
) -> Handler:
    own = Hooks(
        success=_hooks(words, "on_success"),
        failure=_hooks(words, "on_failure"),
        exhausted=_hooks(words, "on_exhausted"),
    )
    return Handler(
        type,
        function,
        signature,
        run=words.get("run"),
        retry=_retry(words),
        concurrency=words.get("concurrency"),
        options=options,
        hooks=own,
        words=words,
    )


def _function(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the plain function. A function that is a task already may be registered under a second type."""
    function = getattr(function, "function", function)
    if not inspect.isroutine(function):
        raise OptionError(f"{function!r} is no function: wrap what it does in a def or an async def.")
    refuse_generator(function, "return a value instead")
    return function


def _result(annotation: Any) -> Any:
    if isinstance(annotation, str):
        raise OptionError(f"result is the text {annotation!r}, but must be a type, as in result=int.")
    return annotation


def _hooks(words: Mapping[str, Any], name: str) -> tuple[Hook, ...]:
    value: Any = words.get(name, ())
    hooks: tuple[Any, ...] = tuple(value) if is_array(value) else (value,)
    for hook in hooks:
        check_hook(name, hook)
    return hooks


def check_hook(name: str, hook: Any) -> None:
    """Refuse a hook that does not take the context and the result or error, or whose body would never run."""
    check(name, hook, "context", "result" if name.endswith("on_success") else "error")


def _check_words(where: str, words: Mapping[str, Any], known: frozenset[str]) -> None:
    for name in words:
        if name in ONE_CALL_ONLY:
            raise OptionError(
                f"{where} cannot have {name}=: {ONE_CALL_ONLY[name]}. Say it for one call: task.options({name}=...)."
            )
        if name not in known:
            raise OptionError(f"{where} has no option {name!r}. {did_you_mean(name, known)}")


def _check_keys(what: str, options: Options, signature: Signature) -> None:
    """Refuse keys that name arguments which the function does not have."""
    named = {parameter.name: _AnyArgument() for parameter in signature.parameters}
    if signature.whole is not None:
        named[signature.whole.name] = _AnyArgument()
    try:
        if options.unique is not None:
            options.unique.bound(named)
        if options.debounce is not None:
            options.debounce.bound(named)
    except OptionError as error:
        raise OptionError(f"{what}: {error}") from None


class _AnyArgument:
    """Stands for an argument whose value is not known yet. Any field and any format of it is accepted."""

    def __getattr__(self, name: str) -> "_AnyArgument":
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, name: object) -> "_AnyArgument":
        return self

    def __format__(self, spec: str) -> str:
        return "x"


class Home(Sender, Protocol):
    """The part of an app that routers use."""

    settings: Settings
    registry: Registry[Handler]
    aggregators: Aggregators
    overrides: Overrides


@dataclass(frozen=True, slots=True)
class Inclusion:
    """One call of `include`: the router that took another one in, with which prefix and options, and where."""

    into: "Tasks"
    prefix: str
    options: Mapping[str, Any]
    source_line: str
    module: str


@dataclass(frozen=True, slots=True)
class Around:
    """The middlewares and overrides of the handlers of one router, read when they are needed."""

    router: "Tasks"
    home: Home

    @property
    def middlewares(self) -> Sequence[Middleware]:
        """Those of the app first, then those of each router down to this one."""
        return self.router.middlewares

    @property
    def overrides(self) -> Overrides:
        """Those of the app."""
        return self.home.overrides


def check_prefix(prefix: object) -> None:
    """Refuse a prefix of an include that is not made of whole segments."""
    if not isinstance(prefix, str):
        raise OptionError(f"prefix is {prefix!r}, but must be a text such as 'billing:'.")
    if prefix and not prefix.endswith(":"):
        raise OptionError(f"prefix is {prefix!r}, but must end with ':', as in {prefix + ':'!r}.")
    if prefix and (reason := fault(prefix.removesuffix(":") or prefix)) is not None:
        raise RoutingError(
            f"{prefix!r} is no good prefix: {reason}. Write segments of lower-case letters, digits, '-' and '_', each "
            "with a ':' after it. For types that another program named, include the router without a prefix, and give "
            "each task its whole type with lint=False."
        )


def shown(value: object) -> str:
    """Return the name of a value that was given instead of a router."""
    return f"The module {value.__name__}" if isinstance(value, ModuleType) else repr(value)


def meant(value: object, kind: type) -> str:
    """Suggest a router of a module that was given instead of the router."""
    found = [name for name, each in vars(value).items() if type(each) is kind] if isinstance(value, ModuleType) else []
    return f"Did you mean {cast('ModuleType', value).__name__}.{found[0]}?" if found else ""
