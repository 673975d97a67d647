"""Tasks whose messages are larger than any reply that the server can deliver.

A server with a small `client-output-buffer-limit` closes the connection instead of delivering such a task. The task
would be fetched, lost and redelivered for ever, and would cost the worker its connection each time. It goes to the
archive instead, in quarantine, and can be run again once the limit is raised.

A lost reply alone proves nothing, because a network can lose it as well. So before a task is archived, the worker asks
the server on a connection of its own for a reply of the same size. The message is too large if that connection is
closed, and a small reply arrives afterwards.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from rota import events
from rota.broker import Broker
from rota.errors import BrokerRefused, BrokerUnavailable
from rota.wire.fetch import lost_sizes, reply_of_size, set_aside
from rota.wire.keys import QueueKeys
from rota.wire.script import Call
from rota.worker.consume.fetch_size import AGAIN_SECONDS, LEAST_BYTES

TOO_LARGE = (
    "quarantined: too large to be delivered. Its message has {size}, and the server closes a connection that such a "
    "reply is written to, probably by its client-output-buffer-limit. Raise that limit, then run the task again; or "
    "lower `payload_limit_bytes` for producers, so that they refuse such payloads"
)

T = TypeVar("T")


class Run(Protocol):
    """Runs one script."""

    def __call__(self, call: Call[T], /) -> Awaitable[T]: ...  # noqa: D102


class Oversized:
    """Finds and archives the tasks of a lost fetch that are too large.

    The sizes are looked at after several lost replies with the same tasks. For a minute after a task was too large, one
    lost reply is enough.
    """

    def __init__(self, broker: Broker, clock: Callable[[], float] = time.monotonic) -> None:
        self._broker = broker
        self._clock = clock
        self._expected_until = 0.0

    async def set_aside(self, queue: QueueKeys, token: str, run: Run, *, unexplained: bool) -> int:
        """Archive the tasks of a lost fetch that are too large; return how many.

        `unexplained` says that several replies with the tasks of this fetch were lost, without a known reason.
        """
        if not unexplained and self._clock() >= self._expected_until:
            return 0
        sizes = await run(lost_sizes(queue, token))
        least = await self._least_undelivered(queue, {size for size in sizes.values() if size >= LEAST_BYTES})
        if least is None:
            return 0
        self._expected_until = self._clock() + AGAIN_SECONDS
        for task_id, size in sizes.items():
            if size >= least:
                # Logged before, because the reply may be lost, and no client can read this task.
                text = TOO_LARGE.replace("{size}", f"{size / 2**20:.1f} MB")
                events.emit(events.TaskTooLarge(task_id=task_id, queue=queue.queue, reason=text))
        archived = await run(set_aside(queue, token, least_bytes=least, error=TOO_LARGE))
        return len(archived)

    async def _least_undelivered(self, queue: QueueKeys, sizes: set[int]) -> int | None:
        """Return the smallest of these sizes of which no reply arrives; None if all arrive."""
        least = None
        for size in sorted(sizes, reverse=True):
            if await self._arrives(queue, size) or not await self._arrives(queue, 1):
                break
            least = size
        return least

    async def _arrives(self, queue: QueueKeys, size: int) -> bool:
        """Whether a reply of this size arrives, on a new connection: the server may close it."""
        link = None
        try:
            link = await self._broker.open_link(queue.pending)
            await self._broker.run_via(link, reply_of_size(queue, size))
        except BrokerRefused:
            return True  # short of memory, for example: then nothing is known
        except BrokerUnavailable:
            return False
        finally:
            if link is not None:
                await link.aclose()
        return True
