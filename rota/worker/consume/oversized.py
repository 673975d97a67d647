"""Tasks whose messages are larger than any reply that the server can deliver.

A server with a small `client-output-buffer-limit` closes the connection instead of delivering such a task. The task
would be fetched, lost and redelivered for ever, and would cost the worker its connection each time. It goes to the
archive instead, in quarantine, and can be run again once the limit is raised.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from rota.broker import Broker
from rota.errors import BrokerRefused
from rota.wire.fetch import set_aside
from rota.wire.keys import QueueKeys
from rota.wire.output_limit import NAME, QUESTION, OutputLimit, output_limit
from rota.wire.script import Call
from rota.worker.consume.fetch_size import AGAIN_SECONDS, LEAST_BYTES

logger = logging.getLogger("rota.worker")

TOO_LARGE = (
    "quarantined: too large to be delivered. Its message has {{size}}, and the server closes a connection that such a "
    "reply is written to: {limit}. Raise that limit, then run the task again; or lower `payload_limit_bytes` for "
    "producers, so that they refuse such payloads"
)
NOT_READABLE = f"probably by its {NAME}, which the user of the worker may not read (CONFIG GET)"

T = TypeVar("T")


class Run(Protocol):
    """Runs one script."""

    def __call__(self, call: Call[T], /) -> Awaitable[T]: ...  # noqa: D102


class Oversized:
    """Finds and archives the tasks of a lost fetch that are too large.

    The first such task is recognized after several lost replies that contained it alone. For a minute after that, one
    lost reply is enough for messages of at least its size.
    """

    def __init__(self, broker: Broker, clock: Callable[[], float] = time.monotonic) -> None:
        self._broker = broker
        self._clock = clock
        self._known_bytes = 0
        self._error = ""
        self._known_until = 0.0

    async def set_aside(self, queue: QueueKeys, token: str, run: Run, *, unexplained: bool) -> int:
        """Archive the tasks of a lost fetch that are too large; return how many.

        `unexplained` says that several replies with the tasks of this fetch were lost, without a known reason.
        """
        archived = 0
        if unexplained and (least := await self._least_bytes(queue)):
            archived = await self._archive(queue, least, run, token, alone=True)
        if not archived and self._clock() < self._known_until:
            archived = await self._archive(queue, self._known_bytes, run, token, alone=False)
        return archived

    async def _archive(self, queue: QueueKeys, least: int, run: Run, token: str, *, alone: bool) -> int:
        sizes = await run(set_aside(queue, token, least_bytes=least, alone=alone, error=self._error))
        for task_id, size in sizes.items():
            known = self._known_bytes if self._clock() < self._known_until else size
            self._known_bytes, self._known_until = min(known, size), self._clock() + AGAIN_SECONDS
            text = self._error.replace("{size}", f"{size / 2**20:.1f} MB")
            logger.error("Task %s in queue %s is archived: %s.", task_id, queue.queue, text)
        return len(sizes)

    async def _least_bytes(self, queue: QueueKeys) -> int:
        """Return the size from which a message may be too large; 0 if the server has no limit."""
        limit = await self._limit(queue)
        self._error = TOO_LARGE.format(limit=NOT_READABLE if limit is None else f"`{limit}`")
        if limit is None:
            return LEAST_BYTES
        # The server counts the buffer, which is larger than the reply because its allocator rounds up. So a message of
        # half the limit may already be too large.
        return max(LEAST_BYTES, limit.bytes // 2) if limit.bytes else 0

    async def _limit(self, queue: QueueKeys) -> OutputLimit | None:
        try:
            return output_limit(await self._broker.execute(*QUESTION, key=queue.pending))
        except BrokerRefused:
            return None
