"""The decorators and methods by which a program declares schedules, on an app or a router.

```python
@app.cron("30 2 * * *", tz="Europe/Berlin", missed="all")
async def backup() -> None: ...

@app.every("10m")
@app.task("cache:warm")
async def warm() -> None: ...

welcome.schedule("0 9 * * *", user_id=7)
app.schedule("email:digest", {"list": "all"}, cron="0 8 * * mon")
```

All of them are checked in their line. `app.schedules` lists them.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, ParamSpec, Protocol, TypeVar, Unpack, cast, overload

from pydantic_core import from_json

from rota.core.canonical import is_mapping
from rota.core.duration import DurationLike, at_least, parse
from rota.core.source_line import caller, named
from rota.errors import OptionError, PayloadError
from rota.tasks.callback import check, name_of, refuse_bare_decorator
from rota.tasks.context import Context
from rota.tasks.handler import Handler
from rota.tasks.options import SECOND, Options
from rota.tasks.policy import Retry
from rota.tasks.routing import check_blank
from rota.tasks.task import AsyncTask, SyncTask, Task, TaskDecorator

if TYPE_CHECKING:
    from rota.schedule.declared import DeclaredSchedule, ScheduleProvider, Specs, When
    from rota.schedule.definition import StoredSchedule
    from rota.schedule.keywords import ScheduleOptions
    from rota.tasks.options import TaskOptions
    from rota.tasks.registration import Inclusion
    from rota.tasks.task import Sender

SHORTEST_RETENTION = timedelta(minutes=10)
"""A definition has no shorter one, because the outcome of a run is read from its task."""

_PER_RUN = ("queue", "max_retry", "timeout", "retention", "unique", "group", "headers")
"""Options of `task.options(...)` that a schedule can give to each of its runs."""

P = ParamSpec("P")
R = TypeVar("R")
TaskT = TypeVar("TaskT", bound=Task[..., Any])


class ScheduleDecorator(Protocol):
    """The decorator that `app.cron(...)` returns: for a task, or for a function that becomes one."""

    # The overloads overlap on purpose, as those of TaskDecorator do.
    @overload
    def __call__(self, task: TaskT, /) -> TaskT: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
        self, function: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], R], /) -> SyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> SyncTask[P, R]: ...


class Scheduling(ABC):
    """The part of an app or a router that declares schedules."""

    _name: ClassVar[str]
    _handlers: list[Handler]
    _within: "Sequence[Scheduling]"
    """The routers that this app or router includes."""

    def __init__(self) -> None:
        self._schedules: list[DeclaredSchedule] = []

    @abstractmethod
    def task(self, type: str, **words: "Unpack[TaskOptions]") -> TaskDecorator:
        """Register a typed function under a type name."""

    @property
    @abstractmethod
    def _home(self) -> "Sender | None": ...

    @property
    @abstractmethod
    def _prefix(self) -> str: ...

    @abstractmethod
    def _named(self, what: str, source_line: str) -> AbstractContextManager[None]: ...

    @abstractmethod
    def _inclusions(self) -> "list[Inclusion]": ...

    def cron(
        self,
        *specs: str,
        tz: str | None = None,
        name: str | None = None,
        type: str | None = None,
        **options: "Unpack[ScheduleOptions]",
    ) -> ScheduleDecorator:
        """Run a task at the times of a cron expression, or of any other spec: `@app.cron("30 2 * * *")`.

        Decorates a task, or a function without required parameters, which becomes a task. Its type is `type`, by
        default the name of the function. Several specs fire at all of their times. `tz` is the time zone, by default
        that of the settings. `name` is the name of the schedule, by default the type of the task.
        """
        with self._named("cron", caller()):
            refuse_bare_decorator(f"{self._name}.cron", specs)
        what = f"{self._name}.cron({', '.join(map(repr, specs))})"
        words = {"tz": tz, "name": name}
        return self._decorator(what, specs, type, words, options)

    def every(
        self,
        interval: DurationLike,
        *,
        name: str | None = None,
        type: str | None = None,
        **options: "Unpack[ScheduleOptions]",
    ) -> ScheduleDecorator:
        """Run a task at an interval: `@app.every("10m")`. Restarts and deploys do not shift the times (see `cron`)."""
        from rota.schedule.declared import every_spec  # imported late, as below: many programs declare no schedule

        what = f"{self._name}.every({interval!r})"
        with self._named(what.removeprefix(f"{self._name}."), caller()):
            specs = (every_spec(what, interval),)
        return self._decorator(what, specs, type, {"tz": None, "name": name}, options)

    def schedule(
        self,
        type: str,
        payload: Mapping[str, Any] | None = None,
        *,
        cron: "Specs | None" = None,
        every: DurationLike | None = None,
        tz: str | None = None,
        name: str | None = None,
        **options: "Unpack[ScheduleOptions]",
    ) -> None:
        """Schedule a task by the name of its type, which may have its handler in another program, also one in Go.

        Give either `cron`, one or more specs, or `every`, an interval. If this app or router has the task, the payload
        is validated. Its texts may hold variables, such as `{{planned_at}}`.
        """
        from rota.schedule.declared import declared, every_spec, schedule_words

        what = f"{self._name}.schedule({type!r})"
        with self._named(what.removeprefix(f"{self._name}."), caller()):
            check_blank(type)
            if (cron is None) == (every is None):
                raise OptionError("give either cron='30 2 * * *', or every='10m'.")
            specs = every_spec("every=", every) if every is not None else cast("Specs", cron)
            words = schedule_words(what, specs, tz=tz, name=name, options=options)
            handler = self._handler_of(type)
            made = declared(what, words, handler=handler, type=type, payload=payload or {})
            if handler is not None and handler.is_typed:
                check_payload(handler, payload or {})
            self._declare(made)

    def _decorator(
        self,
        what: str,
        specs: "Specs",
        type: str | None,
        named: Mapping[str, str | None],
        options: Mapping[str, Any],
    ) -> ScheduleDecorator:
        from rota.schedule.declared import add_to_handler, declared, schedule_words

        plain = what.removeprefix(f"{self._name}.")

        def register(function: Callable[..., Any]) -> Task[..., Any]:
            with self._named(plain, caller()):
                words = schedule_words(what, specs, tz=named["tz"], name=named["name"], options=options)
                task = self._task_of(what, function, type)
                payload = arguments_payload(task.handler, (), {})
                words = {**task.scheduled_options(), **words}
                add_to_handler(task.handler, declared(what, words, handler=task.handler, payload=payload))
            return task

        return cast("ScheduleDecorator", register)

    def _task_of(self, what: str, function: Callable[..., Any], type: str | None) -> Task[..., Any]:
        if isinstance(function, Task):
            if type is not None:
                raise OptionError(f"type={type!r} is given, but the decorated task has its type already: leave it out.")
            return cast("Task[..., Any]", function)
        name = getattr(function, "__name__", "")
        made: Task[..., Any] = self.task(type if type is not None else name)(function)
        return made

    def check_schedules(self, joining: "Sequence[tuple[Scheduling, DeclaredSchedule]]" = ()) -> None:
        """Raise OptionError if two schedules have one name, also with those of a router that is joining."""
        pairs = [*self._all_schedules(), *joining]
        if pairs:
            from rota.schedule.declared import refuse_equal_names

            refuse_equal_names((each.name(router._prefix), each) for router, each in pairs)

    def _check_joining(self) -> None:
        """Refuse the schedules of a router that joins an app, if their names are taken."""
        if self._home is not None:
            self._home.check_schedules(self._all_schedules())

    def _all_schedules(self) -> "list[tuple[Scheduling, DeclaredSchedule]]":
        """Return the declarations of this app or router and of those in it, each with its router."""
        own = [each for handler in self._handlers for each in handler.schedules] + self._schedules
        return [(self, each) for each in own] + [pair for router in self._within for pair in router._all_schedules()]

    def _stored_schedules(self, timezone: str) -> "tuple[StoredSchedule, ...]":
        """Return the stored form of all declarations, by name. `timezone` is that of those that name none."""
        from rota.schedule.declared import refuse_chains

        made: list[StoredSchedule] = []
        for router, each in self._all_schedules():
            included = included_words([item.options for item in router._inclusions()])
            with named(each.what, each.source_line):
                made.append(each.stored(router._prefix, timezone, included))
        refuse_chains(made)
        return tuple(sorted(made, key=lambda item: item.definition.name))

    def _handler_of(self, type: str) -> Handler | None:
        names = (type, self._prefix + type)
        return next((each for each in self._handlers if each.type in names), None)

    def _declare(self, made: "DeclaredSchedule") -> None:
        """Add a declaration of this app or router. Raises OptionError if its name is taken."""
        self._schedules.append(made)
        home = self._home
        if home is not None:
            try:
                home.check_schedules()
            except OptionError:
                self._schedules.remove(made)
                raise


def schedule_task(task: Task[..., Any], when: "Specs | When", args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Declare a schedule of a task with these arguments. Refuses what is wrong in the line that called the task."""
    from rota.schedule.declared import When, add_to_handler, declared

    what, handler = f"{task.function.__name__}.schedule({when!r})", task.handler
    with named(what, caller()):
        words = {**task.scheduled_options(), **(when.words if isinstance(when, When) else {"specs": when})}
        payload = arguments_payload(handler, args, kwargs)
        add_to_handler(handler, declared(what, words, handler=handler, payload=payload))


