"""The end of a cron: waits for the runs, and cancels those that take too long."""

import asyncio
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future

from rota.core.duration import DurationLike, parse
from rota.cron.function_runs import FunctionRuns, inside
from rota.errors import RotaError

CANCEL_SECONDS = 5.0
"""How long a cancelled function may take to end."""


class CronStop:
    """The stop of a cron, which has begun. Awaiting it, or `wait()` in blocking code, waits until all runs are over."""

    def __init__(self, owner: object, ended: "Future[None]", loop: asyncio.AbstractEventLoop | None) -> None:
        self._owner = owner
        self._ended = ended
        self._loop = loop

    def __await__(self) -> Generator[object, None, None]:
        self._refuse_inside()
        return asyncio.shield(asyncio.wrap_future(self._ended)).__await__()

    def wait(self, timeout: DurationLike | None = None) -> bool:
        """Block until all runs are over, or for a time. Return whether they are."""
        self._refuse_inside()
        if not self._ended.done() and self._blocks():
            raise RotaError(
                "cron.stop().wait() blocks the event loop that the runs of the cron need to end: write "
                "`await cron.stop()`."
            )
        try:
            self._ended.result(None if timeout is None else parse(timeout, "timeout").total_seconds())
        except TimeoutError:
            return False
        return True

    def _blocks(self) -> bool:
        """Whether the caller runs on the event loop of the cron."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def _refuse_inside(self) -> None:
        if inside.get() is self._owner:
            raise RotaError(
                "A function of a cron cannot wait for the stop of that cron, which waits for the function: call "
                "cron.stop() without waiting."
            )


class Ending:
    """Waits for the runs of a cron that stops. `hurry` ends the wait."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._hurried = False

    def run_ended(self) -> None:
        """Note that a run has ended."""
        self._changed.set()

    def hurry(self, after: float) -> None:
        """Wait no longer than this time, in seconds."""
        if after <= 0:
            self._hurry_now()
        else:
            self._loop.call_later(after, self._hurry_now)

    async def wait_for(self, runs: Callable[[], Iterable[FunctionRuns]]) -> None:
        """Wait until no run is open, or until the hurry. Then cancel what can be cancelled, and wait for that."""
        while not self._hurried and any(each.running for each in runs()):
            self._changed.clear()
            await self._changed.wait()
        left = [each for each in runs() if each.running]
        for each in left:
            each.cancel("the cron has stopped")
        tasks = [task for each in left if each.can_be_cancelled for task in each.tasks]
        if tasks:
            await asyncio.wait(tasks, timeout=CANCEL_SECONDS)

    def _hurry_now(self) -> None:
        self._hurried = True
        self._changed.set()
