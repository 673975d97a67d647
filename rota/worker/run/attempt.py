"""One run of one task, from the moment it was taken until its outcome is recorded."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from rota.tasks.logs import task_fields
from rota.wire.fetch import LastChance
from rota.wire.keys import QueueKeys
from rota.wire.proto import TaskMessage
from rota.worker.clock import lease_clock

if TYPE_CHECKING:
    from rota.tasks.context import Context
    from rota.tasks.handler import Handler

Stop = Literal["", "timeout", "deadline", "cancelled", "shutdown", "lease"]


class LeaseOver(asyncio.CancelledError):
    """A lease ran out before the function could begin. To middlewares and dependencies it is like a cancel."""


class Attempt:
    """What the parts of a worker know about a task that they hold.

    `lease_until` is a moment of the `lease_clock`, `deadline_at` one of the event loop's; `started_at` is the server's
    time in seconds since 1970. `launched_at` is when its function was started, in the event loop's time, and 0 where
    nobody logs that. `told` are the reasons for which the handler was cancelled, in order, and `stop` is the one by
    which its end is judged. `judged` is true once its verdict stands and only its hooks still run.
    """

    __slots__ = (
        "context",
        "crashes",
        "deadline_at",
        "deadline_unix",
        "handler",
        "id",
        "judged",
        "launched_at",
        "lease_until",
        "limit_seconds",
        "message",
        "queue",
        "raw",
        "reason",
        "started_at",
        "stop",
        "task",
        "token",
        "told",
    )

    def __init__(self, queue: QueueKeys, token: str, task_id: str, raw: bytes, lease_until: float) -> None:
        self.queue = queue
        self.token = token
        self.id = task_id
        self.raw = raw
        self.lease_until = lease_until
        self.message: TaskMessage
        self.handler: Handler
        self.context: Context
        self.deadline_at = 0.0
        self.deadline_unix = 0.0
        self.limit_seconds = 0.0
        self.started_at = 0.0
        self.launched_at = 0.0
        self.crashes = 0
        self.stop: Stop = ""
        self.told: tuple[Stop, ...] = ()
        self.judged = False
        self.reason = ""
        self.task: asyncio.Task[None] | None = None

    def check_lease(self) -> None:
        """Raise LeaseOver where the lease has run out. May be called from any thread."""
        if self.lease_until < lease_clock():
            raise LeaseOver

    @property
    def type(self) -> str:
        """The task's type; empty for one that was handed back unread, because it came during a stop."""
        message: TaskMessage | None = getattr(self, "message", None)
        return "" if message is None else message.type

    @property
    def log_fields(self) -> Mapping[str, object]:
        """What a log record about this attempt carries."""
        message: TaskMessage | None = getattr(self, "message", None)
        return task_fields(self.id, self.type, self.queue.queue, 0 if message is None else message.retried)

    @property
    def payload(self) -> bytes:
        """The task's payload as it came."""
        return self.message.payload


def last_chance(held: Iterable[Attempt], max_crashes: int) -> LastChance:
    """Say which tasks have their last chance, and whether a worker that holds these attempts has one of them."""
    crashes = max_crashes - 1
    return LastChance(crashes, crashes > 0 and any(attempt.crashes >= crashes for attempt in held))
