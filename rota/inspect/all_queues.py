"""All queues at once, with who consumes them: what `rota stats`, the API and the console show first.

Queues are read some at a time, in one burst for each node of a Cluster, so that no burst keeps a server from other
clients for long. A queue that cannot be read does not hide the others: another program may have put a key of another
type there, or its node of a Cluster may be away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rota.broker.failure import WrongType
from rota.client.operations import operation
from rota.client.steps import Act, Burst
from rota.errors import BrokerError
from rota.inspect import queue as look_queue
from rota.inspect.face import Reads
from rota.inspect.queue import QueueSnapshot
from rota.inspect.queue_reads import complete, further_sets, further_sizes, queue_names, today
from rota.inspect.server_reads import live_servers
from rota.inspect.server_snapshot import ServerSnapshot
from rota.wire.keys import QueueKeys
from rota.wire.names import read_queue_names
from rota.wire.script import Call

QUEUES_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Rate:
    """Runs per second between two looks at a queue. `failed` are those of them that failed."""

    processed: float
    failed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """All queues in the order of their names, and the live servers.

    `broken` says of queues that cannot be read why. `taken_at` is the time of this machine.
    """

    queues: tuple[QueueSnapshot, ...]
    servers: tuple[ServerSnapshot, ...]
    broken: Mapping[str, str]
    taken_at: datetime

    def consumers(self, queue: str) -> tuple[ServerSnapshot, ...]:
        """Return the servers that take tasks from a queue, of Rota and Asynq."""
        return tuple(server for server in self.servers if queue in server.queues)

    def rates(self, earlier: "Overview") -> dict[str, Rate]:
        """Return the runs per second of each queue since an earlier look.

        A queue is left out if it is new, or if its counters were deleted meanwhile.
        """
        seconds = (self.taken_at - earlier.taken_at).total_seconds()
        before = {queue.queue: queue for queue in earlier.queues}
        found: dict[str, Rate] = {}
        for queue in self.queues:
            old = before.get(queue.queue)
            if old is not None and seconds > 0 and queue.processed_total >= old.processed_total:
                processed = queue.processed_total - old.processed_total
                failed = max(0, queue.failed_total - old.failed_total)
                found[queue.queue] = Rate(processed / seconds, failed / seconds)
        return found


class OverviewReads(Reads):
    """Describes the read of everything at once."""

    @operation
    def overview(self, *, with_memory: bool = True) -> Act[Overview]:
        """Return the numbers of all queues, and the live servers.

        The estimate of the memory costs the server more than the rest together, so a program that looks again and again
        can leave it out.
        """
        keys, taken_at = self._keys, datetime.now(UTC)
        names = read_queue_names((yield from queue_names(keys)))
        queues: list[QueueSnapshot] = []
        broken: dict[str, BrokerError] = {}
        for first in range(0, len(names), QUEUES_AT_ONCE):
            queue_keys = [keys.queue(name) for name in names[first : first + QUEUES_AT_ONCE]]
            for queue, answers in (yield from _answers(queue_keys, with_memory=with_memory)):
                try:
                    queues.append((yield from _snapshot(queue, answers)))
                except BrokerError as error:
                    broken[queue.queue] = error
        if not queues and (errors := [each for each in broken.values() if not isinstance(each, WrongType)]):
            raise errors[0]
        servers = yield from live_servers(keys)
        reasons = {name: str(error) for name, error in broken.items()}
        return Overview(queues=tuple(queues), servers=tuple(servers), broken=reasons, taken_at=taken_at)


def _answers(queue_keys: Sequence[QueueKeys], *, with_memory: bool) -> Act[list[tuple[QueueKeys, list[Any]]]]:
    calls: list[Call[Any]] = []
    for queue in queue_keys:
        calls += [look_queue.queue(queue, today()), look_queue.aggregation_sets(queue, 0)]
        calls += [look_queue.memory(queue)] if with_memory else []
    answers: list[Any] = yield Burst(calls, again=True)
    width = len(calls) // len(queue_keys)
    return [(queue, answers[i * width : (i + 1) * width]) for i, queue in enumerate(queue_keys)]


def _snapshot(keys: QueueKeys, answers: Sequence[Any]) -> Act[QueueSnapshot]:
    for answer in answers:
        if isinstance(answer, BrokerError):
            raise answer
    (snapshot, page), sets, *memory = answers
    sizes = yield from further_sizes(keys, page)
    aggregations = yield from further_sets(keys, sets)
    return complete(snapshot, sum(sizes.values()), aggregations, memory[0] if memory else None)
