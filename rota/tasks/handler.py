"""Handlers: the function that runs a task, with its payload reader, middleware, dependencies and hooks.

A registration makes a `Handler`, and `join` completes it: at once for a task of an app, or when the router is included.
The executor of a worker calls `invoke` for each task, and `notify` after the outcome is decided. The chain of calls is
built at the first task, and again after a change of middleware or overrides. Time limits, slots and retries are not
decided here, but in `rota.worker.run`.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, cast

from pydantic import ValidationError

from rota import events
from rota.core import forks
from rota.errors import PayloadError
from rota.tasks.callback import UNRUN, Run, checked_concurrency, importable, is_async, name_of, refuse_unrun, run_mode
from rota.tasks.context import Context, enter
from rota.tasks.depends import Call, Overrides, Recipe
from rota.tasks.middleware import Invoke, Middleware, chain
from rota.tasks.options import NO_OPTIONS, Hook, Options
from rota.tasks.payload import Result, arguments_of
from rota.tasks.policy import Retry
from rota.tasks.signature import MISSING, Signature

if TYPE_CHECKING:
    from rota.schedule.declared import DeclaredSchedule
    from rota.tasks.task import Sender

Event: TypeAlias = Literal["success", "failure", "exhausted"]

NO_WORDS: Mapping[str, Any] = MappingProxyType({})


class AppContext(Protocol):
    """The middlewares and overrides of an app, which apply to every handler."""

    @property
    def middlewares(self) -> Sequence[Middleware]:
        """Middlewares around each call, the first one outermost."""
        ...

    @property
    def overrides(self) -> Overrides:
        """Replacements for dependencies."""
        ...


@dataclass(frozen=True, slots=True)
class Hooks:
    """Functions called after a run: with the result, or with the error."""

    success: tuple[Hook, ...] = ()
    failure: tuple[Hook, ...] = ()
    exhausted: tuple[Hook, ...] = ()

    def joined(self, others: "Hooks") -> "Hooks":
        """Return these hooks, then the others."""
        return Hooks(self.success + others.success, self.failure + others.failure, self.exhausted + others.exhausted)

    def with_hook(self, event: Event, hook: Hook) -> "Hooks":
        """Return these hooks with one more."""
        return replace(self, **{event: (*getattr(self, event), hook)})


@dataclass(frozen=True, slots=True)
class Joining:
    """The values that a handler takes over when it joins an app. `modules` are those that included its routers."""

    type: str
    options: Options
    retry: Retry
    hooks: Hooks
    app_context: AppContext
    sender: "Sender"
    modules: tuple[str, ...]


class Handler:
    """One registered function. `invoke` runs it for one task.

    `invoke(context, payload, call=None)` reads the payload, makes the dependencies, and runs the middlewares around
    the function. Without `call` a coroutine function is awaited here; a worker passes `call(function, args, kwargs)`
    to run functions in a thread or process. With `run="process"`, `call` gets a function that can be pickled.
    """

    def __init__(
        self,
        type: str,
        function: Callable[..., Any],
        signature: Signature,
        *,
        run: Run | None = None,
        retry: Retry | None = None,
        concurrency: int | None = None,
        options: Options = NO_OPTIONS,
        hooks: Hooks | None = None,
        words: Mapping[str, Any] = NO_WORDS,
    ) -> None:
        self.type = type
        self.source_line = ""
        """Where it was registered, as `file:line`."""
        self.function = function
        self.signature = signature
        self.run: Run = run_mode(function, signature, run)
        self.retry = retry or Retry()
        self.concurrency = checked_concurrency(concurrency)
        self.options = options
        self.timeout = options.timeout
        """The time limit that tasks of this type are enqueued with, or None."""
        self.own_hooks = self.hooks = hooks or Hooks()
        self.words = words
        """The keywords of its decorator."""
        self.schedules: list[DeclaredSchedule] = []
        """The schedules that the program declares for it."""
        self.sender: Sender | None = None
        """The app, or None before the router of this handler is included in one."""
        self.modules: tuple[str, ...] = (function.__module__,)
        """The modules that a process imports before it runs the function."""
        self.arguments = arguments_of(signature)
        self.result = Result(signature.name, signature.returns, is_raw=signature.is_raw)
        self.target: Callable[..., Any] = importable(function) if self.run == "process" else function
        self._app_context: AppContext | None = None
        self.invoke: Invoke = self._prepare_and_invoke
        if signature.dependencies:
            Recipe(signature, {})  # wrong dependencies are refused at import, not in the first task

    def join(self, joining: Joining) -> None:
        """Join an app."""
        self.type = joining.type
        self.options, self.retry, self.hooks = joining.options, joining.retry, joining.hooks
        self.timeout = joining.options.timeout
        self.modules += joining.modules
        self.sender = joining.sender
        self._app_context = joining.app_context
        self.reset()

    @property
    def lint(self) -> bool:
        """Whether the name of its type must follow the grammar of names."""
        return bool(self.words.get("lint", True))

    @property
    def is_typed(self) -> bool:
        """Whether the payload holds typed arguments. A handler in Asynq's style takes any payload."""
        return not self.signature.is_raw

    def encode_result(self, value: Any, limit_bytes: int | None = None, *, kept: bool = True) -> bytes | None:
        """Return the result as it is stored, or None if there is no result. Raises PayloadError.

        With `kept=False` a function without a return annotation may return anything, because its result is not stored.
        """
        if isinstance(value, UNRUN):
            # Writing a generator as JSON would run its code here, on the event loop.
            kind = cast("object", value).__class__.__name__
            raise PayloadError(
                f"{self.signature.name} returned a {kind}, whose code has not run: return a value, for example a list."
            )
        try:
            stored = self.result.write(value)
        except PayloadError:
            if kept or self.signature.returns is not MISSING:
                raise
            return None
        if stored is not None and limit_bytes is not None and len(stored) > limit_bytes:
            raise PayloadError(
                f"The result of {self.type} has {len(stored)} bytes, more than the {limit_bytes} allowed: "
                "store it elsewhere and return where, or raise result_limit_bytes."
            )
        return stored

    async def notify(self, event: Event, context: Context, value: Any) -> None:
        """Run the hooks of an event. Their errors are only logged, because the outcome of the task is already decided.

        Even a `sys.exit()` in a hook is caught, because it would end the event loop.
        """
        task = asyncio.current_task()
        for hook in getattr(self.hooks, event):
            try:
                answer = forks.call(hook, (context, value))
                if inspect.isawaitable(answer):
                    answer = await forks.wait_for(answer)
                refuse_unrun(f"The {event} hook {name_of(hook)}", answer)
            except BaseException as error:
                if cancelled_here(error) or (isinstance(error, GeneratorExit) and not _runs_in(task)):
                    raise
                about = events.about_task(context.id, context.type, context.queue, context.retried)
                events.emit(events.HookFailed(**about, hook_event=event, hook=name_of(hook), error=error))

    def prepare(self) -> None:
        """Build the chain of calls. Must be called again after a middleware was added or an override changed."""
        around = self._app_context
        core = self._plain() if not self.signature.dependencies else self._with_dependencies()
        self.invoke = chain(around.middlewares, core) if around is not None else core

    def reset(self) -> None:
        """Make the next call rebuild the chain."""
        self.invoke = self._prepare_and_invoke

    async def _prepare_and_invoke(self, context: Context, payload: bytes, call: Call | None = None) -> Any:
        self.prepare()
        return await self.invoke(context, payload, call)

    def _plain(self) -> Invoke:
        # The hot path of every task without dependencies: attributes are looked up here, once, and not in each call.
        validate, recover = self.arguments.validate, self.arguments.recover
        target, direct = self.target, self._direct()
        context_names = self.signature.context_names

        async def invoke(context: Context, payload: bytes, call: Call | None = None) -> Any:
            enter(context)  # never reset: every run is an asyncio task with its own context variables
            try:
                values = validate(payload)
            except ValidationError as error:
                values = recover(payload, error)
            for name in context_names:
                values[name] = context
            if call is not None:
                return await call(target, (), values)
            began_in = forks.generation
            try:
                value = await direct(**values)
            except BaseException as error:
                forks.end_if_forked(began_in, error)
                raise
            if forks.generation != began_in:
                forks.end()
            return value

        return invoke

    def _with_dependencies(self) -> Invoke:
        read, context_names = self.arguments.read, self.signature.context_names
        target, direct = self.target, self._direct()
        overrides = self._app_context.overrides if self._app_context is not None else Overrides()
        recipe, version = Recipe(self.signature, overrides), overrides.version

        async def invoke(context: Context, payload: bytes, call: Call | None = None) -> Any:
            nonlocal recipe, version
            if version != overrides.version:
                recipe, version = Recipe(self.signature, overrides), overrides.version
            enter(context)
            values = read(payload)
            values.update(dict.fromkeys(context_names, context))
            async with AsyncExitStack() as stack:
                values.update(await recipe.provide(context, stack))
                run = direct(**values) if call is None else call(target, (), values)
                return await forks.wait_for(run)

        return invoke

    def _direct(self) -> Callable[..., Awaitable[Any]]:
        function = self.function
        if is_async(function):
            return function

        async def on_loop(**values: Any) -> Any:
            return function(**values)

        async def in_thread(**values: Any) -> Any:
            return await asyncio.to_thread(function, **values)

        return on_loop if self.run == "loop" else in_thread

    def __repr__(self) -> str:
        return f"<Handler {self.type} {self.signature.name} in {self.run}>"


def _runs_in(task: "asyncio.Task[Any] | None") -> bool:
    """Whether the loop is running this task now. False while its coroutine is closed, which raises GeneratorExit."""
    try:
        return asyncio.current_task() is task
    except RuntimeError:
        return False


def cancelled_here(error: BaseException) -> bool:
    """Whether this error cancels the current asyncio task, and is not a CancelledError that its own code raised."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0
