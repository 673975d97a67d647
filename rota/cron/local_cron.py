"""`Cron`: runs functions at planned times in one process, without a broker.

    cron = Cron(tz="Europe/Berlin")
    cron.add("*/5 * * * *", clean_up)              # a plain function runs in a thread, an async one on the loop
    cron.add(every(2).weeks.on("mon").at("09:00"), report, missed="skip")

    @cron.cron("30 2 * * *")
    async def backup() -> None: ...

    cron.run()                                     # until Ctrl-C; or `async with cron:`, or `with cron:`

The times, the missed ones and the overlaps are decided by `rota.schedule`, as for the schedules of a fleet, so a
function moves to the queue by a change of one word: `@app.cron("30 2 * * *")`.

How it runs: one task on an event loop sleeps until the first planned time, decides for each entry that is due, and
starts runs. A failure of a function is logged and changes nothing else. `add`, `remove`, `entries` and `stop` may be
called from any thread.

Nothing is stored. So planned times while the program does not run are not made up for, and two programs run each time
twice.
"""

import asyncio
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from rota import events
from rota.core.duration import DurationLike, at_least, display, parse
from rota.core.source_line import caller, named
from rota.cron.cron_clock import CronClock, SystemClock
from rota.cron.cron_options import (
    CronOptions,
    When,
    check_function,
    check_options,
    is_async,
    joined_options,
    make_definition,
    named_after,
    read_when,
    refuse_for_threads,
)
from rota.cron.cron_process import run_in_thread, run_until_signal
from rota.cron.cron_stop import CronStop, Ending
from rota.cron.entry_queue import EntryQueue
from rota.cron.function_runs import FunctionRuns
from rota.cron.live_entry import CronEntry, LiveEntry
from rota.cron.planned_function import PlannedFunction
from rota.cron.wrappers import wrapped
from rota.errors import OptionError
from rota.schedule.spec import read_zone
from rota.tasks.callback import refuse_bare_decorator

F = TypeVar("F", bound=Callable[[], Any])

_SECOND = timedelta(seconds=1)


