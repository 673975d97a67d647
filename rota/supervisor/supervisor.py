"""The supervisor: starts, watches and replaces processes of several kinds. It never runs code of the application.

Its parts:

- `kind` describes a kind of processes, and `fleet` is all processes of one kind.
- `process` is one process, and `watchdog` kills one that is overdue.
- `reclaim` gives back the tasks that a dead process held.
- `lease_keeper` extends the leases of a process whose own heartbeat is late.
- `replacement` replaces a process that has reached a limit, and says how soon a dead process is replaced.
- `scaling` says how many processes there should be.

A command starts in this order:

1. Start the first process of the first kind. It loads the app and sends its settings.
2. Connect to the broker with these settings, open the health port, and begin to watch.
3. Start the other processes once one process is ready, so that an error in the app is logged by one process only.

It stops in this order: the kinds with the lowest `stop_turn` first, and those of the next turn once these have ended. A
second request stops all kinds at once. The command ends with its first kind: if that has no process any more, because a
burst is over, the others are stopped.
"""

import asyncio
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress

from rota import events
from rota.broker.broker import Broker
from rota.client.connections import broker_options
from rota.settings.settings import Settings
from rota.supervisor.fleet import Fleet, Order
from rota.supervisor.fleet_health import FleetHealth
from rota.supervisor.kind import SCHEDULER, WORKER, Kind
from rota.supervisor.lease_keeper import LeaseKeeper
from rota.supervisor.process import ChildProcess
from rota.supervisor.reclaim import Reclaim, ServedQueues
from rota.supervisor.replacement import RestartBackoff
from rota.supervisor.watchdog import Watchdog, still_loading
from rota.tasks import logs

KINDS: Sequence[Kind] = (WORKER, SCHEDULER)
"""The kinds that a command starts. The first process of the first kind tells the settings."""
LEFT_BY_FORCE = 130
"""The exit code after a third request to stop: 128 + SIGINT, as a shell reports Ctrl-C."""
LAST_RETURNS_SECONDS = 5.0
"""How long the end of the fleet waits until the tasks of dead processes are given back."""
HURRIED_RETURNS_SECONDS = 1.0
"""The same if all processes ended in good order, or after a second request to stop."""
SLOW_START_SECONDS = 30.0
"""How often the log says that the first process still loads the app."""


