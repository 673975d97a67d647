"""A registered task: typed like its function, with one verb to enqueue it.

The plain values around it (`Options`, `Plan`, `Job`, `TaskInfo`, `TaskState`) can be imported from here too.
"""

import functools
import inspect
from collections.abc import Callable, Coroutine, Sequence
from copy import copy
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Final,
    Generic,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    Unpack,
    cast,
    overload,
)

from rota.core.duration import DurationLike
from rota.errors import OptionError, RoutingError
from rota.tasks.context import Context, blank, peek
from rota.tasks.handler import Handler
from rota.tasks.job import Decode, Job, Plan, Receipt, SyncJob, TaskInfo, TaskState
from rota.tasks.options import EnqueueOptions, Options
from rota.tasks.policy import Debounce
from rota.tasks.signature import INJECTED
from rota.wire.enqueue import DEFAULT_QUEUE

if TYPE_CHECKING:
    from rota.schedule.declared import DeclaredSchedule, Specs, When
    from rota.tasks.scheduling import Scheduling

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


class Sender(Protocol):
    """The part of an app that a task uses."""

    def send(self, plan: Plan[S]) -> Coroutine[Any, Any, Job[S]]:
        """Enqueue one plan."""
        ...

    def send_sync(self, plan: Plan[S]) -> SyncJob[S]:
        """Enqueue one plan from blocking code."""
        ...

    def call(self, plan: Plan[S], timeout: DurationLike | None) -> Coroutine[Any, Any, S]:
        """Enqueue one plan, wait for its end, and return its result."""
        ...

    def call_sync(self, plan: Plan[S], timeout: DurationLike | None) -> S:
        """Call from blocking code."""
        ...

    def handle(self, queue: str, id: str, type: str, decode: Decode | None) -> Job[Any]:
        """Return a handle to a task."""
        ...

    def handle_sync(self, queue: str, id: str, type: str, decode: Decode | None) -> SyncJob[Any]:
        """Return a handle to a task for blocking code."""
        ...

    def check_schedules(self, joining: "Sequence[tuple[Scheduling, DeclaredSchedule]]" = ()) -> None:
        """Raise OptionError if two schedules have one name, also with those of a router that is joining."""
        ...


NOT_GIVEN: Final[Any] = object()
"""The default of `timeout` in a call: a function may have a parameter of this name, for which None is a value."""
_OF_THE_APP = frozenset({"type", "default_options", "_sender"})
"""The attributes of a task that are known only once its router is included in an app."""
_ELSEWHERE = frozenset(
    {"delay", "apply_async", "apply", "s", "si", "send", "send_with_options", "kiq", "defer", "defer_async"}
    | {"enqueue_in", "enqueue_at", "push", "queue", "perform_async"}
)
"""The names of the enqueue methods of Celery, Dramatiq, Taskiq, Procrastinate, RQ and others."""


