"""What can be done with a task that is still buffered: wait for its result. All else has to wait until it was sent."""

from collections.abc import Callable
from datetime import datetime

from rota.client.parcel import Parcel
from rota.duration import DurationLike
from rota.enqueued import SyncTaskActions, TaskActions
from rota.errors import RotaError, TaskStateError
from rota.info import TaskInfo


class Buffered:
    """The actions of a receipt that was handed out before the server had the task."""

    def __init__(self, actions: TaskActions, parcel: Parcel) -> None:
        self._actions = actions
        self._parcel = parcel

    async def result(self, queue: str, task_id: str, timeout: DurationLike | None = None) -> bytes:  # noqa: ASYNC109
        """Wait until the task was sent, then for its end."""
        left = await self._parcel.sent(timeout)
        return await self._actions.result(queue, self._parcel.id, left)

    async def info(self, queue: str, task_id: str) -> TaskInfo:
        """Look the task up."""
        return await self._actions.info(queue, known_id(self._parcel))

    async def cancel(self, queue: str, task_id: str, reason: str = "") -> None:
        """End the task."""
        await self._actions.cancel(queue, known_id(self._parcel), reason)

    async def run_now(self, queue: str, task_id: str) -> None:
        """Let a waiting task run now."""
        await self._actions.run_now(queue, known_id(self._parcel))

    async def reschedule(self, queue: str, task_id: str, when: datetime | DurationLike) -> None:
        """Move a waiting task to another time."""
        await self._actions.reschedule(queue, known_id(self._parcel), when)

    async def update_payload(self, queue: str, task_id: str, payload: bytes) -> None:
        """Replace the payload of a task that has not started."""
        await self._actions.update_payload(queue, known_id(self._parcel), payload)


class SyncBuffered:
    """The same for blocking code. `sent` waits for the parcel, which lives in another thread."""

    def __init__(
        self,
        actions: SyncTaskActions,
        parcel: Parcel,
        sent: Callable[[Parcel, DurationLike | None], float | None],
    ) -> None:
        self._actions = actions
        self._parcel = parcel
        self._sent = sent

    def result(self, queue: str, task_id: str, timeout: DurationLike | None = None) -> bytes:
        """Wait until the task was sent, then for its end."""
        left = self._sent(self._parcel, timeout)
        return self._actions.result(queue, self._parcel.id, left)

    def info(self, queue: str, task_id: str) -> TaskInfo:
        """Look the task up."""
        return self._actions.info(queue, known_id(self._parcel))

    def cancel(self, queue: str, task_id: str, reason: str = "") -> None:
        """End the task."""
        self._actions.cancel(queue, known_id(self._parcel), reason)

    def run_now(self, queue: str, task_id: str) -> None:
        """Let a waiting task run now."""
        self._actions.run_now(queue, known_id(self._parcel))

    def reschedule(self, queue: str, task_id: str, when: datetime | DurationLike) -> None:
        """Move a waiting task to another time."""
        self._actions.reschedule(queue, known_id(self._parcel), when)

    def update_payload(self, queue: str, task_id: str, payload: bytes) -> None:
        """Replace the payload of a task that has not started."""
        self._actions.update_payload(queue, known_id(self._parcel), payload)


def known_id(parcel: Parcel) -> str:
    """Return the ID under which the server has the task. Raises what the server said against it."""
    if parcel.outcome is None:
        raise TaskStateError(
            f"Task {parcel.id} in queue {parcel.keys.queue!r} is buffered: the broker does not have it yet. "
            "Wait for client.flush(), then try again."
        )
    if isinstance(parcel.outcome, RotaError):
        raise parcel.outcome
    return parcel.id