class Cron:
    """Runs functions at planned times in this process, without a broker."""

    def __init__(
        self,
        *,
        tz: str = "UTC",
        stop_timeout: DurationLike | None = None,
        clock: CronClock | None = None,
        **options: Unpack[CronOptions],
    ) -> None:
        """Make a cron without entries. `options` are the defaults of its entries; `wrappers` go around theirs.

        `stop_timeout` limits how long `run()` and `async with` wait for runs at their end: without it until they end.
        """
        with named("Cron(...)", caller()):
            check_options("Cron(...)", options)
            self.timezone = str(read_zone(str(tz)))
            self._stop_timeout = None if stop_timeout is None else parse(stop_timeout, "stop_timeout")
        self._options = options
        self._clock = clock or SystemClock()
        self._lock = threading.RLock()
        self._ids = itertools.count(1)
        self._entries = EntryQueue(self._clock.now())
        self._loop: asyncio.AbstractEventLoop | None = None
        """The loop that the cron runs on; None while it does not run."""
        self._woken = asyncio.Event()
        self._ending: Ending | None = None
        self._ended: Future[None] = Future()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    # Entries

    def add(
        self,
        when: When,
        function: Callable[[], Any],
        /,
        *,
        name: str | None = None,
        tz: str | None = None,
        **options: Unpack[CronOptions],
    ) -> int:
        """Run a function at planned times; return the ID of the entry. Works before the start and while it runs.

        `when` is the text of a spec, `every(...)`, a trigger, or several of them. `name` stands in the log, and is by
        default that of the function. The options are those of a schedule.
        """
        what = f"cron.add({when!r}, ...)"
        with named(what, caller()):
            check_function(what, function)
            check_options(what, options)
            texts, triggers = read_when(when)
            given = joined_options(self._options, options)
            definition = make_definition(name or named_after(function), texts, triggers, tz or self.timezone, given)
            if not is_async(function):
                refuse_for_threads(definition, definition.name)
            id = next(self._ids)
            inner = wrapped(function, given.get("wrappers") or ())
            plan = PlannedFunction(id, definition, texts, triggers, given.get("calendar"))
            runs = FunctionRuns(definition, inner, self._clock.now, lambda: self._run_ended(plan))
            runs.owner = self
            self._entries.add(id, LiveEntry(plan, runs))
            if self._loop is not None:
                plan.begin(self._clock.now())
                self._touch(id)
        return id

    def cron(
        self, *specs: str, tz: str | None = None, name: str | None = None, **options: Unpack[CronOptions]
    ) -> Callable[[F], F]:
        """Run the decorated function at the times of a cron expression, or another spec: `@cron.cron("@daily")`."""

        with named("cron.cron(...)", caller()):
            refuse_bare_decorator("cron.cron", specs)

        def register(function: F) -> F:
            self.add(specs[0] if len(specs) == 1 else specs, function, tz=tz, name=name, **options)
            return function

        return register

    def every(
        self, interval: DurationLike, *, name: str | None = None, **options: Unpack[CronOptions]
    ) -> Callable[[F], F]:
        """Run the decorated function at an interval: `@cron.every("10m")`."""
        with named(f"cron.every({interval!r})", caller()):
            found = at_least(interval, _SECOND, "the interval", "a cron runs a function once a second at most")
        return self.cron(f"@every {display(found)}", name=name, **options)

    def remove(self, id: int) -> bool:
        """Remove an entry; return whether there was one. A run that has started goes on."""
        if (entry := self._entries.remove(id)) is None:
            return False
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(entry.runs.close)
        return True

    def entry(self, id: int) -> CronEntry | None:
        """Return what is known about an entry now; None if there is none."""
        entry = self._entries.get(id)
        return None if entry is None else entry.snapshot(self._clock.now())

    def entries(self) -> list[CronEntry]:
        """Return what is known about all entries now, the next to run first."""
        now = self._clock.now()
        found = [entry.snapshot(now) for entry in self._entries.all()]
        return sorted(found, key=lambda each: (each.next is None, each.next, each.id))

    @property
    def is_running(self) -> bool:
        """Whether the cron runs its functions."""
        return self._loop is not None and not self._stopping

    # Start and stop

    def run(self) -> None:
        """Run the functions until SIGINT (Ctrl-C), SIGTERM or `stop()`, and wait for the runs that have started.

        A second signal cancels the async runs, and leaves the threads.
        """
        run_until_signal(self._main, lambda again: self.stop(0 if again else self._stop_timeout))

    async def __aenter__(self) -> Self:
        """Start on the event loop of the caller."""
        self._start()
        self._task = asyncio.create_task(self._loop_until_stop(), name="rota-cron")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and wait for the runs that have started. A cancellation meanwhile cancels the runs."""
        task, self._task = self._task, None
        if task is None:
            return
        self.stop(self._stop_timeout)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            self.stop(0)
            await asyncio.shield(task)
            raise

    def __enter__(self) -> Self:
        """Start in a thread, beside a program without an event loop."""
        run_in_thread(self._main)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and wait for the runs that have started."""
        self.stop(self._stop_timeout).wait()

    def stop(self, timeout: DurationLike | None = None) -> CronStop:
        """Start no more runs. Awaiting the result, or its `wait()`, waits for those that have started.

        Runs of async functions that take longer than `timeout` are cancelled; threads are left to themselves.
        """
        seconds = None if timeout is None else parse(timeout, "timeout").total_seconds()
        with self._lock:
            loop = self._loop
            if loop is None:
                done: Future[None] = Future()
                done.set_result(None)
                return CronStop(self, done, loop)
            self._stopping = True
            with suppress(RuntimeError):  # the loop has been closed meanwhile
                loop.call_soon_threadsafe(self._stop_soon, seconds)
            return CronStop(self, self._ended, loop)

    def _stop_soon(self, seconds: float | None) -> None:
        self._woken.set()
        if seconds is not None and self._ending is not None:
            self._ending.hurry(seconds)

    # The loop

    async def _main(self, started: "Future[None] | None" = None) -> None:
        self._start()
        if started is not None:
            started.set_result(None)
        await self._loop_until_stop()

    async def _loop_until_stop(self) -> None:
        try:
            while not self._stopping:
                self._woken.clear()
                due = self._entries.tick(self._clock.now())
                if not self._stopping:
                    await self._clock.wait(due, self._woken)
        finally:
            await self._finish()

    def _start(self) -> None:
        with self._lock:
            if self._loop is not None:
                raise OptionError("This cron runs already.")
            self._loop = asyncio.get_running_loop()
            self._stopping = False
            self._woken, self._ending, self._ended = asyncio.Event(), Ending(), Future()
            self._entries.begin(self._clock.now())
        events.emit(events.CronStarted(entries=len(self._entries)))

    async def _finish(self) -> None:
        ending = self._ending
        with self._lock:
            self._stopping = True
            for runs in self._entries.runs():
                runs.close()
        try:
            if ending is not None:
                await ending.wait_for(self._entries.runs)
        finally:
            with self._lock:
                self._loop = None
            self._ended.set_result(None)
            events.emit(events.CronStopped())

    def _run_ended(self, plan: PlannedFunction) -> None:
        if plan.counts_from_end:
            self._touch(plan.id)
        if self._ending is not None:
            self._ending.run_ended()

    def _touch(self, id: int) -> None:
        """Let the loop look at an entry."""
        self._entries.touch(id)
        with self._lock:
            if self._loop is not None:
                with suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._woken.set)
