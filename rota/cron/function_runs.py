"""The runs of one entry of a cron: starts, overlaps and ends. All of it happens in the thread of the event loop.

Whether a run may start beside others is decided by `rota.schedule.overlap`, as for the schedules of a fleet. An async
function runs on the loop of the cron, and a plain one in a thread of its own, so that it blocks nothing and its end is
not needed for the end of the program.
"""

import asyncio
import contextvars
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rota import events
from rota.core.duration import display
from rota.core.sync_bridge import in_own_thread
from rota.cron.cron_options import Function, is_async
from rota.errors import TimeLimitExceeded
from rota.schedule.definition import ScheduleDefinition
from rota.schedule.due import COUNTED
from rota.schedule.overlap import may_start, next_to_start
from rota.schedule.run import ScheduleRun, run_id
from rota.tasks.callback import refuse_unrun

LATE = timedelta(minutes=1)
"""From this delay on, a run that waited for another one is logged."""
QUIET = timedelta(minutes=1)
"""How long skips for the same reason are only counted after one was logged."""

inside: contextvars.ContextVar[object] = contextvars.ContextVar("rota_cron_inside", default=None)
"""The cron whose function this code runs in."""


@dataclass(eq=False)
class _OpenRun:
    """A run that is not over. `task` is None while it waits for its turn."""

    record: ScheduleRun
    task: asyncio.Task[None] | None = None
    cancelled_because: str = ""


class FunctionRuns:
    """The open runs of one function, and how the earlier ones ended."""

    def __init__(
        self,
        definition: ScheduleDefinition,
        function: Function,
        now: Callable[[], datetime],
        on_end: Callable[[], None],
    ) -> None:
        self.function = function
        self.runs = 0
        self.failures = 0
        self.last_error: BaseException | None = None
        self.ended_at: datetime | None = None
        self.owner: object = None
        """The value of `inside` in the function."""
        self._definition = definition
        self._now = now
        self._on_end = on_end
        self._is_async = is_async(function)
        self._open: list[_OpenRun] = []
        self._closed = False
        self._skips: dict[str, _Skips] = {}

    @property
    def name(self) -> str:
        """The name of the entry."""
        return self._definition.name

    @property
    def is_open(self) -> bool:
        """Whether a run is not over."""
        return bool(self._open)

    @property
    def running(self) -> int:
        """The number of runs whose function runs."""
        return sum(run.task is not None for run in self._open)

    @property
    def waiting(self) -> int:
        """The number of runs that wait for their turn."""
        return sum(run.task is None for run in self._open)

    def open(self) -> None:
        """Let runs start, after a `close`."""
        self._closed = False

    def fire(self, planned_at: datetime) -> None:
        """Start a run, let it wait, or skip it, as `overlap` says."""
        verdict = may_start(self._definition, [run.record for run in self._open])
        if verdict.act == "skip":
            self.skipped("overlap", planned_at, 1, verdict.note)
            return
        for run in list(self._open):
            if run.record.id in verdict.give_up:
                self._open.remove(run)
                self.skipped("replaced", run.record.planned_at, 1, "a newer run has taken its place")
            elif run.record.id in verdict.cancel:
                self._cancel(run, "overlap is replace, and its next time has come")
        run = _OpenRun(
            ScheduleRun(
                id=run_id(self.name, planned_at), schedule_id=self.name, schedule_version=1, planned_at=planned_at
            )
        )
        self._open.append(run)
        if verdict.act == "start":
            self._start(run)

    def skipped(self, reason: str, planned_at: datetime, count: int, note: str) -> None:
        """Tell about planned times that do not run, at most once a minute for each reason."""
        self._skips.setdefault(reason, _Skips(self.name)).add(planned_at, count, note, self._now())

    def close(self) -> None:
        """Start no more runs, and give up those that wait."""
        self._closed = True
        for run in [run for run in self._open if run.task is None]:
            self._open.remove(run)
            self.skipped("closed", run.record.planned_at, 1, "it waited for an earlier run when its entry ended")
        for skips in self._skips.values():
            skips.flush()

    def cancel(self, reason: str) -> None:
        """Cancel the runs of an async function. A thread goes on, and is told about."""
        for run in self._open:
            if self._is_async:
                self._cancel(run, reason)
            else:
                events.emit(events.CronRunLeft(name=self.name))

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """The tasks of the runs whose function runs."""
        return [run.task for run in self._open if run.task is not None]

    @property
    def can_be_cancelled(self) -> bool:
        """Whether the function is async."""
        return self._is_async

    def _start(self, run: _OpenRun) -> None:
        now = self._now()
        run.record = replace(run.record, enqueued_at=now, started_at=now)
        self.runs += 1
        run.task = asyncio.create_task(self._run(run), name=f"rota-cron-{self.name}")

    def _cancel(self, run: _OpenRun, reason: str) -> None:
        if run.task is not None:
            run.cancelled_because = reason
            run.task.cancel()

    async def _run(self, run: _OpenRun) -> None:
        inside.set(self.owner)
        try:
            await self._call()
        except asyncio.CancelledError as error:
            self._was_cancelled(run, error)
        except (KeyboardInterrupt, GeneratorExit):  # the program ends, or the loop has been closed
            raise
        except BaseException as error:
            self._failed(run, error)
        finally:
            self._ended(run)

    async def _call(self) -> None:
        limit = self._definition.timeout
        if not self._is_async:
            refuse_unrun(self.name, await in_own_thread(self.function))
            return
        scope = asyncio.timeout(None if limit is None else limit.total_seconds())
        try:
            async with scope:
                await self.function()
        except TimeoutError as error:
            if not scope.expired() or limit is None:
                raise
            raise TimeLimitExceeded(f"It ran longer than its timeout of {display(limit)}.") from error

    def _was_cancelled(self, run: _OpenRun, error: asyncio.CancelledError) -> None:
        task = asyncio.current_task()
        if run.cancelled_because:
            events.emit(events.CronRunCancelled(name=self.name, reason=run.cancelled_because))
        elif task is not None and task.cancelling():  # the loop itself ends
            raise error
        else:
            self._failed(run, error)

    def _failed(self, run: _OpenRun, error: BaseException) -> None:
        self.failures += 1
        self.last_error = error
        events.emit(events.CronFunctionFailed(name=self.name, planned_at=run.record.planned_at, error=error))

    def _ended(self, run: _OpenRun) -> None:
        self._open.remove(run)
        self.ended_at = self._now()
        record = None if self._closed else next_to_start([each.record for each in self._open])
        for waiting in self._open:
            if record is not None and waiting.record is record:
                late = self.ended_at - record.planned_at
                if late > LATE:
                    events.emit(events.CronRunDelayed(name=self.name, seconds=late.total_seconds()))
                self._start(waiting)
                break
        self._on_end()


class _Skips:
    """Skips for one reason: the first one is told, and more of them once a minute, with their number."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._told_at: datetime | None = None
        self._count = 0
        self._planned_at: datetime | None = None
        self._note = ""

    def add(self, planned_at: datetime, count: int, note: str, now: datetime) -> None:
        self._count += count
        self._planned_at, self._note = planned_at, note
        if self._told_at is None or abs(now - self._told_at) >= QUIET:
            self._told_at = now
            self.flush()

    def flush(self) -> None:
        if self._count:
            event = events.CronRunSkipped(
                name=self._name,
                planned_at=self._planned_at,
                count=self._count,
                note=self._note,
                more=self._count >= COUNTED,
            )
            events.emit(event)
        self._count = 0