def arguments_payload(handler: Handler, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the payload of a call with these arguments. Raises OptionError if the function does not take them."""
    if not handler.is_typed:
        raise OptionError(f"{handler.type} takes bytes: schedule it by its name, app.schedule({handler.type!r}, ...).")
    arguments = handler.arguments
    try:
        payload = from_json(arguments.write(arguments.bind(args, kwargs)))
    except PayloadError as error:
        raise OptionError(str(error)) from None
    if not is_mapping(payload):
        raise OptionError(f"{handler.type} takes a payload that is not a JSON object, which a schedule cannot hold.")
    return dict(payload)


def per_run(changed: Options, own: Options) -> dict[str, Any]:
    """Return the options of `task.options(...)` that differ from those of the task, as fields of a definition."""
    given = {name: value for name, value in changed.words().items() if value != getattr(own, name)}
    for name in given:
        if name not in _PER_RUN:
            raise OptionError(f"task.options({name}=...) cannot be scheduled: the schedule decides when the task runs.")
    unique = given.get("unique")
    if unique is not None:
        if unique.scope != "ttl" or unique.key is not None:
            raise OptionError(
                "a schedule takes unique= as a duration: give the task itself a Unique with scope or key."
            )
        given["unique"] = unique.ttl
    return given


def check_payload(handler: Handler, payload: Mapping[str, Any]) -> None:
    """Refuse a payload that the function of a task cannot take. Each variable stands for an example of its value."""
    from rota.schedule.variables import filled

    example = filled(payload, planned_at=datetime.now(UTC), timezone="UTC", schedule="name", run="id")
    try:
        handler.arguments.write(handler.arguments.bind_object(example))
    except PayloadError as error:
        raise OptionError(str(error)) from None


def included_words(includes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the options of includes, the innermost first, as fields of a definition."""
    words = {name: value for each in reversed(includes) for name, value in each.items() if value is not None}
    made: dict[str, Any] = {name: words[name] for name in ("queue",) if name in words}
    if "timeout" in words:
        made["timeout"] = parse(words["timeout"], "timeout")
    if "retention" in words:
        made["retention"] = max(parse(words["retention"], "retention"), SHORTEST_RETENTION)
    if "retry" in words:
        made["max_retry"] = Retry.of(words["retry"]).max
    for each in includes:
        headers: Mapping[str, str] = each.get("headers") or {}
        made["headers"] = {**headers, **made.get("headers", {})}
    return made


def read_provider(what: str, function: Any, interval: DurationLike) -> "ScheduleProvider":
    """Check a provider. Raises OptionError for a function that is not async, because it would stop all schedules."""
    check(what, function)
    if not inspect.iscoroutinefunction(inspect.unwrap(function)):
        raise OptionError(
            f"{what} is given {name_of(function)}, which is not async: while it blocks, no schedule fires. Write an "
            "async def, which may call asyncio.to_thread."
        )
    seconds = at_least(interval, SECOND, f"{what} interval", "each call may read a database")
    from rota.schedule.declared import ScheduleProvider

    return ScheduleProvider(function, seconds, name_of(function), caller())
