"""Makes a handler of a function and its decorator's keywords. Unknown or conflicting keywords fail at import."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from types import NoneType
from typing import Any

from rota.core.canonical import is_array
from rota.core.text import did_you_mean
from rota.errors import OptionError
from rota.tasks.callback import check
from rota.tasks.handler import Handler, Hooks, Surroundings
from rota.tasks.options import ONE_CALL_ONLY, Hook, Options, RunOptions, TaskOptions
from rota.tasks.policy import Retry
from rota.tasks.signature import MISSING, Signature, read_raw_signature, read_signature, refuse_generator

_RUN_WORDS = frozenset(RunOptions.__annotations__)
_TASK_WORDS = frozenset(TaskOptions.__annotations__) | _RUN_WORDS
_OPTION_WORDS = ("queue", "timeout", "unique", "retention", "delay", "group", "headers", "debounce")


def task_handler(
    type: str,
    function: Callable[..., Any],
    words: Mapping[str, Any],
    *,
    hooks: Hooks,
    surroundings: Surroundings,
    result_retention: timedelta,
) -> Handler:
    """Make the handler of a typed task."""
    _check_words(f"app.task({type!r})", words, _TASK_WORDS)
    function = _function(function)
    signature = read_signature(function)
    if "result" in words:
        signature = replace(signature, returns=_result(words["result"]))
    retry = Retry.of(_said(words, "retry", Retry()))
    options = Options.of(**{name: words[name] for name in _OPTION_WORDS if name in words})
    _check_keys(type, options, signature)
    if "retry" in words:
        options = options.updated(max_retry=retry.max)
    if options.retention is None and signature.returns not in (MISSING, None, NoneType) and result_retention:
        options = options.updated(retention=result_retention)
    return _handler(type, function, signature, words, retry, options, hooks, surroundings)


def raw_handler(
    type: str,
    function: Callable[..., Any],
    words: Mapping[str, Any],
    *,
    hooks: Hooks,
    surroundings: Surroundings,
) -> Handler:
    """Make a handler in Asynq's style."""
    _check_words(f"app.handler({type!r})", words, _RUN_WORDS)
    function = _function(function)
    retry = Retry.of(_said(words, "retry", Retry()))
    options = Options.of(timeout=words.get("timeout"))
    return _handler(type, function, read_raw_signature(function), words, retry, options, hooks, surroundings)


def _handler(
    type: str,
    function: Callable[..., Any],
    signature: Signature,
    words: Mapping[str, Any],
    retry: Retry,
    options: Options,
    hooks: Hooks,
    surroundings: Surroundings,
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
        retry=retry,
        concurrency=words.get("concurrency"),
        options=options,
        hooks=own.joined(hooks),
        surroundings=surroundings,
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


def _said(words: Mapping[str, Any], name: str, default: Any) -> Any:
    value = words.get(name)
    return default if value is None else value


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


def _check_keys(type: str, options: Options, signature: Signature) -> None:
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
        raise OptionError(f"app.task({type!r}): {error}") from None


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
