"""The executor: finds the handler of a task, runs it in its slot, and passes the outcome to the finisher.

The steps of an attempt:

1. Read the message. If it cannot be read, its type has no handler, or the task was cancelled, there is nothing to run.
2. If the type has reached its concurrency limit, park the attempt, or put the task off if enough are parked.
3. Start the time limit and run the handler, in the event loop, a thread or a process.
4. Judge how it ended (`verdict`). From now on the verdict stands.
5. Run the hooks, and write the last progress and log lines.
6. Free the slot, pass the outcome to the finisher with a record of the attempt if the task is kept, and log it.

The slot is freed only when the handler has really ended. A handler that ignores its time limit keeps its slot and its
lease, so that a second run of the task cannot overlap with the first.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import Any, Literal

from google.protobuf.message import DecodeError

from rota import events
from rota.core import faults, forks, tracebacks
from rota.events import RunEvent
from rota.settings.settings import Settings
from rota.tasks.context import Context
from rota.tasks.handler import Event, Handler
from rota.wire.attempts import LIMIT_BYTES
from rota.wire.fetch import Notes
from rota.wire.names import NOT_UTF8, is_utf8
from rota.wire.outcome import Outcome
from rota.wire.proto import TaskMessage
from rota.worker.clock import BrokerClock, lease_clock
from rota.worker.consume.unknown_types import Unhandled
from rota.worker.run import verdict
from rota.worker.run.attempt import FAR, WEIGHT, Attempt, LeaseOver, Stop
from rota.worker.run.concurrency import Slots, TypeLimits
from rota.worker.run.hook_runner import HookRunner
from rota.worker.run.outcome_events import end_event, note_attempt, origin, outcome_events
from rota.worker.run.reporter import NoReports, Reporter
from rota.worker.run.thread_pool import FunctionPool
from rota.worker.run.time_limits import TimeLimits
from rota.worker.run.verdict import Verdict

Finish = Callable[[Attempt, Outcome | None], None]

task_logger = logging.getLogger(RunEvent.logger)


@dataclass(frozen=True, slots=True)
class RunSettings:
    """The settings that each run obeys."""

    result_limit_bytes: int | None = None
    traceback_limit_bytes: int = 8192
    attempts_limit_bytes: int = LIMIT_BYTES
    hook_timeout: timedelta = timedelta(seconds=30)
    task_log_level: Literal["debug", "info"] = "debug"

    @classmethod
    def of(cls, settings: Settings) -> "RunSettings":
        """Pick them from all settings."""
        results, log, worker = settings.results, settings.logging, settings.worker
        return cls(
            results.result_limit_bytes,
            log.traceback_limit_bytes,
            log.attempts_limit_bytes,
            worker.hook_timeout,
            log.task_log_level,
        )


@dataclass(frozen=True, slots=True)
class RunResources:
    """The pools by `run`, the reporter, the state of the lifespan, and whether the worker itself was cancelled."""

    pools: Mapping[str, FunctionPool] = field(default_factory=dict[str, FunctionPool])
    reporter: Reporter | NoReports = field(default_factory=NoReports)
    state: Any = None
    is_cancelled: Callable[[], bool] = lambda: False


class Executor:
    """Runs attempts. All methods run in the worker's event loop."""

    def __init__(
        self,
        find: Callable[[str], Handler | None],
        slots: Slots,
        clock: BrokerClock,
        finish: Finish,
        *,
        unhandled: Unhandled,
        settings: RunSettings,
        resources: RunResources = RunResources(),
    ) -> None:
        self._find = find
        self._slots = slots
        self._clock = clock
        self._finish = finish
        self._pools = resources.pools
        self.unhandled = unhandled
        self._settings = settings
        self._hooks = HookRunner(settings.hook_timeout, lambda: self.closed or resources.is_cancelled())
        self._origin = b""
        self._task_log_level = logging.DEBUG if settings.task_log_level == "debug" else logging.INFO
        self._reporter = resources.reporter
        self._resources = resources
        self._loop = asyncio.get_running_loop()
        self.types = TypeLimits()
        self.held: dict[Attempt, None] = {}  # not a set, so that a stop hands tasks back in their old order
        """All attempts whose outcome is not recorded yet. The heartbeat extends their leases."""
        self._limits = TimeLimits(clock, self.held.keys(), self.stop)
        self.crashed: set[Attempt] = set()
        """Those of them at whose task an earlier worker has crashed."""
        self.closed = False
        """Once true, tasks that still arrive are handed back instead of run."""
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def start(self, attempt: Attempt, notes: Notes | None = None) -> None:
        """Start a task that was just taken, and return at once. Its slot is already reserved."""
        self.held[attempt] = None
        if self.closed:
            self._slots.give_back()
            self._finish(attempt, Outcome(attempt.id, attempt.token, "requeue"))
        elif (early := self._prepare(attempt, notes)) is not None:
            self._slots.give_back()
            self._conclude(attempt, early)
        elif attempt.handler.concurrency is None:
            self._launch(attempt, attempt.started_at)
        else:
            self._start_limited(attempt, attempt.started_at)

    def running(self) -> list[Attempt]:
        """Return the attempts whose handlers run now, or were cancelled by other code before they began."""
        return [attempt for attempt in self.held if attempt.may_be_stopped]

    async def wait_idle(self) -> None:
        """Wait until no handler runs. Only for a closed executor."""
        if self._busy:
            self._idle.clear()
            await self._idle.wait()

    def stop(self, attempt: Attempt, why: Stop, reason: str = "") -> None:
        """Cancel a handler, or prevent its start. A handler that ignored a cancel is cancelled again for a new reason.

        Once the verdict stands, only a shutdown or a lost lease cancels the hooks that still run.
        """
        if attempt.task is None:
            if self.types.unpark(attempt):
                attempt.stop, attempt.reason = why, reason
                self._conclude(attempt, verdict.stopped(attempt, self._clock.now()))
        elif attempt.judged:
            if why in ("shutdown", "lease"):
                attempt.task.cancel()
        elif why not in attempt.told:
            if not attempt.told:  # only a task that is cancelled pays for the callback
                attempt.task.add_done_callback(partial(self._never_ran, attempt))
            attempt.told += (why,)
            if WEIGHT[why] > WEIGHT[attempt.stop]:
                attempt.stop, attempt.reason = why, reason
            attempt.context.cancel(reason or why)
            attempt.task.cancel()

    def hand_back_parked(self) -> None:
        """Hand back the tasks of parked attempts, which have not started."""
        for attempt in self.types.unpark_all():
            self._finish(attempt, Outcome(attempt.id, attempt.token, "requeue"))

    def has_ended(self, attempt: Attempt) -> bool:
        """Whether an attempt has ended, so that its outcome only has to be recorded."""
        return attempt.task.done() if attempt.task else not self.types.is_parked(attempt)

    def forget(self, attempts: Iterable[Attempt]) -> None:
        """Remove attempts whose outcomes are recorded."""
        for attempt in attempts:
            self.held.pop(attempt, None)
            if attempt.crashes:
                self.crashed.discard(attempt)

    def _prepare(self, attempt: Attempt, notes: Notes | None) -> Verdict | None:
        """Read the message and find the handler. Returns a verdict if the task is not to be run, else None."""
        now = attempt.started_at = monotonic() + self._clock.offset  # `now`, inlined for the path of every task
        try:
            message = attempt.message = TaskMessage.FromString(attempt.raw)
        except DecodeError as error:
            attempt.message = TaskMessage(id=attempt.id, queue=attempt.queue.queue)  # for its verdict and events
            return verdict.undecodable(attempt, error)
        if not attempt.id.isascii() and not is_utf8(attempt.id):  # nearly all are ASCII, which costs less to check
            return verdict.undecodable(attempt, ValueError(NOT_UTF8))
        if notes is not None:
            attempt.explicit = notes.explicit
            if notes.crashes:
                attempt.crashes = notes.crashes
                self.crashed.add(attempt)
            if notes.cancel:  # before the handler is looked up: a worker without one can carry out the cancel too
                return verdict.cancelled(attempt, notes.cancel, now)
        attempt.type = message.type
        handler = self._find(attempt.type)
        if handler is None:
            if self.unhandled.arrived(attempt.type, attempt.lease_until):
                return verdict.left_to_others(attempt)
            return verdict.unhandled(attempt, now, self.unhandled.delay)
        attempt.handler = handler
        return None

    def _start_limited(self, attempt: Attempt, now: float) -> None:
        if self.types.begin(attempt.handler):
            self._launch(attempt, now)
            return
        self._slots.give_back()
        if not self.types.park(attempt):
            wait = self.types.wait_seconds(attempt.handler)
            self._finish(attempt, Outcome(attempt.id, attempt.token, "postpone", seconds=wait))

    def _launch(self, attempt: Attempt, now: float) -> None:
        attempt.started_at, attempt.began_at = now, now - self._clock.offset
        deadline = self._limits.start(attempt, now)
        message = attempt.message
        if message.retry != attempt.handler.retry.max:  # the usual case is spared a call
            message = verdict.as_it_counts(attempt)
        attempt.context = Context(message, self._reporter, deadline, self._resources.state, attempt.deadline_at)
        self._busy += 1
        if RunEvent.observed or task_logger.isEnabledFor(self._task_log_level):
            attempt.launched_at = self._loop.time()
            events.emit(events.TaskStarted(**attempt.about, log_level=self._task_log_level))
        attempt.task = self._loop.create_task(self._run(attempt))

    async def _run(self, attempt: Attempt) -> None:
        handler, began_in = attempt.handler, forks.generation
        faults.reach("run:start")
        try:
            # If the process was frozen or the machine suspended since the fetch, another worker may have run the task.
            if attempt.lease_until < lease_clock():
                raise LeaseOver
            if attempt.message.deadline and attempt.message.deadline <= self._clock.now():
                raise verdict.DeadlinePassed  # a negative deadline, which is before 1970, has passed as well
            attempt.begun = True
            call = None if handler.run == "loop" else partial(self._elsewhere, attempt)
            result = await handler.invoke(attempt.context, attempt.message.payload, call)
            stored = b"" if result is None else self._stored(attempt, result)
            plain = not (stored or attempt.message.retention or attempt.message.unique_key)  # spared a call, as usual
            judged = verdict.SUCCESS if plain else verdict.succeeded(attempt, stored, self._clock)
            event: Event = "success"
            value: Any = result
        except BaseException as error:  # a cancel or a `sys.exit()` too, because every run needs an outcome
            if not attempt.stop and self._resources.is_cancelled():
                attempt.stop = "shutdown"  # `asyncio.run` cancels all tasks at its end, before the worker stops them
            now = self._clock.now()
            judged = verdict.traced(verdict.raised(attempt, error, now), now, self._settings.traceback_limit_bytes)
            event, value = judged.event, judged.error
        attempt.judged = True  # from here on, each wait survives a cancel, so that `_close` is always reached
        hooks = handler.hooks.success if event == "success" else value is not None and getattr(handler.hooks, event)
        if hooks:  # none without an error, because nothing failed: the task was handed back, cancelled or revoked
            await self._hooks.run(event, attempt, value)
        if forks.generation != began_in:
            forks.end()  # a middleware or a hook has forked, and this is the child process
        if attempt.context.has_reported:
            await self._settle(attempt)
        faults.reach("run:end")
        self._close(attempt, judged)

    def _stored(self, attempt: Attempt, result: Any) -> bytes:
        kept = attempt.message.retention > 0
        return attempt.handler.encode_result(result, self._settings.result_limit_bytes, kept=kept) or b""

    def _elsewhere(
        self, attempt: Attempt, function: Callable[..., Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] = {}
    ) -> Awaitable[Any]:
        pool = self._pools[attempt.handler.run]
        if pool.full:
            attempt.deadline_at = FAR  # the wait for a thread or process does not count
        begun = partial(self._limits.restart, attempt)
        return pool.call(attempt.context, function, args, kwargs, begun, attempt.check_lease)

    def _never_ran(self, attempt: Attempt, task: "asyncio.Task[None]") -> None:
        # An asyncio task that is cancelled before its first step never runs `_run`, so the attempt is judged here.
        # That happens with uvloop, which calls a due timer before the first step of a new task.
        if task.cancelled():
            judged = verdict.stopped(attempt, self._clock.now())
            attempt.judged = True  # the task of `_end` may be cancelled before its first step as well
            attempt.task = self._loop.create_task(self._end(attempt, judged))
            attempt.task.add_done_callback(lambda task: self._close(attempt, judged) if task.cancelled() else None)

    async def _end(self, attempt: Attempt, judged: Verdict) -> None:
        if judged.error is not None:
            await self._hooks.run(judged.event, attempt, judged.error)
        self._close(attempt, judged)

    async def _settle(self, attempt: Attempt) -> None:
        try:
            await self._reporter.settle(attempt.context)
        except asyncio.CancelledError:
            return  # the verdict stands
        except Exception as error:
            events.emit(events.LastReportLost(**attempt.about, error=error, trace=tracebacks.text_of(error)))

    def _close(self, attempt: Attempt, judged: Verdict) -> None:
        """Free the slot and limits of an attempt, and pass its outcome on."""
        attempt.deadline_at = FAR  # it stays in `held` until it is recorded, where the timer looks for passed limits
        attempt.ran_seconds = monotonic() - attempt.began_at
        self._slots.give_back()
        if attempt.handler.concurrency is not None and (parked := self.types.end(attempt.handler)) is not None:
            if self._slots.free <= 0:  # the slots were reduced meanwhile
                self._finish(parked, Outcome(parked.id, parked.token, "requeue"))
            else:
                self._slots.take(1)
                self._start_limited(parked, self._clock.now())
        self._busy -= 1
        if self.closed and self._busy == 0:
            self._idle.set()
        if judged is verdict.SUCCESS and not attempt.launched_at:  # as `_conclude` does; the usual end, spared a call
            self._finish(attempt, None)
        else:
            self._conclude(attempt, judged)

    def _conclude(self, attempt: Attempt, judged: Verdict) -> None:
        if judged is verdict.SUCCESS:
            self._finish(attempt, None)
        else:
            if self._settings.attempts_limit_bytes:
                self._origin = self._origin or origin(attempt)
                traces = self._settings.traceback_limit_bytes > 0
                note_attempt(attempt, judged, self._clock.now(), self._origin, traces=traces)
            self._finish(attempt, judged.outcome)
            if judged.outcome is None or judged.outcome.kind != "complete":  # a success is spared the search for events
                for event in outcome_events(attempt, judged):
                    events.emit(event)
        if attempt.launched_at:
            seconds = self._loop.time() - attempt.launched_at
            events.emit(end_event(attempt, judged, seconds, self._task_log_level))