class Supervisor:
    """Runs the processes of one app until `stop`."""

    def __init__(self, order: Order, kinds: Sequence[Kind] = KINDS) -> None:
        self._order = order
        self._fleets = [Fleet(kind, order, self) for kind in kinds]
        self._leader = self._fleets[0]
        self._requests = 0
        self._obeyed: set[str] = set()
        self._failure = 0
        self._died_holding = False
        self._woken = asyncio.Event()
        self._settings: Settings | None = None
        self._broker: Broker
        self._keeper: LeaseKeeper
        self._returns: Reclaim
        self._health = FleetHealth(self._fleets)

    # Requests

    def stop(self) -> None:
        """Stop all processes: gently on the first call, at once on the second, by SIGKILL on the third."""
        self._requests += 1
        for fleet in self._fleets:
            fleet.close()
        if self._requests > 2 and self.processes:
            self._failure = LEFT_BY_FORCE
        self._stop_in_turn()
        self._woken.set()

    def quiet(self) -> None:
        """Take no more tasks; running tasks go on."""
        for fleet in self._fleets:
            fleet.quiet()

    def wake(self) -> None:
        """Take tasks again after `quiet`."""
        for fleet in self._fleets:
            fleet.wake()

    def _obey_orders(self) -> None:
        """Obey the orders that the processes have passed on, each one once (`rota.worker.worker_orders`)."""
        for fleet in self._fleets:
            for process in list(fleet.processes):
                for order in process.report.orders:
                    if order not in self._obeyed:
                        self._obeyed.add(order)
                        self._obey(order.partition(" ")[2], fleet, process)

    def _obey(self, act: str, fleet: Fleet, process: ChildProcess) -> None:
        events.emit(events.FleetOrderObeyed(**process.about, act=act))
        match act:
            case "quiet":
                self.quiet()
            case "wake":
                self.wake()
            case "end":
                fleet.replace(process)
            case "stop" if not self._requests:  # a second request would hand back the running tasks
                self.stop()
            case _:
                pass

    @property
    def processes(self) -> list[ChildProcess]:
        """The processes that live, including those that are stopping."""
        return [process for fleet in self._fleets for process in fleet.processes]

    def _stop_in_turn(self) -> None:
        """Ask the kinds whose turn it is to stop. Called again when a process has ended."""
        level = max(self._requests, int(not self._leader.lives))  # a burst ends without a request, with its leader
        turn = min((fleet.kind.stop_turn for fleet in self._fleets if fleet.lives), default=0)
        for fleet in self._fleets:
            # A fleet without a process is stopped out of turn, so that it starts none any more.
            if level > 1 or (level and (fleet.kind.stop_turn <= turn or not fleet.lives)):
                fleet.stop(level)

    # The owner of the fleets

    def started(self, process: ChildProcess) -> None:
        """Count a process that was started."""
        self._health.started(process)

    def ended(self, process: ChildProcess) -> None:
        """Give back the tasks of a process that has ended."""
        self._woken.set()
        if process.kind.owns_tasks:
            self._died_holding = self._died_holding or not process.ended_in_order
            if self._settings is not None and not process.never_began:
                self._returns.begin(process)
        self._health.ended(process)

    def give_up(self, code: int) -> None:
        """Stop with this exit code."""
        self._failure = code
        self.stop()

    # Life

    async def run(self) -> int:
        """Work until all processes have ended. Returns the exit code of the command."""
        first = await self._leader.start(RestartBackoff(), first=True)
        await self._loaded(first)
        if first.introduction is None:
            await first.ended.wait()
            return self._code_of_start(first)
        async with AsyncExitStack() as stack:
            # Until `_set_up`, the end of a process is not handled. Later it is, also during the next wait.
            settings, has_ended = Settings(**first.introduction.settings), first.ended.is_set()
            if logs.in_use():
                logs.set_up(self._order.log_level, settings.logging.log)  # the app may have chosen another format
            self._set_up(settings, stack, schedules=first.introduction.schedules)
            await stack.enter_async_context(self._health.port(settings.health))
            if has_ended:
                self._leader.ended(first)
            for fleet in self._fleets:
                fleet.fill(self._leader)
            await self._watch(settings)
            await self._returns.finish(self._time_for_returns)
        return self._failure or self._code_of_burst()

    async def _loaded(self, first: ChildProcess) -> None:
        while not first.introduced.is_set():
            try:
                await asyncio.wait_for(first.introduced.wait(), SLOW_START_SECONDS)
            except TimeoutError:
                still_loading(first, self._order.target)

    def _time_for_returns(self) -> float:
        if self._requests <= 1 and self._died_holding:
            return LAST_RETURNS_SECONDS
        return HURRIED_RETURNS_SECONDS if self._requests <= 2 else HURRIED_RETURNS_SECONDS / 2

    def _code_of_start(self, first: ChildProcess) -> int:
        # A process that is asked to stop before it has set its signal handlers is ended by the signal itself. That is
        # not a failure.
        if first.exit is None or self._requests:
            return self._code_of_burst()
        return first.exit.shell_code

    def _code_of_burst(self) -> int:
        """Return 1 for a burst that was stopped before its queues were empty, else 0."""
        return int(self._order.burst and self._requests > 0)

    def _set_up(self, settings: Settings, stack: AsyncExitStack, *, schedules: bool) -> None:
        self._settings = settings
        self._broker = Broker.from_url(settings.broker.url, options=broker_options(settings.broker))
        stack.push_async_callback(self._broker.aclose)
        served = ServedQueues(self._broker, settings.worker.queues)
        self._keeper = LeaseKeeper(self._broker, served, settings.worker)
        self._returns = Reclaim(
            self._broker,
            served,
            settings.worker.max_crashes,
            self._health.returned,
            settings.logging.attempts_limit_bytes,
        )
        for fleet in self._fleets:
            fleet.open(settings, served.have_tasks)
            if (self._order.burst and fleet is not self._leader) or not fleet.kind.is_wanted(settings, schedules):
                fleet.target = 0

    async def _watch(self, settings: Settings) -> None:
        every = min(1.0, settings.worker.heartbeat.total_seconds() / 4)
        keeping, watchdog = asyncio.create_task(self._keep_leases(every)), Watchdog(settings, every)
        try:
            while any(fleet.lives for fleet in self._fleets):
                self._woken.clear()
                self._obey_orders()
                if watchdog.look(self.processes):
                    self._failure = self._failure or 1
                for fleet in self._fleets:
                    await fleet.look()
                self._stop_in_turn()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), every)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def _keep_leases(self, every_seconds: float) -> None:
        # In a task of its own, because a broker that hangs must not delay restarts and stops.
        while True:
            await self._keeper.look([process for process in self.processes if process.kind.owns_tasks])
            await asyncio.sleep(every_seconds)


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
