"""An attempt: one run of one task, from the fetch until its outcome is recorded.

The fetcher creates the attempt, the executor fills it in and runs it, the heartbeat extends its lease, and the finisher
records its outcome. All but `lease_until` is set in the event loop; the heartbeat sets that in its own thread.
"""

import asyncio
import itertools
import time
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Literal

from rota.events import AboutTask, about_task
from rota.wire.fetch import LastChance
from rota.wire.keys import QueueKeys
from rota.wire.proto import TaskMessage
from rota.worker.clock import lease_clock

if TYPE_CHECKING:
    from rota.tasks.context import Context
    from rota.tasks.handler import Handler

FAR = float("inf")
Stop = Literal["", "timeout", "deadline", "cancelled", "shutdown", "lease"]
WEIGHT: dict[Stop, int] = {"": 0, "timeout": 1, "shutdown": 1, "deadline": 2, "cancelled": 3, "lease": 4}
"""Of several reasons for which a handler was stopped, the heaviest decides the verdict; of equal ones the first."""


class LeaseOver(asyncio.CancelledError):
    """The lease ran out before the function began. Middlewares and dependencies see it as a cancel."""


class Attempt:
    """The state of one attempt, shared by the parts of a worker.

    - `lease_until` is a time of the `lease_clock`, and `started_at` of the server's clock in seconds since 1970.
    - `deadline_at` is a time of the event loop's clock; `FAR` while no time limit runs.
    - `begun` is true once its handler was called. An attempt that has not begun leaves no record.
    - `explicit` names the options of the task that were given for its call (see `wire.enqueue.Item`).
    - `launched_at` is when its function was started, on the event loop's clock; 0 if no event tells of it.
    - `told` are the reasons for which the handler was cancelled, in order; `stop` is the one that decides the verdict.
    - `type` is empty if the task came during a stop and was handed back without reading its message.
    - `waited_us` is how long it was pending, in microseconds, and `ran_seconds` how long its function took; -1 if that
      is not known. `began_at` is when the function began, on this machine's monotonic clock.
    - `judged` is true once the verdict stands and only the hooks still run.
    """

    __slots__ = (
        "began_at",
        "begun",
        "context",
        "crashes",
        "deadline_at",
        "deadline_unix",
        "explicit",
        "handler",
        "id",
        "judged",
        "launched_at",
        "lease_until",
        "limit_seconds",
        "message",
        "queue",
        "ran_seconds",
        "raw",
        "reason",
        "started_at",
        "stop",
        "task",
        "token",
        "told",
        "type",
        "waited_us",
    )

    def __init__(
        self, queue: QueueKeys, token: str, task_id: str, raw: bytes, lease_until: float, waited_us: int = -1
    ) -> None:
        self.queue = queue
        self.token = token
        self.id = task_id
        self.raw = raw
        self.lease_until = lease_until
        self.waited_us = waited_us
        self.type = ""
        # These have no value until the executor sets them. Code that may come earlier asks with `hasattr`.
        self.message: TaskMessage
        self.handler: Handler
        self.context: Context
        self.deadline_at = FAR
        self.deadline_unix = 0.0
        self.limit_seconds = 0.0
        self.started_at = 0.0
        self.launched_at = 0.0
        self.began_at: float
        self.ran_seconds = -1.0
        self.begun = False
        self.crashes = 0
        self.explicit = ""
        self.stop: Stop = ""
        self.told: tuple[Stop, ...] = ()
        self.judged = False
        self.reason = ""
        self.task: asyncio.Task[None] | None = None

    @property
    def may_be_stopped(self) -> bool:
        """Whether its handler runs, or was cancelled before it began, so that only a stop gives it an outcome."""
        task = self.task
        return task is not None and (not task.done() or (task.cancelled() and not self.judged))

    def check_lease(self) -> None:
        """Raise LeaseOver if the lease has run out. May be called from any thread."""
        if self.lease_until < lease_clock():
            raise LeaseOver

    @property
    def about(self) -> AboutTask:
        """The fields of an event about this attempt."""
        message: TaskMessage | None = getattr(self, "message", None)
        return about_task(self.id, self.type, self.queue.queue, 0 if message is None else message.retried)

    @property
    def payload(self) -> bytes:
        """The task's payload as it was received."""
        return self.message.payload


def tokens(worker_id: str) -> Iterator[str]:
    """Return the tokens of a worker's attempts: its ID, and a number that no other of them has.

    The number begins with the time in nanoseconds since 1970, 19 digits until the year 2286. So the script that finds
    the attempt of a dead worker knows when it was fetched (`wire/lua/attempts.lua`).
    """
    return map(f"{worker_id}-{{:019d}}{{}}".format, iter(time.time_ns, None), itertools.count(1))


def last_chance(crashed: Collection[Attempt], max_crashes: int) -> LastChance:
    """Return the number of crashes that leave a task its last chance, and whether one of these attempts has as many.

    One more crash puts such a task into quarantine. A worker may hold only one of them, so that it cannot take another
    one down with it.
    """
    crashes = max_crashes - 1  # 0 turns the rule off: with `max_crashes=1` every task has its last chance
    return LastChance(crashes, crashes > 0 and bool(crashed) and max(a.crashes for a in crashed) >= crashes)
