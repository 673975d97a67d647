"""Runs the hooks of handlers within their time limit. Whatever the hooks do, the outcome of the task is recorded."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from rota import events
from rota.tasks.handler import Event
from rota.worker.run.attempt import Attempt


class HookRunner:
    """Runs hooks for at most `timeout`. `is_stopping` says whether the worker stops, for the event of a cancel."""

    def __init__(self, timeout: timedelta, is_stopping: Callable[[], bool]) -> None:
        self._seconds = timeout.total_seconds()
        self._is_stopping = is_stopping
        self._left_behind: set[asyncio.Task[None]] = set()

    async def run(self, event: Event, attempt: Attempt, value: Any) -> None:
        """Run the hooks of an attempt for an event. Never raises; a cancel of the caller cancels the hooks."""
        hooks = asyncio.get_running_loop().create_task(attempt.handler.notify(event, attempt.context, value))
        why = f"they took longer than hook_timeout ({self._seconds:g} s)"
        try:
            await asyncio.wait((hooks,), timeout=self._seconds)  # not `wait_for`, which awaits what it has cancelled
        except asyncio.CancelledError:  # `Executor.stop` cancels hooks for these two reasons only
            why = "the worker stops" if self._is_stopping() else "the lease was lost"
        if not hooks.done():
            # The cancelled hooks are not awaited, because a hook may catch the cancel and go on.
            hooks.cancel()
            self._left_behind.add(hooks)
            hooks.add_done_callback(self._left_behind.discard)
            events.emit(events.HooksCancelled(**attempt.about, hook_event=event, reason=why))
