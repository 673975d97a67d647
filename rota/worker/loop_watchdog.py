"""The loop watchdog: checks from its own thread whether the event loop turns, and names the task that blocks it.

A handler that blocks the loop stops every other task of its worker, and code in the loop cannot report that. A handler
that never releases the interpreter (a call into C) stops this thread as well; then only a supervisor can notice it.

The steps of one check:

1. Schedule a callback in the loop.
2. If the callback has not run within the limit, log a warning once, with the task and the stack of the loop's thread.
3. When the callback runs, log how long the loop was blocked, if it was.
"""

import asyncio
import contextlib
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import FrameType

from rota import events
from rota.worker.run.attempt import Attempt

LOOKS_PER_LIMIT = 4
MOST_SECONDS_BETWEEN_LOOKS = 0.5
FRAMES_SHOWN = 3
"""How many frames a warning shows at the start of the handler, and as many at the place that blocks the loop."""
_HERE = str(Path(__file__).parent)


@dataclass(frozen=True, slots=True)
class LoopStatistics:
    """When the loop last turned, what blocks it now, and how often and for how long it was blocked.

    `last_seconds` is the length of the last blockage that is over.
    """

    turned_at: float = 0.0
    blocked_by: str = ""
    blockages: int = 0
    blocked_seconds: float = 0.0
    longest_seconds: float = 0.0
    last_seconds: float = 0.0


class LoopWatchdog:
    """Checks the loop until cancelled.

    `held` returns the attempts of this worker. `looked` is called in the watchdog's thread after each check.
    """

    def __init__(
        self,
        held: Callable[[], Iterable[Attempt]],
        blocked_after: timedelta = timedelta(seconds=1),
        looked: Callable[[], object] = lambda: None,
    ) -> None:
        self._held = held
        self._limit_seconds = blocked_after.total_seconds()
        self._looked = looked
        self._stopping = threading.Event()
        self._turned = threading.Event()
        self._statistics = LoopStatistics()
        self._loop: asyncio.AbstractEventLoop
        self._thread_id = 0

    async def run(self) -> None:
        """Watch the running loop until cancelled."""
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        self._statistics = LoopStatistics(turned_at=time.monotonic())
        ended = asyncio.Event()
        thread = threading.Thread(target=self._work, args=(ended,), name="rota-loop-watchdog", daemon=True)
        thread.start()
        try:
            await ended.wait()
        finally:
            self._stopping.set()
            self._turned.set()

    def statistics(self) -> LoopStatistics:
        """Return a snapshot."""
        return self._statistics

    def _work(self, ended: asyncio.Event) -> None:
        pause = min(self._limit_seconds / LOOKS_PER_LIMIT, MOST_SECONDS_BETWEEN_LOOKS)
        while not self._stopping.wait(pause):
            try:
                self._check(pause)
            except Exception as error:
                if self._loop.is_closed():
                    return  # this worker has ended
                events.emit(events.PartFailed(part="check of the event loop", error=error))
        with contextlib.suppress(RuntimeError):  # the loop is closed: this worker has ended
            self._loop.call_soon_threadsafe(ended.set)

    def _check(self, pause: float) -> None:
        self._turned.clear()  # it is still set by the last check
        if self._stopping.is_set():
            # `run` sets both events when it ends, and `_turned` was just cleared. The loop may never turn again, so
            # waiting for it could take for ever.
            return
        asked_at = time.monotonic()
        self._loop.call_soon_threadsafe(self._turned.set)
        reported = False
        while not self._turned.wait(self._limit_seconds if not reported else pause):
            if not reported:
                self._report(asked_at)
                reported = True
            self._looked()  # while the loop is blocked too, because it notes when the worker could last take tasks
        if self._stopping.is_set():
            return
        now = time.monotonic()
        self._statistics = replace(self._statistics, turned_at=now, blocked_by="")
        if reported:
            self._relieved(now - asked_at)
        self._looked()

    def _report(self, asked_at: float) -> None:
        culprit = self._culprit()
        frame = sys._current_frames().get(self._thread_id)  # pyright: ignore[reportPrivateUsage] - a documented function
        self._statistics = replace(
            self._statistics, blocked_by=culprit or _source_line(frame), blockages=self._statistics.blockages + 1
        )
        events.emit(
            events.LoopBlocked(
                seconds=time.monotonic() - asked_at,
                blocked_by=culprit or "code outside of any task",
                trace=_stack(frame) if frame else "(the stack is unknown)",
            )
        )

    def _relieved(self, seconds: float) -> None:
        done = self._statistics
        self._statistics = replace(
            done,
            blocked_seconds=done.blocked_seconds + seconds,
            longest_seconds=max(done.longest_seconds, seconds),
            last_seconds=seconds,
        )
        events.emit(events.LoopTurnsAgain(seconds=seconds))

    def _culprit(self) -> str:
        current = asyncio.current_task(self._loop)
        if current is None:
            return ""
        for attempt in self._held():
            if attempt.task is current:
                return f"task {attempt.id} ({attempt.type}) in queue {attempt.queue.queue}"
        return f"the coroutine {current.get_name()}"


def _source_line(frame: FrameType | None) -> str:
    return "" if frame is None else f"{frame.f_code.co_qualname} in {frame.f_code.co_filename}:{frame.f_lineno}"


def _stack(frame: FrameType) -> str:
    """Return the stack from the handler on. The frames before the handler are the same for every task."""
    stack = traceback.extract_stack(frame)
    ours = [number for number, line in enumerate(stack, 1) if line.filename.startswith(_HERE)]
    lines = traceback.format_list(stack[ours[-1] :] if ours else stack[-2 * FRAMES_SHOWN :])
    if (left_out := len(lines) - 2 * FRAMES_SHOWN) > 0:
        lines[FRAMES_SHOWN:-FRAMES_SHOWN] = [f"  ... {left_out} more ...\n"]
    return "".join(lines).rstrip()
