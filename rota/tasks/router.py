"""Routers: a module registers its tasks on a router without knowing the app, and the app includes the router.

How a task joins an app:

1. A decorator makes the handler and checks its options. On a router, the handler then waits for the app.
2. `include` joins a router to an app, or to another router. A router is included once, so that each of its tasks has
   one type, one queue and one app.
3. When a chain of includes ends at an app, each handler gets its full type, the options that the includes give, the
   hooks of its routers and of the app, and its entry in the registry. All of this is checked before the first handler
   changes, so a refused include leaves the app and the router as they were.
4. A task reads its type and options from its handler at its first use after that. Before, it raises RoutingError.

The app is the outermost router: `Rota` inherits the decorators, and its own handlers join it at once. So does a handler
that is registered on a router after the include.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, TypeVar, Unpack, cast
from weakref import WeakSet

from rota.core.duration import DurationLike
from rota.core.source_line import caller, calling_module, named, names_source_line
from rota.core.text import counted
from rota.errors import OptionError, RoutingError
from rota.tasks import middleware as around
from rota.tasks.callback import is_async
from rota.tasks.groups import EVERY_GROUP, AggregateFunction, GroupHandler
from rota.tasks.handler import Event, Handler, Hooks, Joining
from rota.tasks.middleware import Middleware
from rota.tasks.options import Hook, IncludeOptions, RunOptions, TaskOptions
from rota.tasks.registration import (
    Around,
    Home,
    Inclusion,
    check_hook,
    check_include_options,
    check_prefix,
    completed,
    meant,
    raw_handler,
    shown,
    task_handler,
)
from rota.tasks.routing import check_blank
from rota.tasks.scheduling import Scheduling
from rota.tasks.task import AsyncTask, SyncTask, Task, TaskDecorator

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

_made: "WeakSet[Tasks]" = WeakSet()


class Tasks(Scheduling):
    """A router: holds the tasks of one module until an app includes it with `app.include`.

    It has the decorators of the app, so that the module does not import the app. Middlewares and hooks that are
    registered on a router apply to its own tasks, and to those of the routers that it includes.
    """

    _name: ClassVar[str] = "tasks"
    """The name of the object in error texts."""

    @names_source_line
    def __init__(self, *, middleware: Sequence[Middleware] = ()) -> None:
        """Make a router. `middleware` runs around its tasks, inside the middleware of the app."""
        super().__init__()
        self._source_line = caller()
        self._middlewares: list[Middleware] = [
            around.check(item) for item in around.each(f"{type(self).__name__}(middleware=...)", middleware)
        ]
        self._hooks = Hooks()
        self._handlers: list[Handler] = []
        self._group_handlers: list[GroupHandler] = []
        self._within = self._routers = list[Tasks]()
        self._inclusion: Inclusion | None = None
        _made.add(self)

    # Registering

    def task(self, type: str, **words: Unpack[TaskOptions]) -> TaskDecorator:
        """Register a typed function under a type name.

        Raises OptionError if options are unknown or conflict. A completed task and its result are kept for `retention`,
        and without a retention they are not kept. `await task.call(...)` asks for the result of one call.
        """
        self._check_type_given("task", type)

        def register(function: Callable[..., Any]) -> Task[..., Any]:
            with self._named(what := f"task({type!r})", source_line := caller()):
                handler = task_handler(f"{self._name}.{what}", type, function, words)
                check_blank(type)
                handler.source_line = source_line
            self._join([(self, handler)])
            self._handlers.append(handler)
            made: Task[..., Any] = AsyncTask(handler) if is_async(handler.function) else SyncTask(handler)
            return made

        return cast("TaskDecorator", register)

    def handler(self, type: str, **words: Unpack[RunOptions]) -> Callable[[FunctionT], FunctionT]:
        """Register a function of `(ctx, payload)` for a type, or for all types under a pattern like `"email:"`.

        The function gets the payload as bytes. Its return value is the result; bytes are stored unchanged.
        """
        self._check_type_given("handler", type)

        def register(function: FunctionT) -> FunctionT:
            with self._named(what := f"handler({type!r})", source_line := caller()):
                handler = raw_handler(f"{self._name}.{what}", type, function, words)
                check_blank(type)
                handler.source_line = source_line
            self._join([(self, handler)])
            self._handlers.append(handler)
            return function

        return register

    def aggregator(
        self,
        type: str = "",
        *,
        group: str = EVERY_GROUP,
        grace: DurationLike | None = None,
        max_delay: DurationLike | None = None,
        max_size: int | None = None,
    ) -> Callable[[FunctionT], FunctionT]:
        """Register a function that turns a group into one task: `(group, tasks) -> Plan`.

        The aggregator gets tasks of `type`, a name or a pattern like `"email:"`; without it, tasks of every type. On a
        router that is included with a prefix, every type means every type with this prefix. `group` is a name or a
        pattern like `"user-*"`. Without `grace`, `max_delay` or `max_size` the settings `group_grace`,
        `group_max_delay` and `group_max_size` apply.
        """
        self._check_type_given("aggregator", type)

        def register(function: FunctionT) -> FunctionT:
            with self._named(f"aggregator({type!r}, group={group!r})", source_line := caller()):
                made = GroupHandler(
                    cast("AggregateFunction", function),
                    type=type,
                    group=group,
                    grace=grace,
                    max_delay=max_delay,
                    max_size=max_size,
                )
                made.source_line = source_line
            self._join([], [(self, made)])
            self._group_handlers.append(made)
            return function

        return register

    def middleware(self, function: Middleware) -> Middleware:
        """Run code around each call of a task in a worker, inside the middleware that was added before.

        Also a decorator.
        """
        with self._named("middleware", caller()):
            self._middlewares.append(around.check(function))
        for _, handler in self._all_handlers():
            handler.reset()
        return function

    def on_success(self, hook: Hook) -> Hook:
        """Call a function after each success, with the context and the result. Also a decorator."""
        return self._add_hook("success", hook)

    def on_failure(self, hook: Hook) -> Hook:
        """Call a function after each failure that will be retried, with the context and the error. Also a decorator."""
        return self._add_hook("failure", hook)

    def on_exhausted(self, hook: Hook) -> Hook:
        """Call a function when a task has failed for good, with the context and the error. Also a decorator."""
        return self._add_hook("exhausted", hook)

    def include(self, tasks: "Tasks", *, prefix: str = "", **options: Unpack[IncludeOptions]) -> None:
        """Take in the tasks of a router: `app.include(billing.tasks, prefix="billing:", queue="billing")`.

        `prefix` stands before the type of each task. The options are defaults: an option that a task gives itself wins,
        then the innermost include. A router is included once, in one app or one other router; a second include raises
        RoutingError. Tasks that are registered on the router later are taken in too.
        """
        source_line = caller()
        with named(f"{self._name}.include", source_line):
            self._check_includable(tasks)
            check_prefix(prefix)
            check_include_options(f"{self._name}.include", options)
            tasks._inclusion = Inclusion(self, prefix, options, source_line, calling_module())
            try:
                tasks._check_joining()
                self._join(tasks._all_handlers(), tasks._all_group_handlers())
            except Exception:
                tasks._inclusion = None
                raise
            self._routers.append(tasks)

    @property
    def middlewares(self) -> list[Middleware]:
        """The middlewares around each call of a task of this router, the first one outermost."""
        return [each for router in reversed(list(self._outwards())) for each in router._middlewares]

    def __repr__(self) -> str:
        return f"<Tasks with {counted(len(list(self._all_handlers())), 'handler')} ({self._source_line})>"

    def warning(self) -> str | None:
        """A warning if this router has tasks or aggregators, and no app includes it."""
        if self._home is not None or not (self._handlers or self._group_handlers):
            return None
        number = len(self._handlers) + len(self._group_handlers)
        return (
            f"No app includes the router made in {self._source_line}, so its {counted(number, 'function')} cannot run "
            "here: call app.include(...) with this router."
        )

    # Joining an app

    @property
    def _home(self) -> Home | None:
        """The app at the end of the chain of includes, or None while there is none."""
        return self._inclusion.into._home if self._inclusion is not None else None

    def _outwards(self) -> "Iterator[Tasks]":
        """Yield this router, the one that includes it, and so on."""
        router: Tasks | None = self
        while router is not None:
            yield router
            router = router._inclusion.into if router._inclusion is not None else None

    def _inclusions(self) -> list[Inclusion]:
        """The chain of includes of this router, the innermost first."""
        return [router._inclusion for router in self._outwards() if router._inclusion is not None]

    def _all_handlers(self) -> "list[tuple[Tasks, Handler]]":
        inner = [pair for router in self._routers for pair in router._all_handlers()]
        return [(self, handler) for handler in self._handlers] + inner

    def _all_group_handlers(self) -> "list[tuple[Tasks, GroupHandler]]":
        inner = [pair for router in self._routers for pair in router._all_group_handlers()]
        return [(self, each) for each in self._group_handlers] + inner

    def _join(
        self,
        handlers: "Iterable[tuple[Tasks, Handler]]",
        group_handlers: "Iterable[tuple[Tasks, GroupHandler]]" = (),
    ) -> None:
        """Join handlers to the app; none of them changes if one is refused. Waits without an app."""
        home = self._home
        if home is None:
            return
        types: dict[str, Handler] = {}
        groups: dict[tuple[str, str], GroupHandler] = {}
        joinings: list[tuple[Handler, Joining]] = []
        for router, handler in handlers:
            with router._named_handler(handler):
                joining = router._joining(home, handler)
                home.registry.check(joining.type, lint=handler.lint, others=types)
            types[joining.type] = handler
            joinings.append((handler, joining))
        for router, each in group_handlers:
            with router._named(f"aggregator({each.type!r}, group={each.group!r})", each.source_line):
                type = router._prefix + each.type
                home.aggregators.check(type, each.group, others=groups)
            groups[type, each.group] = each
        for handler, joining in joinings:
            handler.join(joining)
            home.registry.add(handler, lint=False)  # the name is checked above
        for (type, _), each in groups.items():
            each.type = type
            home.aggregators.add(each)

    def _joining(self, home: Home, handler: Handler) -> Joining:
        inclusions = self._inclusions()
        options, retry = completed(handler, [each.options for each in inclusions])
        return Joining(
            type=self._prefix + handler.type,
            options=options,
            retry=retry,
            hooks=self._hooks_of(handler),
            app_context=Around(self, home),
            sender=home,
            modules=tuple(each.module for each in inclusions),
        )

    @property
    def _prefix(self) -> str:
        return "".join(each.prefix for each in reversed(self._inclusions()))

    def _hooks_of(self, handler: Handler) -> Hooks:
        hooks = handler.own_hooks
        for router in self._outwards():
            hooks = hooks.joined(router._hooks)
        return hooks

    def _add_hook(self, event: Event, hook: Hook) -> Hook:
        with self._named(f"on_{event}", caller()):
            check_hook(f"{self._name}.on_{event}", hook)
        self._hooks = self._hooks.with_hook(event, hook)
        for router, handler in self._all_handlers():
            handler.hooks = router._hooks_of(handler)
        return hook

    # Refusing

    def _named(self, what: str, source_line: str) -> AbstractContextManager[None]:
        return named(f"{self._name}.{what}", source_line)

    def _named_handler(self, handler: Handler) -> AbstractContextManager[None]:
        return self._named(f"{'task' if handler.is_typed else 'handler'}({handler.type!r})", handler.source_line)

    def _check_type_given(self, decorator: str, type: object) -> None:
        if not isinstance(type, str):
            shown = f"{self._name}.{decorator}"
            raise OptionError(f"{shown} needs the type name: @{shown}('email:welcome') ({caller()}).")

    def _check_includable(self, tasks: object) -> None:
        if not isinstance(tasks, Tasks):
            raise OptionError(
                f"{shown(tasks)} is not a router, which is made by Tasks(). {meant(tasks, Tasks)}".rstrip()
            )
        if tasks._home is not None and tasks._inclusion is None:
            raise OptionError("An app cannot be included. Register the tasks on a router instead: tasks = Tasks().")
        if tasks in self._outwards():
            raise RoutingError(f"The router made in {tasks._source_line} would include itself.")
        if tasks._inclusion is not None:
            raise RoutingError(
                f"The router made in {tasks._source_line} is included already, in {tasks._inclusion.source_line}. A "
                "router is included once, so that each of its tasks has one type, one queue and one app. For a second "
                "app or prefix, make the router in a function, and call this function for each include."
            )


def left_out() -> list[str]:
    """Return a warning for each router of this process that has tasks and is in no app."""
    return sorted(warning for each in _made if (warning := each.warning()) is not None)
