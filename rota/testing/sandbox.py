"""The sandbox: an empty database of a real server, to which a test connects its apps.

1. A `SandboxServer` runs an embedded Valkey. It ends with the process that started it.
2. Each open sandbox takes one of the server's databases, empties it, and gives it back at its end.
3. `bind` lets an app use that database, with new connections. At the end of the sandbox the app gets its settings and
   its connections back.

Two sandboxes never share a database, and processes, such as those of pytest-xdist, never share a server.
"""

import asyncio
from collections.abc import Coroutine, Generator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Self, TypeVar

from rota.app import Rota
from rota.broker.sync import SyncBroker
from rota.client.connections import Connections, broker_options
from rota.core.canonical import is_count
from rota.core.duration import DurationLike, parse
from rota.core.sync_bridge import in_own_thread
from rota.errors import ConfigError, OptionError
from rota.inspect.task_snapshot import TaskSnapshot
from rota.settings.settings import Settings
from rota.tasks.task import Task
from rota.testing.drain import Drain, DrainLimits, first_error
from rota.testing.expectations import Expectation, Expected, waiting
from rota.testing.joined_app import TaskRun
from rota.testing.sandbox_server import SandboxServer, server_of_process
from rota.testing.travel import SandboxClock

T = TypeVar("T")


class Sandbox:
    """Gives apps an empty server until the block ends: `with Sandbox(app) as sandbox:`, or `async with`.

    The apps share the server's queues. Without `server`, all sandboxes of the process share one server that the first
    of them starts.
    """

    def __init__(self, *apps: Rota, server: SandboxServer | None = None) -> None:
        self._wanted = apps
        self._server = server
        self._apps: list[Rota] = []
        self._stack = ExitStack()
        self._broker: SyncBroker
        self._clock: SandboxClock | None = None
        self.url = ""
        """The URL of the sandbox, for other programs. Empty while the sandbox is not open."""
        for app in apps:
            _check_app(app)

    @property
    def clock(self) -> SandboxClock:
        """The clock of the sandbox. Raises ConfigError while the sandbox is not open."""
        if self._clock is None:
            raise ConfigError(
                "This sandbox is not open: use it inside `with Sandbox(app) as sandbox:`, or in pytest the fixture "
                "`rota_sandbox`."
            )
        return self._clock

    def __enter__(self) -> Self:
        if self.url:
            raise OptionError("This sandbox is open already, as that of a fixture is: use it without `with`.")
        server = self._started()
        with ExitStack() as stack:
            stack.callback(self._forget)
            database = server.take()
            stack.callback(server.give_back, database)
            self.url = server.url(database)
            settings = self._wanted[0].settings if self._wanted else Settings(url=self.url)
            settings = self._settings_of(settings)
            self._broker = stack.enter_context(SyncBroker.from_url(self.url, options=broker_options(settings.broker)))
            self._broker.execute("FLUSHDB")
            stack.callback(self._broker.execute, "FLUSHDB")
            self._clock = SandboxClock(self._broker, settings)
            self._stack = stack
            for app in self._wanted:
                self.bind(app)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    async def __aenter__(self) -> Self:
        await in_own_thread(self._started)  # its start takes too long for an event loop
        return self.__enter__()

    async def __aexit__(self, *error: object) -> None:
        try:
            for app in self._apps:
                await app.aclose()
        finally:  # also if a time limit of the test interrupts it
            self.__exit__(*error)

    def bind(self, app: Rota) -> None:
        """Let one more app use the sandbox until the block ends."""
        _check_app(app)
        _ = self.clock  # refuses a sandbox that is not open, to whose empty URL the app would be bound
        prefix, first = app.settings.broker.key_prefix, self._apps[0] if self._apps else app
        if prefix != first.settings.broker.key_prefix:
            raise ConfigError(
                f"An app of this sandbox has the key_prefix {first.settings.broker.key_prefix!r}, and this one has "
                f"{prefix!r}, so they do not share queues: open a sandbox for each."
            )
        if app not in self._apps:
            self._stack.enter_context(_using(app, self._settings_of(app.settings)))
            self._apps.append(app)

    async def drain(
        self,
        *,
        travel: DurationLike = 0,
        concurrency: int | None = None,
        max_runs: int = 1000,
        timeout: DurationLike = "60s",  # noqa: ASYNC109
        raise_errors: bool = False,
        leave_unknown: bool = False,
    ) -> list[TaskRun]:
        """Run all tasks that are due, and those that they enqueue, until none is due; return the runs in their order.

        - `travel`: then move the clock ahead by this time, with a stop at each instant at which a task or a group is
          due.
        - `concurrency`: how many tasks run at once; by default as many as the setting says.
        - `max_runs` and `timeout`: raise DrainError when more tasks run, or when the drain takes longer.
        - `raise_errors`: raise the error of the first run that failed, when all has run.
        - `leave_unknown`: leave tasks that no app handles in their queues, instead of raising DrainError.
        """
        clock = self.clock
        if not self._apps:
            raise ConfigError(
                "The sandbox has no app whose tasks could run: Sandbox(app), sandbox.bind(app), or in pytest the "
                "fixture `rota_apps`."
            )
        limits = DrainLimits(max_runs, parse(timeout, "timeout"), concurrency, leave_unknown)
        drain = Drain(self._apps, clock, limits)
        await drain.run(parse(travel, "travel"))
        if raise_errors and (error := first_error(drain.runs)) is not None:
            raise error
        return drain.runs

    def drain_sync(
        self,
        *,
        travel: DurationLike = 0,
        concurrency: int | None = None,
        max_runs: int = 1000,
        timeout: DurationLike = "60s",
        raise_errors: bool = False,
        leave_unknown: bool = False,
    ) -> list[TaskRun]:
        """Drain from blocking code (see `drain`), in an event loop of its own."""
        return run_blocking(
            self.drain(
                travel=travel,
                concurrency=concurrency,
                max_runs=max_runs,
                timeout=timeout,
                raise_errors=raise_errors,
                leave_unknown=leave_unknown,
            ),
            "await sandbox.drain()",
        )

    def enqueued(self, queue: str | None = None) -> list[TaskSnapshot]:
        """Return the tasks that wait: pending, in a group, scheduled, or for a retry; by queue and in this order."""
        queues = self.clock.queues()
        return list(waiting(self._broker, queues if queue is None else [queue for each in queues if each == queue]))

    def assert_enqueued(
        self, what: Expected, *args: Any, queue: str | None = None, count: int | None = None, **arguments: Any
    ) -> list[TaskSnapshot]:
        """Check that a task waits (see `enqueued`), and return those that fit.

        `what` is a task, the name of a type, or a plan. Arguments that are not given can have any value; those of a
        plan are compared whole. Options are not compared, except `queue`. Without `count`, one or more tasks have to
        fit.
        """
        __tracebackhide__ = True  # pytest shows the line of the test
        if count is not None and count != 0 and not is_count(count):
            raise OptionError(f"count is {count!r}, but must be a whole number, 0 or more.")
        expected, tasks = Expectation(what, args, arguments, queue), self.enqueued()
        found = [each for each in tasks if expected.fits(each)]
        if not found if count is None else len(found) != count:
            raise AssertionError(expected.failure(tasks, count) + self._note_on_app(what, len(found), count))
        return found

    def assert_not_enqueued(self, what: Expected, *args: Any, queue: str | None = None, **arguments: Any) -> None:
        """Check that no such task waits (see `assert_enqueued`)."""
        __tracebackhide__ = True
        self.assert_enqueued(what, *args, queue=queue, count=0, **arguments)

    def _note_on_app(self, what: Expected, found: int, count: int | None) -> str:
        """Say that the app of a missing task is not in the sandbox, so that it may have enqueued elsewhere."""
        missing = found < (1 if count is None else count)
        if not missing or not isinstance(what, Task) or any(app.find_handler(what.type) for app in self._apps):
            return ""
        return (
            f"\nNo app of this sandbox has the task {what.type}. Its own app enqueues on the server of its URL, unless "
            "it is bound: Sandbox(app), sandbox.bind(app), or in pytest the fixture `rota_apps`."
        )

    def _forget(self) -> None:
        self.url, self._clock = "", None
        self._apps.clear()

    def _started(self) -> SandboxServer:
        return server_of_process() if self._server is None else self._server.start()

    def _settings_of(self, settings: Settings) -> Settings:
        """Return the settings of an app with the server of the sandbox, which has no users and no replicas."""
        return settings.updated(url=self.url, username=None, password=None, wait_replicas=0)


def _check_app(app: object) -> None:
    if not isinstance(app, Rota):
        raise OptionError(
            f"A sandbox connects apps, and {app!r} is not one: give the object that Rota() returned, as in "
            "Sandbox(tasks.app), or in pytest return a list of them from the fixture `rota_apps`."
        )


@contextmanager
def _using(app: Rota, settings: Settings) -> Generator[None]:
    """Let an app use other settings, with connections of their own, until the block ends."""
    before = app.settings, app._connections  # pyright: ignore[reportPrivateUsage]
    own = Connections(app.enqueue_middlewares)
    app.settings, app._connections = settings, own  # pyright: ignore[reportPrivateUsage]
    try:
        yield
    finally:
        app.settings, app._connections = before  # pyright: ignore[reportPrivateUsage]
        own.close_all()


def run_blocking(work: "Coroutine[Any, Any, T]", instead: str) -> T:
    """Run a coroutine to its end in a new event loop. Raises OptionError if a loop runs in this thread already."""
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        work.close()
        raise OptionError(f"An event loop runs here, and a blocking call would stop it: write `{instead}`.")
    # With a factory, the runner leaves the event loop that is set in this thread as it is.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(work)
