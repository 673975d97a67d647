"""Gives back the tasks that dead worker processes held, from all queues in which their tasks can be.

It starts only when a process is known to be dead. The server may still carry out a request that the process sent just
before. A late outcome is refused, because its token is gone, but a late fetch takes tasks. So the supervisor checks
the queues again after `LOOK_AGAIN_AFTER_SECONDS`.

The steps for one process:

1. Give back all tasks that carry its tokens, and try again until the broker answers.
2. Check again after each of the pauses, or once and at once when the supervisor stops.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from typing import Any

from rota import events
from rota.broker.broker import Broker
from rota.broker.failure import NodeReplies
from rota.core import faults
from rota.core.text import counted
from rota.errors import BrokerError
from rota.supervisor.process import ChildProcess
from rota.wire.attempts import LIMIT_BYTES, members
from rota.wire.keys import QueueKeys
from rota.wire.names import read_queue_names
from rota.wire.owner import PAGE, Returned, give_back, waiting
from rota.wire.script import Call
from rota.worker.consume.queue_selection import is_pattern, matches
from rota.worker.ticker import Backoff

ANSWER_SECONDS = 0.5
"""How long the supervisor waits for an answer about waiting tasks. Meanwhile it does not watch its processes."""


class ServedQueues:
    """The queues in which tasks of a process can be.

    These are the queues that the process has reported since its start, the queues that the setting `queues` names, and
    the existing queues that match its patterns.
    """

    def __init__(self, broker: Broker, queues: Iterable[str]) -> None:
        self._broker = broker
        names = list(queues)
        self._names = [name for name in names if not is_pattern(name)]
        self._patterns = [name for name in names if is_pattern(name)]

    async def of(self, *processes: ChildProcess) -> list[QueueKeys]:
        """Return the queues of some processes."""
        names = set(self._names).union(*(process.queues for process in processes))
        if self._patterns:
            # The process may have died before it reported a queue that it had found by a pattern.
            known = await self._broker.execute("SMEMBERS", self._broker.keys.queues, key=self._broker.keys.queues)
            found = read_queue_names(known)
            names.update(name for name in found if any(matches(name, pattern) for pattern in self._patterns))
        return [self._broker.keys.queue(name) for name in sorted(names)]

    async def have_tasks(self, *processes: ChildProcess) -> bool:
        """Whether a queue of these processes has a pending task. False if the broker does not answer soon."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                replies = await self._broker.run_many([waiting(queue) for queue in await self.of(*processes)])
        except (BrokerError, TimeoutError):
            return False
        return any(not isinstance(reply, BrokerError) and reply > 0 for reply in replies)


LOOK_AGAIN_AFTER_SECONDS = (1.0, 4.0)
_LOOK_SECONDS = 0.1
"""How often `finish` asks for the time that is left."""


class Reclaim:
    """Handles each dead process in an asyncio task of its own, which tries until the broker answers.

    `note` is called with the result of each script call.
    """

    def __init__(
        self,
        broker: Broker,
        served: ServedQueues,
        max_crashes: int,
        note: Callable[[Returned], object],
        attempts_limit: int = LIMIT_BYTES,
    ) -> None:
        self._broker = broker
        self._served = served
        self._max_crashes = max_crashes
        self._attempts_limit = attempts_limit
        self._note = note
        self._under_way: set[asyncio.Task[None]] = set()
        self._last_looks: set[asyncio.Task[None]] = set()
        self._finishing = asyncio.Event()

    def begin(self, process: ChildProcess) -> None:
        """Give back the tasks of a process that has ended."""
        self._start(self._until_done(process), self._under_way)

    async def finish(self, allowed_seconds: Callable[[], float]) -> None:
        """Do the last check of each process now and wait until all are done, for `allowed_seconds` at most.

        Tasks that are not given back by then are redelivered when their leases expire. `allowed_seconds` is called
        repeatedly, because another Ctrl-C may shorten the time.
        """
        self._finishing.set()
        began_at = time.monotonic()
        while looks := self._under_way | self._last_looks:  # each task in _under_way starts one in _last_looks
            left = began_at + allowed_seconds() - time.monotonic()
            if left <= 0:
                events.emit(events.TasksNotReturned())
                break
            await asyncio.wait(looks, timeout=min(left, _LOOK_SECONDS))
        for task in (*self._under_way, *self._last_looks):
            task.cancel()

    async def give_back(self, process: ChildProcess) -> Returned:
        """Go once through all queues of a dead process and give back its tasks."""
        queues = await self._served.of(process)
        total = Returned(0)
        for start in range(0, len(queues), PAGE):
            total = _sum(total, await self._from(queues[start : start + PAGE], process))
        return total

    async def _from(self, queues: Sequence[QueueKeys], process: ChildProcess) -> Returned:
        total, left = Returned(0), dict[QueueKeys, int | None].fromkeys(queues)
        answers = NodeReplies()
        while left:
            calls = [self._call(queue, process, oldest) for queue, oldest in left.items()]
            faults.reach("return:send")
            replies = await self._broker.run_many(calls)
            faults.answered("return:answered")
            good = answers.sort(left, replies)
            for _, reply in good:
                self._note(reply)
                total = _sum(total, reply)
            left = {queue: reply.left for queue, reply in good if reply.left}  # a refused queue is not asked again
        answers.check()
        return total

    def _call(self, queue: QueueKeys, process: ChildProcess, oldest: int | None) -> Call[Returned]:
        most = self._max_crashes if process.crashed else 0  # 0 counts no crash for a process that was asked to stop
        return give_back(
            queue,
            process.id,
            max_crashes=most,
            error=_quarantine_text(process, most),
            died=_last_record(process),
            attempts_limit=self._attempts_limit,
            oldest=oldest,
        )

    async def _until_done(self, process: ChildProcess) -> None:
        await self._insist(process)
        self._start(self._look_again(process), self._last_looks)

    async def _look_again(self, process: ChildProcess) -> None:
        for seconds in LOOK_AGAIN_AFTER_SECONDS:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._finishing.wait(), seconds)
            await self._insist(process)
            if self._finishing.is_set():
                return

    async def _insist(self, process: ChildProcess) -> None:
        backoff = Backoff()
        while True:
            try:
                returned = await self.give_back(process)
            except Exception as error:
                await backoff.wait(error, f"Giving back the tasks of {process}")
            else:
                return _say(process, returned)

    @staticmethod
    def _start(act: Coroutine[Any, Any, None], into: set[asyncio.Task[None]]) -> None:
        task = asyncio.get_running_loop().create_task(act)
        into.add(task)
        task.add_done_callback(into.discard)


def _quarantine_text(process: ChildProcess, crashes: int) -> str:
    workers, who = counted(crashes, "worker"), f"worker {process.id} (process {process.pid}"
    if process.introduction is not None:
        who += f" on {process.introduction.host}"
    return f"quarantined: {workers} died while running this task. The last one, {who}), {process.exit}"


def _last_record(process: ChildProcess) -> bytes:
    host = None if process.introduction is None else process.introduction.host
    return members(error=f"worker died: it {process.exit}", host=host, pid=process.pid)


def _sum(one: Returned, other: Returned) -> Returned:
    counts = (a + b for a, b in zip(one[1:], other[1:], strict=True))
    return Returned(other.left, *counts)


def _say(process: ChildProcess, returned: Returned) -> None:
    if not returned.tasks:
        return
    events.emit(
        events.TasksReturned(
            **process.about,
            pending=returned.pending,
            quarantined=returned.quarantined,
            cancelled=returned.cancelled,
        )
    )
