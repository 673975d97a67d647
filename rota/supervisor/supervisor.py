"""The supervisor: starts, watches and replaces worker processes. It never runs code of the application.

Its parts:

- `process` is one worker process, and `watchdog` kills one that is overdue.
- `reclaim` gives back the tasks that a dead process held.
- `lease_keeper` extends the leases of a process whose own heartbeat is late.
- `replacement` has the limits of a process, and says how soon a dead process is replaced.
- `recycling` replaces a process that has reached a limit.
- `scaling` says how many processes there should be.

A fleet starts in this order:

1. Start the first process. It loads the app and sends its settings.
2. Connect to the broker with these settings, open the health port, and begin to watch.
3. Start the other processes once one process is ready, so that an error in the app is logged by one process only.
"""

import asyncio
import signal
import sys
import time
import uuid
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from rota import events
from rota.broker.broker import Broker
from rota.client.connections import broker_options
from rota.errors import BrokerError
from rota.settings.origin import CommandLine
from rota.settings.settings import Settings
from rota.supervisor.health import FleetHealth
from rota.supervisor.lease_keeper import LeaseKeeper
from rota.supervisor.messages import ProcessSetup
from rota.supervisor.process import WorkerProcess
from rota.supervisor.reclaim import Reclaim, ServedQueues
from rota.supervisor.recycling import Recycling
from rota.supervisor.replacement import Lifetime, RestartBackoff
from rota.supervisor.scaling import Scaling
from rota.supervisor.watchdog import STOP_MARGIN_SECONDS, Watchdog, still_loading
from rota.tasks.logs import LogLevel
from rota.wire.owner import waiting

WRONG_USE = 2
LEFT_BY_FORCE = 130
LAST_RETURNS_SECONDS = 5.0
"""How long the end of the fleet waits until the tasks of dead processes are given back."""
HURRIED_RETURNS_SECONDS = 1.0
"""The same if all processes ended in good order, or after a second request to stop."""
SLOW_START_SECONDS = 30.0
LOOK_SECONDS = 0.05
BURST_STARTS = 5
"""A burst ends when this many processes have died before any process has been ready."""
CHILD = (sys.executable, "-m", "rota.cli.child")


@dataclass(frozen=True, slots=True)
class Order:
    """The command to run: the app as `module:app`, with the settings given on the command line."""

    target: str
    said: CommandLine = field(default_factory=CommandLine, repr=False)
    log_level: LogLevel | None = None
    show_banner: bool = True
    burst: bool = False
    """Whether the processes, and with them the command, stop when their queues are empty."""


