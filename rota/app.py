"""The app: holds the registered tasks, the settings and the connections, and enqueues.

The decorators are those of `rota.tasks.router`, because an app is the outermost router. This module adds everything
that needs settings: enqueueing, connections, the lifespan and workers.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, get_args, overload

from rota.client.connections import Connected, Connections
from rota.core.duration import DurationLike
from rota.core.source_line import caller, named, names_source_line
from rota.core.text import counted, did_you_mean
from rota.errors import OptionError, RotaError
from rota.settings.settings import Settings, settings_given
from rota.tasks import middleware as around
from rota.tasks.depends import Overrides
from rota.tasks.groups import Aggregators
from rota.tasks.handler import Handler
from rota.tasks.job import Decode, Job, Plan, SyncJob
from rota.tasks.lifespan import Lifespan, LifespanFactory
from rota.tasks.middleware import EnqueueMiddleware, Middleware
from rota.tasks.options import NO_OPTIONS, EnqueueOptions
from rota.tasks.registration import Home
from rota.tasks.router import Tasks
from rota.tasks.routing import Matching, Registry, check_blank
from rota.tasks.scheduling import read_provider
from rota.tasks.task import Task
from rota.tasks.untyped import loose_plan

if TYPE_CHECKING:
    from rota.inspect import Actions, Inspector, OpenTrash, SyncActions, SyncInspector
    from rota.schedule.declared import Provide, ScheduleProvider
    from rota.schedule.definition import ScheduleDefinition, StoredSchedule
    from rota.scheduler.schedule_handle import ScheduleHandle
    from rota.scheduler.scheduler import Scheduler
    from rota.scheduler.sources import ScheduleSource
    from rota.worker.worker import Worker

R = TypeVar("R")
ProvideT = TypeVar("ProvideT", bound="Provide")
Plans = Iterable[Plan[Any]] | AsyncIterable[Plan[Any]]


class Rota(Tasks, Connected):
    """An application: its tasks, its settings, its connections.

    An app connects when a task is enqueued or a worker starts, so a module can make one when it is imported.
    `async with app:` closes the connections of the running event loop at its end, and `with app:` does so in blocking
    code.
    """

    _name = "app"

    @names_source_line
    def __init__(
        self,
        url: str | None = None,
        *,
        settings: Settings | Mapping[str, Any] | None = None,
        matching: Matching = "segments",
        lifespan: LifespanFactory | None = None,
        middleware: Sequence[Middleware] = (),
        enqueue_middleware: Sequence[EnqueueMiddleware] = (),
        key_prefix: str | None = None,
    ) -> None:
        """Make an app. `url` and `key_prefix` override the settings.

        `matching="asynq"` matches task types as Go's mux does: each registered name is a plain string prefix, and names
        are not checked. `lifespan` is an async generator function that takes the app and yields the state once.
        """
        super().__init__(middleware=middleware)
        if matching not in get_args(Matching):
            raise OptionError(f"matching is {matching!r}. {did_you_mean(str(matching), get_args(Matching))}")
        said = {name: value for name, value in (("url", url), ("key_prefix", key_prefix)) if value is not None}
        self.settings = settings_given(settings, said)
        self.registry: Registry[Handler] = Registry(matching)
        self.aggregators = Aggregators(matching)
        self.overrides = Overrides()
        """Replacements of dependencies in tests: `app.overrides[mailer] = fake_mailer`."""
        self.enqueue_middlewares: list[EnqueueMiddleware] = [
            around.check_enqueue(item) for item in around.each("Rota(enqueue_middleware=...)", enqueue_middleware)
        ]
        self.schedule_providers: list[ScheduleProvider] = []
        """The functions that return further schedules, which a scheduler calls again and again."""
        self._lifespan = Lifespan(self, lifespan)
        self._connections = Connections(self.enqueue_middlewares)

    # Registering: the other decorators are those of `Tasks`

    def enqueue_middleware(self, function: EnqueueMiddleware) -> EnqueueMiddleware:
        """Run code around each enqueue. It yields the plan to send, or None to send the plan unchanged.

        Also a decorator.
        """
        with named("app.enqueue_middleware", caller()):
            self.enqueue_middlewares.append(around.check_enqueue(function))
        return function

    @overload
    def schedule_provider(self, function: ProvideT, /) -> ProvideT: ...
    @overload
    def schedule_provider(self, /, *, interval: DurationLike = "3m") -> Callable[[ProvideT], ProvideT]: ...
    def schedule_provider(
        self, function: ProvideT | None = None, /, *, interval: DurationLike = "3m"
    ) -> ProvideT | Callable[[ProvideT], ProvideT]:
        """Ask a function for further schedules, every `interval` as Asynq does: `@app.schedule_provider`.

        The async function returns `ScheduleDefinition`s, or mappings with their fields. A schedule that it no longer
        returns does not fire again. If it fails, the schedules that it returned before stay.
        """
        what = "app.schedule_provider"

        def register(provide: ProvideT) -> ProvideT:
            with named(what, caller()):
                self.schedule_providers.append(read_provider(what, provide, interval))
            return provide

        return register if function is None else register(function)

    @property
    def schedules(self) -> tuple["StoredSchedule", ...]:
        """The schedules that this app and its routers declare, by name. Raises ScheduleInvalid for a wrong one."""
        return self._stored_schedules(self.settings.schedules.timezone)

    @property
    def declares_schedules(self) -> bool:
        """Whether this app has schedules or providers of its own."""
        return bool(self.schedules or self.schedule_providers)

    # Enqueueing

    def plan(self, type: str, payload: object = None, **words: Unpack[EnqueueOptions]) -> Plan[Any]:
        """Return the plan of a task that is named by its type, as `enqueue` sends it.

        `payload` is a mapping, a model or another value that JSON can express; bytes are sent unchanged. If the type is
        registered in this app, its arguments are validated and its options apply.
        """
        check_blank(type)
        handler = self.registry.get(type)
        if handler is None or not handler.is_typed:
            return loose_plan(type, payload, NO_OPTIONS.updated(**words) if words else NO_OPTIONS)
        task: Task[..., Any] = Task(handler)
        return (task.options(**words) if words else task).plan_of(payload)

    async def enqueue(self, type: str, payload: object = None, **words: Unpack[EnqueueOptions]) -> Job[Any]:
        """Enqueue a task by the name of its type (see `plan`)."""
        return await self.send(self.plan(type, payload, **words))

    def enqueue_sync(self, type: str, payload: object = None, **words: Unpack[EnqueueOptions]) -> SyncJob[Any]:
        """Enqueue a task by the name of its type, from blocking code."""
        return self.send_sync(self.plan(type, payload, **words))

    async def enqueue_many(self, plans: Plans) -> list[Job[Any] | RotaError]:
        """Enqueue any number of plans in few requests. The list has a receipt or an error for each plan, in order."""
        return await self.client.enqueue_many(plans)

    def enqueue_many_sync(self, plans: Iterable[Plan[Any]]) -> list[SyncJob[Any] | RotaError]:
        """Enqueue any number of plans in few requests, from blocking code (see `enqueue_many`)."""
        return self.sync_client.enqueue_many(plans)

    def send(self, plan: Plan[R]) -> Coroutine[Any, Any, Job[R]]:
        """Enqueue one plan."""
        return self._connections.client(self.settings).enqueue(plan)

    def send_sync(self, plan: Plan[R]) -> SyncJob[R]:
        """Enqueue one plan from blocking code."""
        return self.sync_client.enqueue(plan)

    async def call(self, plan: Plan[R], timeout: DurationLike | None = None) -> R:  # noqa: ASYNC109
        """Enqueue one plan, wait for its end, and return its result: `await app.call(welcome.plan(7), timeout="10s")`.

        Without a retention the task gets one for this wait: `timeout`, at least a minute. If a unique task exists
        already, the call waits for that task. The `timeout` counts from the call, but does not cut off the enqueue,
        which ends after `response_timeout`, `connect_timeout` and `retry_for` together at the latest. Raises
        TaskFailed, TaskCancelled, ResultTimeout, or what `enqueue` raises; for a task that its handler revokes,
        ResultError, or TaskNotFound once it is gone. After a timeout the task goes on, also if the caller is cancelled:
        `task_id` and `queue` of the ResultTimeout are for `app.job`. A task in a group has no result of its own, so it
        is refused.
        """
        return await self.client.call(plan, timeout)

    def call_sync(self, plan: Plan[R], timeout: DurationLike | None = None) -> R:
        """Enqueue one plan, wait for its end, and return its result, from blocking code (see `call`)."""
        return self.sync_client.call(plan, timeout)

    def job(self, id: str, *, queue: str) -> Job[Any]:
        """Return a handle to a task that was enqueued earlier, without a request to the server.

        Its `result()` reads JSON. `task.job(id)` gives a handle that reads what the function of the task returns.
        """
        return self.handle(queue, id)

    def job_sync(self, id: str, *, queue: str) -> SyncJob[Any]:
        """Return a handle for blocking code to a task that was enqueued earlier (see `job`)."""
        return self.handle_sync(queue, id)

    def handle(self, queue: str, id: str, type: str = "", decode: Decode | None = None) -> Job[Any]:
        """Return a handle to a task. Tasks call this; a program calls `job`."""
        return self.client.job(queue, id, type=type, decode=decode)

    def handle_sync(self, queue: str, id: str, type: str = "", decode: Decode | None = None) -> SyncJob[Any]:
        """Return a handle to a task for blocking code. Tasks call this; a program calls `job_sync`."""
        return self.sync_client.job(queue, id, type=type, decode=decode)

    # Looking and acting: one model for programs, the command line and the console

    def inspector(self) -> "Inspector":
        """Return the reads of queues, tasks and servers: `await app.inspector().queues()`."""
        from rota.inspect import Inspector  # imported late: few programs need it

        return Inspector(self.client.origin)

    def inspector_sync(self) -> "SyncInspector":
        """Return the reads of queues, tasks and servers for blocking code."""
        from rota.inspect import SyncInspector

        return SyncInspector(self.sync_client.origin)

    def actions(self, *, by: str = "") -> "Actions":
        """Return the actions on tasks: `await app.actions().run_now("mail", task_id)`.

        With the setting `store`, deleted tasks are kept there for `undo`; `by` says who deletes them.
        """
        from rota.inspect import Actions

        return Actions(self.client.origin, self.settings.enqueue.payload_limit_bytes, self._open_trash(), by)

    def actions_sync(self, *, by: str = "") -> "SyncActions":
        """Return the actions on tasks for blocking code."""
        from rota.inspect import SyncActions

        limit = self.settings.enqueue.payload_limit_bytes
        return SyncActions(self.sync_client.origin, limit, self._open_trash(), by)

    def _open_trash(self) -> "OpenTrash | None":
        url = self.settings.database.store
        if not url:
            return None
        from rota.store import open_trash  # imported late: its libraries are an extra

        return open_trash(url, self.settings.database)

    # Running

    @property
    def state(self) -> Any:
        """The value that the lifespan yielded for the running event loop; None while no lifespan is entered."""
        return self._lifespan.state

    def lifespan_state(self) -> AbstractAsyncContextManager[Any]:
        """Enter the lifespan and get its state. Workers, tests and a web server of one event loop share the state."""
        return self._lifespan.entered()

    @asynccontextmanager
    async def lifespan(self, asgi: object = None) -> AsyncGenerator[Any]:
        """Enter the lifespan, and close the connections at the end of the block: `FastAPI(lifespan=app.lifespan)`."""
        async with self._lifespan.entered() as state:
            try:
                # A web server accepts only a mapping as its state.
                yield state if asgi is None or isinstance(state, Mapping) else None
            finally:
                await self.aclose()

    def worker(self, **settings: Any) -> AbstractAsyncContextManager["Worker"]:
        """Run a worker inside this program until the block ends: `async with app.worker(concurrency=10)`.

        The keywords are settings of this worker only. At the end of the block the worker stops gently. Raises
        WorkerFault if the worker had an internal fault.
        """
        from rota.worker.embedded_worker import EmbeddedWorker  # imported late: programs that only enqueue skip it

        return EmbeddedWorker(self, self.settings.updated(**settings))

    def scheduler(
        self,
        *,
        schedules: "Iterable[ScheduleDefinition]" = (),
        sources: "Sequence[ScheduleSource]" = (),
        **settings: Any,
    ) -> AbstractAsyncContextManager["Scheduler"]:
        """Run a scheduler inside this program until the block ends: `async with app.scheduler()`.

        It fires the given schedules, those of further sources, and those of the store that the setting `store` names.
        Other keywords are settings of this scheduler only. Any number of schedulers may run, in any programs: one of
        them leads. At the end of the block the scheduler resigns, so that another one leads at once.
        """
        from rota.scheduler.assembly import scheduler_of  # imported late: few programs need it
        from rota.scheduler.embedded_scheduler import EmbeddedScheduler

        chosen = self.settings.updated(**settings)
        broker = self.connect(chosen)
        return EmbeddedScheduler(scheduler_of(self, chosen, broker, schedules=schedules, sources=sources), broker)

    def schedule_handle(self, name: str, *, by: str = "") -> "ScheduleHandle":
        """Return a handle to a schedule of any source: `await app.schedule_handle("backup").run()`.

        `name` may also be the ID of the schedule. `by` says who gives the orders, for the history of runs.
        """
        from rota.scheduler.schedule_handle import ScheduleHandle  # imported late: few programs need it

        return ScheduleHandle(self, name, by)

    def find_handler(self, type: str) -> Handler | None:
        """Return the handler that runs tasks of a type, or None."""
        return self.registry.find(type)

    @property
    def modules(self) -> list[str]:
        """The modules that pool processes import before their first task."""
        return sorted({name for handler in self.registry if handler.run == "process" for name in handler.modules})

    @property
    def _home(self) -> Home:
        return self

    def __repr__(self) -> str:
        return f"<Rota with {counted(len(self.registry), 'handler')}>"
