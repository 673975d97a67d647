"""The executor: finds the handler of a task, runs it in its slot, and passes the outcome to the finisher.

The steps of an attempt:

1. Read the message. If it cannot be read, its type has no handler, or the task was cancelled, there is nothing to run.
2. If the type has reached its concurrency limit, park the attempt, or put the task off if enough are parked.
3. Start the time limit and run the handler, in the event loop, a thread or a process.
4. Judge how it ended (`verdict`). From now on the verdict stands.
5. Run the hooks, and write the last progress and log lines.
6. Free the slot, pass the outcome to the finisher, and log it.

The slot is freed only when the handler has really ended. A handler that ignores its time limit keeps its slot and its
lease, so that a second run of the task cannot overlap with the first.
"""

import asyncio
import logging
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Literal

from google.protobuf.message import DecodeError

from rota import events
from rota.core import faults, forks, tracebacks
from rota.events import RunEvent
from rota.tasks.context import Context
from rota.tasks.handler import Event, Handler
from rota.wire.attempt import Outcome
from rota.wire.fetch import Notes
from rota.wire.limit_text import deadline_text, timeout_text
from rota.wire.names import NOT_UTF8, is_utf8
from rota.wire.proto import TaskMessage
from rota.wire.times import LAST_SECOND, whole_seconds
from rota.worker.clock import BrokerClock
from rota.worker.consume.unknown_types import Unhandled
from rota.worker.run import verdict
from rota.worker.run.attempt import Attempt, LeaseOver, Stop
from rota.worker.run.pool import FunctionPool
from rota.worker.run.reporter import NoReports, Reporter
from rota.worker.run.slots import Slots, Turnover
from rota.worker.run.time_limits import FAR, TimeLimits
from rota.worker.run.verdict import Verdict, raised_by_handler, unreadable

ASYNQ_DEFAULT_TIMEOUT_SECONDS = 1800

Finish = Callable[[Attempt, Outcome | None], None]
Find = Callable[[str], Handler | None]

NO_REPORTS = NoReports()
task_logger = logging.getLogger(RunEvent.logger)
_WEIGHT: dict[Stop, int] = {"": 0, "timeout": 1, "shutdown": 1, "deadline": 2, "cancelled": 3, "lease": 4}
"""If a handler was stopped for several reasons, the one with the highest weight decides the verdict; of equal ones the
first."""


class DeadlinePassed(Exception):
    """The deadline of a task passed before its handler could begin."""


def _read(attempt: Attempt) -> Verdict | None:
    """Parse the message of an attempt. Returns a verdict if it cannot be read, else None."""
    try:
        attempt.message = TaskMessage.FromString(attempt.raw)
    except DecodeError as error:
        attempt.message = TaskMessage(id=attempt.id, queue=attempt.queue.queue)
        return verdict.undecodable(attempt, error)
    if not attempt.id.isascii() and not is_utf8(attempt.id):
        return verdict.undecodable(attempt, ValueError(NOT_UTF8))
    return None