class Supervisor:
    """Runs the worker processes of one app until `stop`."""

    def __init__(self, order: Order, command: Sequence[str] = CHILD) -> None:
        self._order = order
        self._command = command
        self._fleet: list[WorkerProcess] = []
        self._restarts: set[asyncio.Task[None]] = set()
        self._requests = 0
        self._quiet = False
        self._ever_ready = False
        self._emptied = False
        self._failed_starts = 0
        self._failure = 0
        self._died_holding = False
        self._target = 0
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()
        self._settings: Settings
        self._broker: Broker
        self._keeper: LeaseKeeper
        self._returns: Reclaim
        self._renewal: Recycling
        self._scaling: Scaling
        self._health = FleetHealth(lambda: self._fleet)

    # Requests

    def stop(self) -> None:
        """Stop all processes: gently on the first call, at once on the second, by SIGKILL on the third."""
        self._requests += 1
        self._stopping.set()
        for process in self._fleet:
            if self._requests > 2:
                self._failure = LEFT_BY_FORCE
                process.leaving = True
                process.kill()
            else:
                process.stop(at_once=self._requests > 1)
                if not self._target:  # it still loads the app, so the watchdog does not run yet
                    asyncio.get_running_loop().call_later(STOP_MARGIN_SECONDS, process.kill)
        self._woken.set()

    def quiet(self) -> None:
        """Take no more tasks; running tasks go on."""
        self._quiet = True
        for process in self._fleet:
            process.quiet()

    @property
    def processes(self) -> list[WorkerProcess]:
        """The processes that live, including those that are stopping."""
        return list(self._fleet)

    # Life

    async def run(self) -> int:
        """Work until all processes have ended. Returns the exit code of the command."""
        first = await self._start(RestartBackoff(), first=True)
        await self._loaded(first)
        if first.introduction is None:
            await first.ended.wait()
            return self._code_of_start(first)
        async with AsyncExitStack() as stack:
            settings = Settings(**first.introduction.settings)
            self._set_up(settings, stack)
            await stack.enter_async_context(self._health.port(settings.health))
            if first.ended.is_set():
                self._ended(first)
            self._keep(self._start_others())
            await self._watch()
            await self._returns.finish(self._time_for_returns)
        return self._failure or self._code_of_burst()

    async def _loaded(self, first: WorkerProcess) -> None:
        while not first.introduced.is_set():
            try:
                await asyncio.wait_for(first.introduced.wait(), SLOW_START_SECONDS)
            except TimeoutError:
                still_loading(first, self._order.target)

    def _time_for_returns(self) -> float:
        if self._requests <= 1 and self._died_holding:
            return LAST_RETURNS_SECONDS
        return HURRIED_RETURNS_SECONDS if self._requests <= 2 else HURRIED_RETURNS_SECONDS / 2

    def _code_of_start(self, first: WorkerProcess) -> int:
        # A process that is asked to stop before it has set its signal handlers is ended by the signal itself. That is
        # not a failure.
        if first.exit is None or self._requests:
            return self._code_of_burst()
        return first.exit.shell_code

    def _code_of_burst(self) -> int:
        """Return 1 for a burst that was stopped before its queues were empty, else 0."""
        return int(self._order.burst and self._requests > 0)

    def _set_up(self, settings: Settings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._target = settings.supervisor.processes.least
        self._broker = Broker.from_url(settings.broker.url, options=broker_options(settings.broker))
        stack.push_async_callback(self._broker.aclose)
        served = ServedQueues(self._broker, settings.worker.queues)
        self._keeper = LeaseKeeper(self._broker, served, settings.worker)
        self._returns = Reclaim(self._broker, served, settings.worker.max_crashes, self._health.returned)
        self._renewal = Recycling(self._start, settings.supervisor.process_drain)
        self._scaling = Scaling(
            settings.supervisor.processes,
            settings.supervisor.scale_up_after.total_seconds(),
            settings.supervisor.scale_down_after.total_seconds(),
        )
        for process in self._fleet:
            process.lifetime = Lifetime.of(settings.supervisor)

    async def _watch(self) -> None:
        every = min(1.0, self._settings.worker.heartbeat.total_seconds() / 4)
        keeping = asyncio.create_task(self._keep_leases(every))
        overdue = Watchdog(self._settings.supervisor, self._settings.worker.shutdown_timeout, every)
        try:
            while self._fleet or self._restarts:
                self._woken.clear()
                if overdue.look(self._fleet):
                    self._failure = self._failure or 1
                self._look_at_each()
                if not self._requests:
                    await self._renewal.look(self._staying)
                    await self._scale()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), every)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def _keep_leases(self, every_seconds: float) -> None:
        # In a task of its own, because a broker that hangs must not delay restarts and stops.
        while True:
            await self._keeper.look(self.processes)
            await asyncio.sleep(every_seconds)

    def _look_at_each(self) -> None:
        for process in self._fleet:
            self._ever_ready = self._ever_ready or process.report.ready
            if process.drained:
                process.stop()

    @property
    def _staying(self) -> list[WorkerProcess]:
        return [process for process in self._fleet if not process.leaving]

    # Starting, ending and starting again

    async def _start_others(self) -> None:
        """Start the other processes once one process is ready, so that only one process logs why it cannot start."""
        while self._fleet or self._restarts - {asyncio.current_task()}:
            if self._requests:
                return
            if any(process.report.ready for process in self._fleet):
                break
            await self._unless_stopped(LOOK_SECONDS)
        while len(self._staying) < self._target and not (self._requests or self._emptied):
            await self._restart(RestartBackoff(), 0.0)

    async def _start(self, patience: RestartBackoff, *, first: bool = False) -> WorkerProcess:
        order = self._order
        show_banner = first and order.show_banner
        setup = ProcessSetup(
            uuid.uuid4().hex[:12], order.target, order.said, order.log_level, first, show_banner, order.burst
        )
        process = await WorkerProcess.start(self._command, setup, patience, self._ended)
        self._health.started()
        events.emit(events.WorkerProcessStarted(pid=process.pid))
        if self._target:
            process.lifetime = Lifetime.of(self._settings.supervisor)
        if process.exit is None:
            self._fleet.append(process)
        if self._quiet:
            process.quiet()
        if self._requests:  # asked to stop while it was being started
            process.stop()
        return process

    def _ended(self, process: WorkerProcess) -> None:
        if process in self._fleet:
            self._fleet.remove(process)
        self._woken.set()
        if not _ended_in_order(process):
            self._died_holding = True
        if self._target:  # else it ended before its settings were known, and `run` returns its exit code
            if not _never_began(process):
                self._returns.begin(process)
            self._scaling.changed()
            if process.leaving or self._has_finished(process):
                events.emit(events.WorkerProcessEnded(pid=process.pid))
            else:
                self._crashed(process)
        self._health.ended(process)

    def _has_finished(self, process: WorkerProcess) -> bool:
        """Whether a process of a burst ended because its queues were empty. Then no further process is started."""
        finished = self._order.burst and process.exit is not None and process.exit.code == 0
        self._emptied = self._emptied or finished
        return finished

    def _crashed(self, process: WorkerProcess) -> None:
        code = process.exit.code if process.exit is not None else 0
        never_ready = not (self._ever_ready or process.report.ready)
        self._failed_starts += never_ready
        if never_ready and (code == WRONG_USE or (self._order.burst and self._failed_starts >= BURST_STARTS)):
            # The process has logged what is wrong, and another one would fail in the same way. A burst gives up after
            # `BURST_STARTS` processes, whatever the error is.
            self._failure = code if code > 0 else 1
            self.stop()
            return
        wait = process.patience.died()
        events.emit(events.WorkerProcessDied(pid=process.pid, how=str(process.exit), seconds=wait))
        self._keep(self._restart(process.patience, wait))

    def _keep(self, starting: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(starting)
        self._restarts.add(task)
        task.add_done_callback(self._restarts.discard)

    async def _restart(self, patience: RestartBackoff, wait_seconds: float) -> None:
        while True:
            await self._unless_stopped(wait_seconds)
            if self._requests or len(self._staying) - self._renewal.extra >= self._target:
                return
            try:
                await self._start(patience)
            except Exception as error:  # any error, because nothing else would start this process again
                wait_seconds = patience.died()
                events.emit(events.WorkerProcessNotStarted(error=error, seconds=wait_seconds))
            else:
                return

    async def _unless_stopped(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    # Scaling

    async def _scale(self) -> None:
        if self._settings.supervisor.processes.fixed or self._renewal.extra or self._restarts:
            return
        staying, now = self._staying, time.monotonic()
        self._scaling.look([process.report for process in staying], now)
        if self._scaling.may_grow(len(staying), now) and await self._tasks_wait():
            self._scaling.changed()
            with suppress(OSError):
                await self._start(RestartBackoff())
                self._target += 1
                events.emit(events.FleetGrows(processes=self._target, most=self._most))
        elif self._scaling.may_shrink(len(staying), now):
            self._target -= 1
            self._scaling.changed()
            idle = min(staying, key=lambda process: (process.report.held, -process.started_at))
            events.emit(events.FleetShrinks(pid=idle.pid, processes=self._target))
            idle.drain(self._settings.supervisor.process_drain.total_seconds())

    @property
    def _most(self) -> int:
        return self._settings.supervisor.processes.most

    async def _tasks_wait(self) -> bool:
        try:
            queues = await ServedQueues(self._broker, self._settings.worker.queues).of(*self._staying)
            replies = await self._broker.run_many([waiting(queue) for queue in queues])
        except BrokerError:
            return False
        return any(not isinstance(reply, BrokerError) and reply > 0 for reply in replies)


def _ended_in_order(process: WorkerProcess) -> bool:
    """Whether the process was asked to stop and has recorded or handed back all its tasks.

    The exit code 0 alone does not prove that, because a task may call `os._exit(0)`.
    """
    return process.exit is not None and process.exit.code == 0 and process.leaving


def _never_began(process: WorkerProcess) -> bool:
    """Whether it ended before it took tasks: the server refused it, or it was stopped while waiting for the server."""
    was_refused = process.exit is not None and process.exit.code == WRONG_USE
    return not process.report.ready and (was_refused or _ended_in_order(process))


async def supervise(supervisor: Supervisor) -> int:
    """Run a supervisor that acts on the signals of this process: INT and TERM stop it, TSTP quiets it."""
    # If the program that started this one ignores SIGCHLD, this process inherits that. While SIGCHLD is ignored, the
    # kernel discards the exit status of dead child processes.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, supervisor.stop)
    loop.add_signal_handler(signal.SIGTSTP, supervisor.quiet)
    return await supervisor.run()
