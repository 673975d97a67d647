"""All processes of one kind: started, restarted after a crash, replaced, scaled and stopped.

The life of a fleet:

1. `start` starts its first process. The first process of the first kind loads the app and sends the settings.
2. `open` gives the fleet its settings: the number of processes and their limits.
3. `fill` starts the other processes.
4. `look`, called again and again, drains, replaces and scales. A process that dies by itself is restarted.
5. `stop` stops all processes; no further process is started.
"""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from rota import events
from rota.settings.origin import CommandLine
from rota.settings.settings import Settings
from rota.supervisor.kind import Kind
from rota.supervisor.messages import ProcessSetup
from rota.supervisor.process import WRONG_USE, ChildProcess
from rota.supervisor.replacement import Recycling, RestartBackoff
from rota.supervisor.scaling import Scaling
from rota.supervisor.watchdog import STOP_MARGIN_SECONDS
from rota.tasks.logs import LogLevel

LOOK_SECONDS = 0.05
BURST_STARTS = 5
"""A burst ends when this many processes have died before any process has been ready."""


@dataclass(frozen=True, slots=True)
class Order:
    """The command to run: the app as `module:app`, with the settings given on the command line."""

    target: str
    said: CommandLine = field(default_factory=CommandLine, repr=False)
    log_level: LogLevel | None = None
    show_banner: bool = True
    burst: bool = False
    """Whether the processes, and with them the command, stop when their queues are empty."""


class FleetOwner(Protocol):
    """The supervisor, as its fleets see it."""

    def started(self, process: ChildProcess) -> None:
        """Note that a process was started."""
        ...

    def ended(self, process: ChildProcess) -> None:
        """Act on the end of a process."""
        ...

    def give_up(self, code: int) -> None:
        """Stop the command with this exit code, because every process would fail in the same way."""
        ...


