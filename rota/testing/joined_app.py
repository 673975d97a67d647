"""The apps of a sandbox as one app, which notes each run: a drain gives it to the worker."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from rota.app import Rota
from rota.errors import Revoke
from rota.tasks.context import Context
from rota.tasks.groups import Aggregators, GroupHandler
from rota.tasks.handler import Handler, Hooks
from rota.tasks.routing import Registry

if TYPE_CHECKING:
    from rota.tasks.depends import Call

RunEnd = Literal["running", "completed", "retry", "archived", "revoked", "cancelled"]


@dataclass(slots=True)
class TaskRun:
    """One run of one task.

    `state` says what became of the task: `completed`, `retry` (it runs again), `archived` (it failed for good),
    `revoked`, or `cancelled`. `result` is what the function returned, and `error` what it raised.
    """

    id: str
    type: str
    queue: str
    payload: bytes
    retried: int
    state: RunEnd = "running"
    result: Any = None
    error: BaseException | None = None


class JoinedApp(Rota):
    """The apps of a sandbox as one app for the worker. Each handler runs with the state of its own app."""

    def __init__(self, apps: Sequence[Rota], begin: "Callable[[TaskRun], Any]") -> None:
        super().__init__(settings=apps[0].settings)
        self._apps = apps
        self._begin = begin
        self._states: dict[Rota, Any] = {}
        self.all_aggregators = _JoinedAggregators(apps)
        """Not `aggregators`: with these, the worker would aggregate too, unseen between two looks of the drain."""
        self.missing: set[str] = set()
        """Types without a handler that the worker met. If it put their tasks off, these are not pending any more."""
        self.registry = _JoinedRegistry(apps, self._watching, self.missing)

    def concurrency_limits(self) -> list[int]:
        """The limits of the types that have one."""
        return [handler.concurrency for handler in self.registry if handler.concurrency is not None]

    @property
    def modules(self) -> list[str]:
        """No modules, because no task runs in another process."""
        return []

    def lifespan_state(self) -> AbstractAsyncContextManager[Any]:
        """Enter the lifespans of all apps."""
        return self._all_lifespans()

    @asynccontextmanager
    async def _all_lifespans(self) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            for app in self._apps:
                self._states[app] = await stack.enter_async_context(app.lifespan_state())
            yield

    def _watching(self, handler: Handler, app: Rota) -> Handler:
        runs: dict[Context, TaskRun] = {}

        async def invoke(context: Context, payload: bytes, call: "Call | None" = None) -> Any:
            run = TaskRun(context.id, context.type, context.queue, payload, context.retried)
            await self._begin(run)
            runs[context] = run
            context.state = self._states[app]
            try:
                run.result = await handler.invoke(context, payload, call)
            except BaseException as error:
                run.error = error
                run.state = "revoked" if isinstance(error, Revoke) else "cancelled"  # unless a hook says otherwise
                raise
            run.state = "completed"
            return run.result

        def note(state: RunEnd) -> Callable[[Context, Any], None]:
            def noting(context: Context, error: BaseException) -> None:
                if (run := runs.get(context)) is not None:
                    run.state, run.error, run.result = state, error, None

            return noting

        made = copy(handler)
        made.invoke = invoke
        made.hooks = Hooks(failure=(note("retry"),), exhausted=(note("archived"),)).joined(handler.hooks)
        if made.run == "process":
            made.run, made.target = "thread", made.function
        return made


class _JoinedRegistry(Registry[Handler]):
    """Finds a handler in the first app that has one, as `watching(handler, app)` makes it."""

    def __init__(self, apps: Sequence[Rota], watching: Callable[[Handler, Rota], Handler], missing: set[str]) -> None:
        super().__init__(apps[0].registry.matching)
        self._apps = apps
        self._missing = missing
        self._watching = watching
        self._watched: dict[Handler, Handler] = {}
        for app in apps:
            for handler in app.registry:
                self.add(handler, lint=False)  # refuses a type that two apps handle

    def find(self, type: str) -> Handler | None:
        """Return the handler that matches a type, or None."""
        for app in self._apps:
            handler = app.registry.find(type)
            if handler is not None:
                if handler not in self._watched:
                    self._watched[handler] = self._watching(handler, app)
                return self._watched[handler]
        self._missing.add(type)
        return None


class _JoinedAggregators(Aggregators):
    """Finds the aggregator in the first app that has one."""

    def __init__(self, apps: Sequence[Rota]) -> None:
        super().__init__()
        self._all = [app.aggregators for app in apps]

    def find(self, type: str, group: str) -> GroupHandler | None:
        """Return the aggregator for a task of this type in this group."""
        return next((found for each in self._all if (found := each.find(type, group)) is not None), None)

    def __len__(self) -> int:
        return sum(map(len, self._all))