class Task(Generic[P, R]):
    """A function that can be enqueued. Calling the task runs the function here and now, without a queue.

    Calls leave out the arguments that the worker injects.
    """

    type: str
    default_options: Options
    _sender: Sender
    _changes: tuple[EnqueueOptions, ...] = ()
    """The keywords of `options` that were given before the router of this task was included."""

    def __init__(self, handler: Handler) -> None:
        functools.update_wrapper(cast("Callable[..., Any]", self), handler.function, updated=())
        self.handler = handler
        self.function: Callable[..., Any] = handler.function
        self._arguments = handler.arguments
        self._decode = handler.result.read
        if handler.sender is not None:
            self._read_handler()

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Enqueue a call with these arguments. Raises PayloadError if they do not fit the function."""
        return await self._sender.send(self.plan(*args, **kwargs))

    def enqueue_sync(self, *args: P.args, **kwargs: P.kwargs) -> SyncJob[R]:
        """Enqueue from blocking code, such as Django or a script."""
        return self._sender.send_sync(self.plan(*args, **kwargs))

    @overload
    async def call(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def call(self, *args: Any, timeout: DurationLike | None, **kwargs: Any) -> R: ...  # noqa: ASYNC109
    async def call(  # type: ignore[misc]  # mypy fears for parameters called `timeout`, which `_called` refuses
        self,
        *args: Any,
        timeout: DurationLike | None = NOT_GIVEN,  # noqa: ASYNC109
        **kwargs: Any,
    ) -> R:
        """Enqueue a call, wait for its end, and return its result: `await task.call(7, timeout="10s")`.

        The same as `app.call(task.plan(7), timeout="10s")`, where type checkers check the arguments too.
        """
        return await self._sender.call(*self._called("call", args, kwargs, timeout))

    @overload
    def call_sync(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def call_sync(self, *args: Any, timeout: DurationLike | None, **kwargs: Any) -> R: ...
    def call_sync(  # type: ignore[misc]  # as for `call`
        self, *args: Any, timeout: DurationLike | None = NOT_GIVEN, **kwargs: Any
    ) -> R:
        """Call from blocking code, such as Django or a script (see `call`)."""
        return self._sender.call_sync(*self._called("call_sync", args, kwargs, timeout))

    def job(self, id: str, *, queue: str | None = None) -> Job[R]:
        """Return a handle to a task of this type that was enqueued earlier, without a request to the server.

        `queue` is the queue of this task by default. Whether the task exists is known only after a request, such as
        `info()`, which raises TaskNotFound if it does not.
        """
        return self._sender.handle(self._queue(queue), id, self.type, self._decode)

    def job_sync(self, id: str, *, queue: str | None = None) -> SyncJob[R]:
        """Return a handle for blocking code (see `job`)."""
        return self._sender.handle_sync(self._queue(queue), id, self.type, self._decode)

    def plan(self, *args: P.args, **kwargs: P.kwargs) -> Plan[R]:
        """Return the plan that `enqueue` sends, for `app.enqueue_many`."""
        values = self._arguments.bind(args, kwargs)
        options = self.default_options
        if options.unique is None and options.debounce is None:
            return Plan(self.type, self._arguments.write(values), options, self._decode)
        return self._keyed(values)

    def plan_of(self, payload: object) -> Plan[R]:
        """Return the plan for arguments in one mapping or model, or for a finished payload in bytes."""
        if isinstance(payload, bytes | bytearray):
            ready = bytes(payload)
            return Plan(self.type, ready, self.default_options.bound(self._arguments.received(ready)), self._decode)
        return self._keyed(self._arguments.bind_object(payload))

    def options(self, **words: Unpack[EnqueueOptions]) -> Self:
        """Return a copy of this task with other options: `task.options(delay="5m").enqueue(7)`."""
        if self.handler.sender is None:
            Options.of(**words)  # wrong options are refused in the line that gives them
            changed = copy(self)
            changed._changes = (*self._changes, words)
            return changed
        options = self.default_options.updated(**words)
        changed = copy(self)
        changed.default_options = options
        return changed

    def debounce(self, key: str, wait: DurationLike, max_wait: DurationLike | None = None) -> Self:
        """Return a copy whose calls with the same key become one run, `wait` after the last call.

        The run starts `max_wait` after the first call at the latest.
        """
        return self.options(debounce=Debounce(key, wait, max_wait))

    def schedule(self, when: "Specs | When", /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Run this task with these arguments at the times of a spec: `welcome.schedule("0 9 * * *", user_id=7)`.

        `when` is one spec, several, or a `When`, which also gives the time zone and the rules of the runs. Options of
        this task, as in `welcome.options(queue="low").schedule(...)`, apply to each run.
        """
        from rota.tasks.scheduling import schedule_task

        schedule_task(self, when, args, kwargs)

    def scheduled_options(self) -> dict[str, Any]:
        """The options of this copy of the task that differ from those of the task, as fields of a schedule."""
        from rota.tasks.scheduling import per_run

        return per_run(self.__dict__.get("default_options") or self._changed_options(), self.handler.options)

    def _changed_options(self) -> Options:
        options = self.handler.options
        for words in self._changes:
            options = options.updated(**words)
        return options

    def _read_handler(self) -> None:
        """Take over what is known since the router of this task is included. Raises RoutingError before."""
        handler = self.handler
        if handler.sender is None:
            raise RoutingError(
                f"The task {handler.type!r} ({handler.source_line}) is on a router that no app has included, so its "
                "full type, its queue and its server are not known. Call app.include(...) with the router where the "
                "app is made, and import that module before the first enqueue."
            )
        self.type, self.default_options, self._sender = handler.type, self._changed_options(), handler.sender

    def _called(
        self, verb: str, args: tuple[Any, ...], kwargs: dict[str, Any], timeout: DurationLike | None
    ) -> tuple[Plan[R], DurationLike | None]:
        """Return the plan of a call and how long to wait. Refuses a `timeout` that may be meant for the function."""
        if timeout is NOT_GIVEN:
            return self.plan(*args, **kwargs), None
        signature = self.handler.signature
        names = [item.name for item in (*signature.parameters, signature.whole) if item is not None]
        if "timeout" in names[len(args) :]:
            raise OptionError(
                f"{self.type} has a parameter 'timeout', so it is not clear which one is meant. Call it with "
                f"app.{verb}(task.plan(..., timeout=...), timeout={timeout!r}), where the second one is the wait."
            )
        return self.plan(*args, **kwargs), timeout

    def _queue(self, queue: str | None) -> str:
        return (self.default_options.queue or DEFAULT_QUEUE) if queue is None else queue

    def _keyed(self, values: dict[str, Any]) -> Plan[R]:
        """Return the plan of a task whose options may name its arguments."""
        options = self.default_options
        payload = self._arguments.write(values, fixed_order=options.locks_payload)
        if options.names_arguments:
            # Keys are filled with the values that the function will receive: 1, 1.0 and True for a float are one key.
            options = options.bound(self._arguments.received(payload))
        return Plan(self.type, payload, options, self._decode)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        signature = self.handler.signature
        if signature.takes_context_first and not (args and isinstance(args[0], Context)):
            args = (peek(None) or blank(self.handler.type), *args)
        if signature.dependencies:
            given = inspect.signature(self.function).bind_partial(*args, **kwargs).arguments
            for name in signature.dependencies:
                if given.get(name, INJECTED) is INJECTED:
                    raise TypeError(
                        f"{self.handler.type} is called directly, so {name!r} is not injected: pass {name}=..."
                    )
        return self.function(*args, **kwargs)

    def __copy__(self) -> Self:
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def __reduce__(self) -> str:
        # A task is pickled as its qualified name, by which its module finds it.
        return self.function.__qualname__

    def __repr__(self) -> str:
        return f"<Task {self.handler.type} {self.function.__qualname__}>"

    if not TYPE_CHECKING:  # hidden from type checkers, so that they report unknown attributes

        def __getattr__(self, name: str) -> Any:
            """Read what the include of a router has set since, or raise AttributeError.

            For the enqueue methods of other task queues, the error names Rota's method.
            """
            if name in _OF_THE_APP and "handler" in self.__dict__:
                self._read_handler()
                return self.__dict__[name]
            advice = (
                ". Enqueue with `await task.enqueue(...)`, or `task.enqueue_sync(...)` from blocking code; a delay and "
                "other options come before it, as in task.options(delay='5m').enqueue(...)"
            )
            kind = type(self).__name__
            raise AttributeError(f"{kind!r} object has no attribute {name!r}{advice if name in _ELSEWHERE else ''}")


class AsyncTask(Task[P, R]):
    """A task made from an `async def`. Calling it directly makes the coroutine of the function."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Run the function here and now, without a queue."""
        return cast("Coroutine[Any, Any, R]", self._call(args, kwargs))


class SyncTask(Task[P, R]):
    """A task made from a `def`. Calling it directly calls the function."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now, without a queue."""
        return cast("R", self._call(args, kwargs))


class TaskDecorator(Protocol):
    """The decorator that `app.task(...)` returns. Callers of the task do not pass a leading Context parameter."""

    # The overloads overlap on purpose: a coroutine function is a plain function too, and the first match is meant.
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


__all__ = [
    "AsyncTask",
    "Job",
    "Options",
    "Plan",
    "Receipt",
    "SyncJob",
    "SyncTask",
    "Task",
    "TaskInfo",
    "TaskState",
]
