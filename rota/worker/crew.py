"""The tasks of a worker's parts, none of which may end before the worker stops.

Code of a task can cancel any asyncio task of its loop, for example all of `asyncio.all_tasks()`. To a TaskGroup a
cancelled child is a child that has ended well: the worker would go on without its heartbeat or its fetcher, and nothing
would tell. So a part that is cancelled before its time fails, and the worker ends by a fault: its tasks go back, and
its supervisor starts another.
"""

import asyncio
from collections.abc import Awaitable, Callable


class Crew:
    """Starts the parts in a task group. Make it in the asyncio task that owns the group."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._owner = asyncio.current_task()
        self._ending = False

    def start(self, part: Callable[[], Awaitable[None]]) -> "asyncio.Task[None]":
        """Start a part."""
        return self._group.create_task(self._run(part))

    def dismiss(self) -> None:
        """Let the parts be cancelled from now on."""
        self._ending = True

    async def _run(self, part: Callable[[], Awaitable[None]]) -> None:
        try:
            await part()
        except asyncio.CancelledError as cancel:
            # A cancel of the whole worker reaches parts and owner in any order.
            if self._ending or self._owner is None or self._owner.cancelling():
                raise
            raise cancelled_from_outside(getattr(part, "__qualname__", repr(part))) from cancel
        except BaseException:
            self._ending = True  # the group cancels the others
            raise


def cancelled_from_outside(part: str) -> RuntimeError:
    """Make the error of a part that somebody else has cancelled."""
    return RuntimeError(
        f"The part {part} of the worker was cancelled by other code of this process. Look for code that cancels tasks "
        "it has not started, such as all of asyncio.all_tasks()."
    )