class Executor:
    """Runs attempts. All methods run in the worker's event loop."""

    def __init__(
        self,
        find: Find,
        slots: Slots,
        clock: BrokerClock,
        finish: Finish,
        *,
        places: Mapping[str, FunctionPool],
        unhandled: Unhandled,
        result_limit_bytes: int | None = None,
        hook_timeout: timedelta = timedelta(seconds=30),
        traceback_limit_bytes: int = 8192,
        task_log_level: Literal["debug", "info"] = "debug",
        reporter: Reporter | NoReports = NO_REPORTS,
        state: Any = None,
    ) -> None:
        self._find = find
        self._slots = slots
        self._clock = clock
        self._finish = finish
        self._places = places
        self.unhandled = unhandled
        self._result_limit_bytes = result_limit_bytes
        self._traceback_limit_bytes = traceback_limit_bytes
        self._hook_seconds = hook_timeout.total_seconds()
        self._task_log_level = logging.DEBUG if task_log_level == "debug" else logging.INFO
        self._reporter = reporter
        self.state = state
        self._loop = asyncio.get_running_loop()
        self._limits = TimeLimits(self._loop, self._time_out)
        self._running_by_type: Counter[Handler] = Counter()
        self._parked: dict[Handler, deque[Attempt]] = {}
        self.turnovers: defaultdict[Handler, Turnover] = defaultdict(Turnover)
        self._left_behind: set[asyncio.Task[None]] = set()
        self.held: dict[Attempt, None] = {}
        """All attempts whose outcome is not recorded yet. The heartbeat extends their leases."""
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
            return
        early = self._prepare(attempt, notes)
        if early is not None:
            self._slots.give_back()
            self._conclude(attempt, early)
        elif attempt.handler.concurrency is None:
            self._launch(attempt)
        else:
            self._start_limited(attempt)

    def running(self) -> list[Attempt]:
        """Return the attempts whose handlers run now."""
        return [attempt for attempt in self.held if attempt.task is not None and not attempt.task.done()]

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
            self._unpark(attempt, why, reason)
        elif attempt.judged:
            if why in ("shutdown", "lease"):
                attempt.task.cancel()
        elif why not in attempt.told:
            if not attempt.told:
                attempt.task.add_done_callback(partial(self._never_ran, attempt))
            attempt.told += (why,)
            if _WEIGHT[why] > _WEIGHT[attempt.stop]:
                attempt.stop, attempt.reason = why, reason
            attempt.context.cancel(reason or why)
            attempt.task.cancel()

    def hand_back_parked(self) -> None:
        """Hand back the tasks of parked attempts, which have not started."""
        for parked in self._parked.values():
            while parked:
                attempt = parked.popleft()
                self._finish(attempt, Outcome(attempt.id, attempt.token, "requeue"))

    def has_ended(self, attempt: Attempt) -> bool:
        """Whether an attempt has ended, so that its outcome only has to be recorded."""
        return attempt.task.done() if attempt.task else not any(attempt in parked for parked in self._parked.values())

    def forget(self, attempt: Attempt) -> None:
        """Remove an attempt whose outcome is recorded."""
        self.held.pop(attempt, None)

    def _prepare(self, attempt: Attempt, notes: Notes | None) -> Verdict | None:
        """Read the message and find the handler. Returns a verdict if the task is not to be run, else None."""
        now = attempt.started_at = self._clock.now()
        if (unreadable := _read(attempt)) is not None:
            return unreadable
        message = attempt.message
        if notes is not None:
            attempt.crashes = notes.crashes
            attempt.explicit = notes.explicit
            if notes.cancel:
                return verdict.cancelled(attempt, notes.cancel, now)
        handler = self._find(message.type)
        if handler is None:
            if self.unhandled.meet(message.type, attempt.lease_until):
                return verdict.left_to_others(attempt)
            return verdict.unhandled(attempt, now, self.unhandled.delay)
        attempt.handler = handler
        return None

    def _limit(self, attempt: Attempt) -> None:
        """Start the time limit. An attempt that waited for a thread or process still has its full time."""
        message, handler, now = attempt.message, attempt.handler, self._clock.now()
        seconds: float = message.timeout
        unsaid = seconds in (0, ASYNQ_DEFAULT_TIMEOUT_SECONDS) and "timeout" not in attempt.explicit
        if unsaid and handler.timeout is not None:
            # Asynq's clients write 30 minutes if no timeout was given, so the handler's own limit applies.
            seconds = whole_seconds(handler.timeout)
        attempt.limit_seconds = seconds or (FAR if message.deadline else ASYNQ_DEFAULT_TIMEOUT_SECONDS)
        deadline = now + attempt.limit_seconds
        # A Go client may give times beyond the range of Python's datetime and of the record of running tasks.
        deadline = min(deadline, message.deadline or LAST_SECOND, LAST_SECOND)
        attempt.deadline_unix = deadline
        attempt.deadline_at = self._clock.monotonic(deadline)
        attempt.context.begin(deadline)
        self._limits.watch(attempt)

    def _start_limited(self, attempt: Attempt) -> None:
        handler = attempt.handler
        limit = handler.concurrency or 1
        if self._running_by_type[handler] < limit:
            if not self._running_by_type[handler]:
                self.turnovers[handler].begin()
            self._running_by_type[handler] += 1
            self._launch(attempt)
            return
        self._slots.give_back()
        parked = self._parked.setdefault(handler, deque())
        if len(parked) < limit:
            parked.append(attempt)
        else:
            wait = self.turnovers[handler].wait_seconds()
            self._finish(attempt, Outcome(attempt.id, attempt.token, "postpone", seconds=wait))

    def _unpark(self, attempt: Attempt, why: Stop, reason: str) -> None:
        for parked in self._parked.values():
            if attempt in parked:
                parked.remove(attempt)
                attempt.stop, attempt.reason = why, reason
                self._conclude(attempt, verdict.stopped(attempt, self._clock.now()))
                return

    def _launch(self, attempt: Attempt) -> None:
        attempt.context = Context(attempt.message, self._reporter, state=self.state)
        self._limit(attempt)
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
            attempt.check_lease()
            if attempt.message.deadline and attempt.message.deadline <= self._clock.now():
                raise DeadlinePassed  # a negative deadline, which is before 1970, has passed as well
            call = None if handler.run == "loop" else partial(self._elsewhere, attempt)
            result = await handler.invoke(attempt.context, attempt.message.payload, call)
            stored = b"" if result is None else self._stored(attempt, result)
            judged = verdict.succeeded(attempt, stored, self._clock.now())
            event: Event = "success"
            value: Any = result
        except BaseException as error:
            judged = self._failed(attempt, error)
            event, value = judged.event, judged.error
        attempt.judged = True
        if getattr(handler.hooks, event) and (event == "success" or value is not None):
            await self._notify(event, attempt, value)
        forks.end_if_forked(began_in)  # if a middleware or a hook has forked, this may be the child process
        if self._reporter.unwritten(attempt.context):
            await self._settle(attempt)
        faults.reach("run:end")
        self._close(attempt, judged)

    def _stored(self, attempt: Attempt, result: Any) -> bytes:
        kept = attempt.message.retention > 0
        return attempt.handler.encode_result(result, self._result_limit_bytes, kept=kept) or b""

    def _elsewhere(
        self, attempt: Attempt, function: Callable[..., Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] = {}
    ) -> Awaitable[Any]:
        place = self._places[attempt.handler.run]
        if place.full:
            self._limits.forget(attempt)  # the wait for a thread or process does not count; `_limit` starts again
        return place.call(attempt.context, function, args, kwargs, partial(self._limit, attempt), attempt.check_lease)

    def _never_ran(self, attempt: Attempt, task: "asyncio.Task[None]") -> None:
        # An asyncio task that is cancelled before its first step never runs `_run`, so the attempt is judged here.
        # That happens with uvloop, which calls a due timer before the first step of a new task.
        if task.cancelled():
            judged = verdict.stopped(attempt, self._clock.now())
            attempt.judged = True
            attempt.task = self._loop.create_task(self._end(attempt, judged))
            attempt.task.add_done_callback(lambda task: self._close(attempt, judged) if task.cancelled() else None)

    async def _end(self, attempt: Attempt, judged: Verdict) -> None:
        if judged.error is not None:
            await self._notify(judged.event, attempt, judged.error)
        self._close(attempt, judged)

    async def _notify(self, event: Event, attempt: Attempt, value: Any) -> None:
        """Run the hooks within their time limit. Whatever they do, the outcome is recorded after this."""
        self._limits.forget(attempt)
        hooks = self._loop.create_task(attempt.handler.notify(event, attempt.context, value))
        why = f"they took longer than hook_timeout ({self._hook_seconds:g} s)"
        try:
            await asyncio.wait((hooks,), timeout=self._hook_seconds)
        except asyncio.CancelledError:
            why = "the worker stops" if self.closed else "the lease was lost"
        if not hooks.done():
            # The cancelled hooks are not awaited, because a hook may catch the cancel and go on.
            hooks.cancel()
            self._left_behind.add(hooks)
            hooks.add_done_callback(self._left_behind.discard)
            events.emit(events.HooksCancelled(**attempt.about, hook_event=event, reason=why))

    async def _settle(self, attempt: Attempt) -> None:
        try:
            await self._reporter.settle(attempt.context)
        except asyncio.CancelledError:
            return  # the verdict stands
        except Exception as error:
            events.emit(events.LastReportLost(**attempt.about, error=error, trace=tracebacks.text_of(error)))

    def _close(self, attempt: Attempt, judged: Verdict) -> None:
        """Free the slot and limits of an attempt, and pass its outcome on."""
        handler = attempt.handler
        self._slots.give_back()
        if handler.concurrency is not None:
            self._release_limit(handler)
        self._limits.forget(attempt)
        self._busy -= 1
        if self.closed and self._busy == 0:
            self._idle.set()
        self._conclude(attempt, judged)

    def _failed(self, attempt: Attempt, error: BaseException) -> Verdict:
        now = self._clock.now()
        return verdict.traced(_judged(attempt, error, now), now, self._traceback_limit_bytes)

    def _release_limit(self, handler: Handler) -> None:
        self._running_by_type[handler] -= 1
        self.turnovers[handler].end()
        parked = self._parked.get(handler)
        if parked:
            self._slots.take(1)
            self._start_limited(parked.popleft())

    def _conclude(self, attempt: Attempt, judged: Verdict) -> None:
        self._finish(attempt, judged.outcome)
        if judged is not verdict.SUCCESS:
            for event in verdict.outcome_events(attempt, judged):
                events.emit(event)
        if attempt.launched_at:
            seconds = self._loop.time() - attempt.launched_at
            events.emit(verdict.end_event(attempt, judged, seconds, self._task_log_level))

    def _time_out(self, attempt: Attempt) -> None:
        deadline = min(attempt.message.deadline, LAST_SECOND)
        passed = deadline and attempt.deadline_unix >= deadline
        said = deadline_text(deadline) if passed else timeout_text(attempt.limit_seconds)
        self.stop(attempt, "deadline" if passed else "timeout", said)
        if deadline and not passed:
            # A handler that goes on after its time limit is stopped again at the deadline of its task.
            attempt.deadline_unix, attempt.deadline_at = deadline, self._clock.monotonic(deadline)
            self._limits.watch(attempt)


def _judged(attempt: Attempt, error: BaseException, now: float) -> Verdict:
    try:
        return _judged_by_class(attempt, raised_by_handler(error), now)
    except BaseException as fault:
        # Even `isinstance` can run code of the error's class, which may raise. The task needs a verdict anyway.
        return _judged_by_class(attempt, unreadable(error, fault), now)


def _judged_by_class(attempt: Attempt, error: BaseException, now: float) -> Verdict:
    if isinstance(error, LeaseOver):
        return verdict.too_late(attempt)
    if isinstance(error, DeadlinePassed):
        return verdict.expired(attempt, now)
    if isinstance(error, asyncio.CancelledError) or attempt.stop in ("shutdown", "cancelled", "lease"):
        return verdict.stopped(attempt, now, error)
    return verdict.failed(attempt, error, now)