class Fleet:
    """The processes of one kind. `target` is how many there should be."""

    def __init__(self, kind: Kind, order: Order, owner: FleetOwner) -> None:
        self.kind = kind
        self.target = 0
        self.processes: list[ChildProcess] = []
        """The processes that live, including those that are stopping."""
        self._order = order
        self._owner = owner
        self._starting: set[asyncio.Task[None]] = set()
        self._closed = asyncio.Event()
        self._level = 0
        self._quiet = False
        self._ever_ready = False
        self._emptied = False
        self._failed_starts = 0
        self._settings: Settings | None = None
        self._recycling: Recycling
        self._scaling: Scaling
        self._tasks_wait: Callable[..., Awaitable[bool]]

    def open(self, settings: Settings, tasks_wait: Callable[..., Awaitable[bool]]) -> None:
        """Set the number of processes and their limits. `tasks_wait(*processes)` says whether tasks wait for them."""
        self._settings, self._tasks_wait = settings, tasks_wait
        supervisor, processes = settings.supervisor, self.kind.processes(settings)
        self.target = processes.least
        self._recycling = Recycling(self.start, supervisor.process_drain, overlaps=self.kind.overlaps)
        self._scaling = Scaling(
            processes, supervisor.scale_up_after.total_seconds(), supervisor.scale_down_after.total_seconds()
        )
        for process in self.processes:
            process.lifetime = self.kind.lifetime(settings)

    def fill(self, leader: "Fleet") -> None:
        """Start the missing processes once one of `leader` is ready, so that only one logs why it cannot start."""
        self._keep(self._fill(leader))

    @property
    def lives(self) -> bool:
        """Whether there is a process, or one is being started."""
        return bool(self.processes or self._starting)

    @property
    def staying(self) -> list[ChildProcess]:
        """The processes that were not asked to stop."""
        return [process for process in self.processes if not process.leaving]

    # Requests

    def close(self) -> None:
        """Start no further process."""
        self._closed.set()

    def stop(self, level: int) -> None:
        """Stop all processes: gently (1), at once (2), by SIGKILL (3). A level is carried out once."""
        if level <= self._level:
            return
        self.close()
        self._level = level
        for process in self.processes:
            if level > 2:
                process.leaving = True
                process.kill()
            else:
                process.stop(at_once=level > 1)
                if self._settings is None:  # it still loads the app, so the watchdog does not run yet
                    asyncio.get_running_loop().call_later(STOP_MARGIN_SECONDS, process.kill)

    def quiet(self) -> None:
        """Take no more tasks; running tasks go on."""
        self._quiet = True
        for process in self.processes:
            process.quiet()

    def wake(self) -> None:
        """Take tasks again after `quiet`."""
        self._quiet = False
        for process in self.processes:
            process.wake()

    def replace(self, process: ChildProcess) -> None:
        """Ask one process to stop. Another one starts when it has ended, unless the fleet is stopping."""
        if not process.leaving:
            process.replaced = True
            process.stop()

    async def look(self) -> None:
        """Stop processes that are drained, replace those at a limit, and follow the load."""
        for process in self.processes:
            self._ever_ready = self._ever_ready or process.report.ready
            if process.drained:
                process.stop()
        if not self._closed.is_set() and self._settings is not None:
            # Without overlap the next one waits until the successor of the one before is ready.
            if self.kind.overlaps or sum(process.report.ready for process in self.staying) >= self.target:
                await self._recycling.look(self.staying)
            await self._scale(self._settings)

    # Starting, ending and starting again

    async def start(self, backoff: RestartBackoff, *, first: bool = False) -> ChildProcess:
        """Start one process. Raises OSError if the system refuses. `first` marks the first process of the command."""
        order = self._order
        show_banner = first and order.show_banner
        setup = ProcessSetup(
            uuid.uuid4().hex[:12], order.target, order.said, order.log_level, first, show_banner, order.burst
        )
        process = await ChildProcess.start(self.kind, setup, backoff, self.ended)
        self._owner.started(process)
        events.emit(events.ChildProcessStarted(**process.about))
        if self._settings is not None:
            process.lifetime = self.kind.lifetime(self._settings)
        if not process.ended.is_set():  # one that has died already stays until `ended` restarts it
            self.processes.append(process)
        if self._quiet:
            process.quiet()
        if self._level:  # asked to stop while it was being started
            process.stop()
        return process

    async def _fill(self, leader: "Fleet") -> None:
        # Without the current task, which is in `_starting` too if this fleet is the leader.
        while leader.processes or leader._starting - {asyncio.current_task()}:
            if self._closed.is_set():
                return
            if any(process.report.ready for process in leader.processes):
                break
            await self._unless_closed(LOOK_SECONDS)
        while len(self.staying) < self.target and not (self._closed.is_set() or self._emptied):
            await self._restart(RestartBackoff(), 0.0)

    def ended(self, process: ChildProcess) -> None:
        """Act on the end of a process. The supervisor repeats the call for one that ended before `open`."""
        if process in self.processes:
            self.processes.remove(process)
        if self._settings is None:
            return
        self._scaling.changed()
        if process.leaving or self._has_finished(process):
            events.emit(events.ChildProcessEnded(**process.about))
            if process.leaving and (process.replaced or not self.kind.overlaps):
                self._keep(self._restart(process.backoff, 0.0))
        else:
            self._crashed(process)
        self._owner.ended(process)

    def _has_finished(self, process: ChildProcess) -> bool:
        """Whether a process of a burst ended because its queues were empty. Then no further process is started."""
        finished = self._order.burst and process.exit is not None and process.exit.code == 0
        self._emptied = self._emptied or finished
        return finished

    def _crashed(self, process: ChildProcess) -> None:
        code = process.exit.code if process.exit is not None else 0
        never_ready = not (self._ever_ready or process.report.ready)
        self._failed_starts += never_ready
        if never_ready and (code == WRONG_USE or (self._order.burst and self._failed_starts >= BURST_STARTS)):
            # The process has logged what is wrong, and another one would fail in the same way. A burst gives up after
            # `BURST_STARTS` processes, whatever the error is.
            self._owner.give_up(code if code > 0 else 1)
            return
        wait = process.backoff.died()
        events.emit(events.ChildProcessDied(**process.about, how=str(process.exit), seconds=wait))
        self._keep(self._restart(process.backoff, wait))

    def _keep(self, starting: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(starting)
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _restart(self, backoff: RestartBackoff, wait_seconds: float) -> None:
        while True:
            await self._unless_closed(wait_seconds)
            if self._closed.is_set() or len(self.staying) - self._recycling.extra >= self.target:
                return
            try:
                await self.start(backoff)
            except Exception as error:  # any error, because nothing else would start this process again
                wait_seconds = backoff.died()
                events.emit(events.ChildProcessNotStarted(error=error, seconds=wait_seconds))
            else:
                return

    async def _unless_closed(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closed.wait(), seconds)

    async def _scale(self, settings: Settings) -> None:
        scaling = self._scaling
        if scaling.range.fixed or self._recycling.extra or self._starting:  # the number is about to change
            return
        staying, now = self.staying, time.monotonic()
        scaling.look([process.report for process in staying], now)
        if scaling.may_grow(len(staying), now) and await self._tasks_wait(*staying):
            scaling.changed()
            with suppress(OSError):
                await self.start(RestartBackoff())
                self.target += 1
                events.emit(events.FleetGrows(processes=self.target, most=scaling.range.most))
        elif scaling.may_shrink(len(staying), now):
            self.target -= 1
            scaling.changed()
            idle = min(staying, key=lambda process: (process.report.held, -process.started_at))
            events.emit(events.FleetShrinks(**idle.about, processes=self.target))
            idle.drain(settings.supervisor.process_drain.total_seconds())
